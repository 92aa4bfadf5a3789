"""A model.bin in, a checkpoint of llama2.c out, with its vocabulary (training/interop/llama2c_writer.py)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training import command
from training.format.file import read_model
from training.interop import llama2c_writer
from training.interop.llama2c import ENDS_ALL

FOLDER = "llama2c"


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    model = read_model(arguments.model)
    with command.publishing(arguments.out) as temporary:
        folder = temporary / FOLDER
        folder.mkdir()
        llama2c_writer.write(folder, model)
        nbytes = (folder / llama2c_writer.NAME).stat().st_size
    begins = model.config["bos_token_id"]
    note = "" if begins == ENDS_ALL else f"; run.c begins with token {ENDS_ALL}, this model with {begins}"
    command.say(f"{FOLDER}/{llama2c_writer.NAME}: {nbytes:,} bytes, f32{note}")


if __name__ == "__main__":
    arguments = command.parser("export_llama2c", "Write a model.bin as a checkpoint of llama2.c.", params=False)
    arguments.add_argument("--model", type=Path, required=True, metavar="FILE", help="model.bin")
    sys.exit(command.run(main, arguments))
