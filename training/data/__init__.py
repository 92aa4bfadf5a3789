"""The data of a training, from the source to the batch: fetched, cleaned, split, laid out on disk, and read again.

sources, archive          the files that data.sources names, wherever they are
records, conversations    the documents within a file; a chat as a document
clean, parts, split       a document's text, in parts of bounded size; which documents are held out
documents, on_ray         the corpus folder, as later steps read it; its pieces over a cluster
word_counts               how often each word occurs, for the tokenizer
chat_tokens               a chat's tokens, and which of them are learnt
shard_file, shard_writer  tokens on disk: their layout, read memory-mapped; and written
batches                   the order in which they are read
"""
