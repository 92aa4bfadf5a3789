"""doit's side: tasks and commands."""
