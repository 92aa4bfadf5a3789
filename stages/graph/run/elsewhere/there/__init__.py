"""The program that is sent to the other side (serve.py), and what runs a command there (runner.py)."""
