"""A model.bin in, a Hugging Face folder out (training/interop/hf_writer.py)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training import command
from training.format.file import read_model
from training.interop import hf_writer

FOLDER = "hf"


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    model = read_model(arguments.model)
    with command.publishing(arguments.out) as temporary:
        folder = temporary / FOLDER
        folder.mkdir()
        dtype = hf_writer.write(folder, model)
        nbytes = sum(path.stat().st_size for path in folder.iterdir())
    widened = sorted({stored.dtype for stored in model.stored.values()} - {"f16", "f32"})
    note = f", widened from {', '.join(widened)}: a folder has no block formats" if widened else ""
    command.say(f"{FOLDER}/: {nbytes:,} bytes, {model.architecture}, {dtype}{note}")


if __name__ == "__main__":
    arguments = command.parser("export_hf", "Write a model.bin as a Hugging Face folder.", params=False)
    arguments.add_argument("--model", type=Path, required=True, metavar="FILE", help="model.bin")
    sys.exit(command.run(main, arguments))
