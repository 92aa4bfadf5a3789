"""One run: lock, snapshot, commands, publishing."""
