"""What is done with results: verify, accept, remove, transfer, tell their origin."""
