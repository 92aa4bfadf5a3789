"""What a page says of a model before it is loaded: an index with one entry, as JSON on the standard output.

{"models": [{"name", "path", "size_bytes", "parameters", "chat"}]}; `path` is relative to the index, and a page takes
entries that are added by hand too (README). Reads the header of model.bin alone, which `export` has checked. Standard
library only.
"""

from __future__ import annotations

import argparse
import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

# FORMAT.md §1: the header's length lies at byte 12, the header at 64.
LENGTH = struct.Struct("<12xI")
HEADER_OFFSET = 64


def entry(name: str, path: str, model: Path) -> dict[str, Any]:
    """The entry of a model.bin. Raises OSError where it cannot be read."""
    with model.open("rb") as file:
        (nbytes,) = LENGTH.unpack(file.read(LENGTH.size))
        file.seek(HEADER_OFFSET)
        header = json.loads(file.read(nbytes))
    return {
        "name": name,
        "path": path,
        "size_bytes": model.stat().st_size,
        "parameters": sum(math.prod(tensor["shape"]) for tensor in header["tensors"]),
        "chat": any(section["name"] == "chat_template" for section in header["sections"]),
    }


def main() -> int:
    """`python -m training.model_index --name NAME --path PATH --model FILE`. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.model_index", description=__doc__)
    parser.add_argument("--name", required=True, help="what the page calls it")
    parser.add_argument("--path", required=True, help="where it lies, relative to the index")
    parser.add_argument("--model", required=True, type=Path, help="its model.bin")
    arguments = parser.parse_args()
    json.dump({"models": [entry(arguments.name, arguments.path, arguments.model)]}, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
