"""The models: blocks → llama (and Qwen 2 and 3), fast → families, which makes the one that a preset names."""
