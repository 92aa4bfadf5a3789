"""A command on another machine: what it needs is sent, it runs there by itself, and what it made comes back."""
