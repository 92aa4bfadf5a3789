"""Other people's model files, read into the terms of training/FORMAT.md: the only room that knows their formats.

hf     a Hugging Face folder: config.json, safetensors, tokenizer.json
gguf   llama.cpp's single file; its vocabulary is read by gguf_vocabulary
"""
