"""The data of a training, from the source to the batch: fetched, cleaned, split, laid out on disk, and read again.

sources, archive          the files that data.sources names, wherever they are
records, conversations    the documents within a file; a chat as a document
clean, parts, split       a document's text, in parts of bounded size; which documents are held out
documents                 the corpus folder, as later steps read it
chat_tokens               a chat's tokens, and which of them are learnt
shard_file, batches       tokens on disk, memory-mapped; the order in which they are read
"""
