"""The engine's own files in the folder of a result."""

RECEIPT = "receipt.json"
LOG = "log.txt"
