"""model.bin: errors, the families' tables, dtypes, the header, the file. The specification is training/FORMAT.md."""
