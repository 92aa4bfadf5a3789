"""The engine's own files in the folder of a result, and its own folders in the build folder."""

RECEIPT = "receipt.json"
LOG = "log.txt"
OWN_FOLDERS = ("partial", "run", "store", "verify")
