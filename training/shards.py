"""Documents in, token shards out (training/data/shard_file.py has their layout).

Writes OUT/shards/{train,val,test}-00000.tokens, ... A shard holds the documents of a piece (documents.pieces), each one
after a separator token. So it is the same whoever writes it: this process, one after the other, or the workers of
data.engine="ray". (Those of chats: training/chat_shards.py.)
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from training import command
from training.config.engine import engine_of
from training.data import documents, on_ray
from training.data.shard_file import open_split
from training.data.shard_writer import UNFINISHED, WriteShard


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    engine = engine_of(command.params_of(arguments))
    pieces = documents.pieces(arguments.corpus)
    with command.publishing(arguments.out.resolve()) as temporary:
        directory = temporary / "shards"
        directory.mkdir()
        work = WriteShard(arguments.corpus.resolve(), arguments.tokenizer.resolve(), directory)
        if engine.engine == "ray":
            written = on_ray.over(dataclasses.replace(work, threads=1), pieces, engine.ray_address, "shards written")
        else:
            written = map(work, pieces)
        for _ in written:
            pass
        for leftover in directory.glob(f"*{UNFINISHED}"):
            leftover.unlink()
        for split in dict.fromkeys((*documents.SPLITS, *(piece.split for piece in pieces))):
            stream = open_split(directory, split, every_byte=False)
            bytes_a_token = stream.text_nbytes / stream.n_tokens
            command.say(f"{split}: {stream.n_tokens:,} tokens, {bytes_a_token:.3f} bytes a token")


if __name__ == "__main__":
    arguments = command.parser("shards", "Tokenise the documents into shards.")
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    sys.exit(command.run(main, arguments))
