"""What is on disk: trees, sources, digests and versions, read behind a cache."""
