"""What a graph is made of: pure data, checked."""
