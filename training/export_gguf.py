"""A model.bin in, a GGUF file out (training/interop/gguf_writer.py)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training import command
from training.format.file import read_model
from training.interop import gguf_writer

NAME = "model.gguf"


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    model = read_model(arguments.model)
    with command.publishing(arguments.out) as temporary:
        gguf_writer.write(temporary / NAME, model)
        nbytes = (temporary / NAME).stat().st_size
    dtypes = ", ".join(sorted({stored.dtype for stored in model.stored.values()}))
    command.say(f"{NAME}: {nbytes:,} bytes, {model.architecture}, {len(model.stored)} tensors, {dtypes}")


if __name__ == "__main__":
    arguments = command.parser("export_gguf", "Write a model.bin as a GGUF file.", params=False)
    arguments.add_argument("--model", type=Path, required=True, metavar="FILE", help="model.bin")
    sys.exit(command.run(main, arguments))
