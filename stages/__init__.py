"""WHEN: the stages of PocketLM's graph."""
