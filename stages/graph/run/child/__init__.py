"""What runs inside the processes of a command: this folder is put on their PYTHONPATH."""
