"""The model, in PyTorch: corpus, tokenizer, shards, train, export. Each step is `python -m training.STEP`."""
