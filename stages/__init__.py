"""WHEN: the stages of PocketLM's graph, one module an arrow; project.py puts them together."""
