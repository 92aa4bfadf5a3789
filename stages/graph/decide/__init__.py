"""What is stale, and why: this room only looks."""
