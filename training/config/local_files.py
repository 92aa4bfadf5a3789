"""What a `file:` source means on this machine. It is not in data.py, since `stages` asks at every start: msgspec takes
20 ms to import.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path


def local_files(uri: str, root: Path) -> list[Path]:
    """The files that a file: source means today, sorted by name; a relative glob counts from `root`. None for other
    schemes.
    """
    scheme, _, pattern = uri.partition(":")
    if scheme != "file":
        return []
    found = {root / name for name in glob.glob(os.path.expanduser(pattern), root_dir=root, recursive=True)}
    return sorted((path for path in found if path.is_file()), key=lambda path: path.as_posix())
