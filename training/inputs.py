"""What a training run is made from: settings, tokenizer, shards and, where it goes on from an imported model, that."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer
from torch import Tensor

from training import command
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import read
from training.config.train import Train
from training.data import shard_file
from training.data.shard_file import TokenStream
from training.scoring import token_nbytes
from training.tokenizer_file import load as load_tokenizer


@dataclass(frozen=True)
class Start:
    """A model to go on from."""

    vocab_size: int  # rows of the embedding: as many as there are tokens, or more
    weights: Callable[[], Mapping[str, Tensor]]  # f32, by the names of training/model/llama.py
    sha256: str  # of all that decides it
    prompts: Sequence[Sequence[int]]  # sample.prompts as it is asked them, in tokens
    stop_ids: Collection[int]  # the tokens that end what it writes


@dataclass(frozen=True)
class Inputs:
    """What a run is made from."""

    model: Model
    train: Train
    sample: Sample  # what is shown on the way; it decides nothing
    repro: bool
    tokenizer: Tokenizer
    text: TokenStream  # to learn from
    held_out: TokenStream  # to be scored on
    token_nbytes: NDArray[np.int64]  # (V,) bytes of text that each token stands for
    start: Start | None = None  # None: random weights

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding."""
        return self.start.vocab_size if self.start else self.text.vocab_size

    def data_sha256(self) -> dict[str, list[str]]:
        """The digests of the shards, by split."""
        streams = {"train": self.text, "val": self.held_out}
        return {name: [shard.payload_sha256 for shard in stream.shards] for name, stream in streams.items()}

    def described(self) -> dict[str, Any]:
        """What summary.json says of them, and of the PyTorch that read them."""
        return {
            "train_tokens": self.text.n_tokens,
            "train_bytes": self.text.text_nbytes,
            "tokenizer_sha256": self.text.tokenizer_sha256,
            "data_sha256": self.data_sha256(),
            "profile": "repro" if self.repro else "fast",
            "torch": torch.__version__.partition("+")[0],
            "settings": {"model": self.model.decisive(), "train": self.train.decisive()},
        }

    def digest(self) -> str:
        """Digest of all that decides the weights of each step but how many there are. In `repro` that is PyTorch's
        version too.
        """
        settings = [self.model.decisive(), {**self.train.decisive(), "steps": None, "keep": None}, self.repro]
        made_from: list[Any] = [
            self.data_sha256(),
            self.text.tokenizer_sha256,
            torch.__version__ if self.repro else None,
        ]
        if self.start:
            made_from.append(self.start.sha256)
        return hashlib.sha256(json.dumps([settings, made_from], sort_keys=True).encode()).hexdigest()


def load(
    params: dict[str, Any],
    shards_dir: Path,
    tokenizer_dir: Path,
    model: Model | None = None,
) -> Inputs:
    """Settings, tokenizer and shards. params: as a stage writes them. model: its sizes, where they are not in params.

    Raises ValueError where they do not fit.
    """
    tokenizer = load_tokenizer(tokenizer_dir)
    # The text may be larger than memory, and the stage engine has its digest: only the shorter split is read whole.
    text = shard_file.open_split(shards_dir, "train", every_byte=False)
    held_out = shard_file.open_split(shards_dir, "val")
    for stream in (text, held_out):
        shard_file.check_tokenizer(stream, tokenizer_dir)
    return Inputs(
        model=model or read(params, Model),
        train=read(params, Train),
        sample=read(params, Sample),
        repro=params["profile"] == "repro",
        tokenizer=tokenizer,
        text=text,
        held_out=held_out,
        token_nbytes=token_nbytes(tokenizer),
    )


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every training."""
    arguments = command.parser(module, description)
    arguments.add_argument("--shards", type=Path, required=True, metavar="DIR", help="the folder of shards")
    arguments.add_argument("--resume", type=Path, metavar="DIR", help="where checkpoints are kept and taken up again")
    arguments.add_argument("--logs", type=Path, metavar="DIR", help="where train.loggers write")
    return arguments
