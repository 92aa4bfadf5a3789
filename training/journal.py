"""metrics.jsonl: one line a record, which grows while a model is trained and is cut back when a run is resumed.

While it grows it also holds what the model wrote at each evaluation. These texts depend on the section [sample], which
is in no key, so they come out in a file of their own, samples.jsonl.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

NAME = "metrics.jsonl"
SAMPLES = "samples.jsonl"
TEXT = "text"  # the field that makes a record one of samples.jsonl
NUMBERS = ("train_bpb", "val_bpb", "kept_bpb", "lr", "grad_norm", "tokens_a_second")  # what is drawn, where it is there


class Journal:
    """The file while it is written. Raises ValueError where it is shorter than its checkpoint saw it."""

    def __init__(self, path: Path, nbytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("ab")
        if (got := self.file.seek(0, os.SEEK_END)) < nbytes:
            raise ValueError(
                f"{path} has {got} bytes, but its checkpoint saw {nbytes}; "
                f"put it back, or delete {path.parent} to train from the start"
            )
        self.file.truncate(nbytes)
        self.file.seek(nbytes)

    def write(self, record: dict[str, Any]) -> None:
        """Add a record."""
        self.file.write(json.dumps(record).encode() + b"\n")
        self.file.flush()

    def mark(self) -> int:
        """Force it to the disk; returns its length."""
        os.fsync(self.file.fileno())
        return self.file.tell()


def publish(kept: Path, folder: Path) -> None:
    """Write what a finished run has kept as metrics.jsonl and samples.jsonl."""
    with kept.open("rb") as lines, (folder / NAME).open("wb") as metrics, (folder / SAMPLES).open("wb") as samples:
        for line in lines:
            (samples if TEXT in json.loads(line) else metrics).write(line)


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl. Raises ValueError naming a line that is none."""
    records = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            record = json.loads(line.decode())
            if not {"step": int}.items() <= {name: type(value) for name, value in record.items()}.items():
                raise ValueError("it has no step")
            for name in NUMBERS:
                if type(record.get(name, 0.0)) not in (int, float):
                    raise ValueError(f"its {name} is no number")
        except (ValueError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{path}:{number}: not a record of metrics ({error}); delete {path.parent} to train from the start"
            ) from error
        records.append(record)
    return records
