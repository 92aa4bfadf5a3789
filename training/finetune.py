"""An imported model and shards in, the model trained further out: training/train.py from other weights on.

All weights are trained. Shards of chats have a loss mask: the model learns to write the answers, not the questions.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training import command, imported, inputs, train
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import read
from training.data import chat_tokens
from training.imported import Imported
from training.tokenizer_file import document_start, separator_of


def shape_of(model: Imported) -> Model:
    """The family and the sizes of an imported model."""
    sizes = {name: model.config[name] for name in Model.__struct_fields__ if name != "family"}
    return Model(**sizes, family=model.architecture)  # type: ignore[arg-type]  # a name that import has checked


def prompts(model: Imported, settings: Sample, chats: bool) -> list[list[int]]:
    """sample.prompts in tokens: as questions in the model's template, or as the beginning of a document."""
    template = model.template() if chats else None
    if template is None:
        return [document_start(model.tokenizer, prompt) for prompt in settings.prompts]
    asked = [template.prompt([{"role": "user", "content": prompt}]) for prompt in settings.prompts]
    return [chat_tokens.by_turns(model.tokenizer, parts) for parts in asked]


def weights_of(model: Imported) -> dict[str, Tensor]:
    """The weights in f32, by the names of training/model/llama.py."""
    return {name: torch.from_numpy(stored.values()) for name, stored in model.tensors.items()}


def start_of(model: Imported, settings: Sample, chats: bool) -> inputs.Start:
    """The imported model as the training takes it."""
    digest = hashlib.sha256(json.dumps([model.architecture, model.config], sort_keys=True).encode())
    for name in sorted(model.tensors):
        digest.update(model.tensors[name].data.data)
    return inputs.Start(
        vocab_size=model.config["vocab_size"],
        weights=lambda: weights_of(model),
        sha256=digest.hexdigest(),
        prompts=prompts(model, settings, chats),
        stop_ids=model.stop_ids | (set() if chats else {separator_of(model.tokenizer)}),
    )


def load(params: dict[str, Any], shards_dir: Path, imported_dir: Path) -> inputs.Inputs:
    """What the run is made from. Raises ValueError where its parts do not fit."""
    model = imported.read(imported_dir)
    made = inputs.load(params, shards_dir, imported_dir, shape_of(model))
    start = start_of(model, read(params, Sample), made.text.masked)
    # Read once more when they are wanted, so that they are not held beside the model that is trained.
    start = dataclasses.replace(start, weights=lambda: weights_of(imported.read(imported_dir)))
    return dataclasses.replace(made, start=start)


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    train.execute(arguments, lambda params: load(params, arguments.shards, arguments.imported))


if __name__ == "__main__":
    arguments = inputs.parser("finetune", "Train an imported model further.")
    arguments.add_argument("--imported", type=Path, required=True, metavar="DIR", help="what import_model wrote")
    sys.exit(command.run(main, arguments))
