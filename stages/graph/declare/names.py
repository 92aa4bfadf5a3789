"""The engine's own files in the folder of a result, and its own folders in the build folder."""

RECEIPT = "receipt.json"
LOG = "log.txt"
OWN_FOLDERS = ("names", "partial", "pins", "run", "sources", "store", "verify")
EXPERIMENTS = "exp"  # the scope that the results of `doit exp run` are linked in
