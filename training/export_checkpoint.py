"""A checkpoint of a training in, model.bin out: the model as it was at that step, to look at while it is trained.

The checkpoint is read and nothing beside it is touched: a training that runs goes on as if no one looked. The file is
read whole and compared with the digest in its name, so a torn one is never exported. Weights are written as they are,
in f32: to score narrower ones on the held-out text would take from the training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from training import checkpoint, command, export, export_finetuned, finetune, inputs, lora, stored
from training.data.batches import order_of
from training.inputs import Inputs
from training.model.families import LanguageModel, language_model
from training.state import count


def saved_weights(path: Path) -> dict[str, Tensor]:
    """What is trained of a checkpoint's model, by the names of training/model/.

    Raises ValueError where the file, or the folder of pieces, is not what its name says.
    """
    try:
        tensors, _ = stored.read(path, lambda name: None)
    except stored.Damaged as error:
        raise ValueError(f"{path}: {error}") from error
    return {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}


def model_at(made_from: Inputs, path: Path) -> LanguageModel:
    """The model with the weights of a checkpoint, adapters merged. Raises ValueError where they do not fit."""
    train = made_from.train
    model = language_model(made_from.model, made_from.vocab_size)
    if made_from.start:
        model.load_state_dict(made_from.start.weights())
    if train.lora_rank:
        lora.add(model, train.lora_rank, train.lora_alpha, train.seed)
    saved = saved_weights(path)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    if other := sorted(trained ^ saved.keys()):
        raise ValueError(f"{path}: its tensors are not those of the settings ({other[0]})")
    try:
        model.load_state_dict(saved, strict=False)
    except RuntimeError as error:  # of other shapes
        raise ValueError(f"{path}: {error}") from error
    lora.merge(model)
    return model


def summary_at(made_from: Inputs, model: LanguageModel, step: int) -> dict[str, Any]:
    """What summary.json would say of a run that ended here; None stands for what nobody has measured."""
    train = made_from.train
    window = order_of(made_from.text, made_from.model.ctx_len, train.batch_size, train.seed).window
    return {
        "steps": step,
        "tokens_seen": step * train.batch_size * train.grad_accum * window,
        "parameters": count(model),
        **dict.fromkeys(("val_bpb", "val_tokens", "val_bytes", "val_ctx_len", "val_overlap", "precision")),
        **made_from.described(),
    }


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    steps = {path.name: step for step, path in checkpoint.found(arguments.checkpoint.parent)}
    if arguments.checkpoint.name not in steps:
        raise ValueError(f"{arguments.checkpoint}: there is no such checkpoint")
    torch.set_num_threads(1)  # the training wants the others
    params = command.params_of(arguments)
    params["params"].setdefault("export", {})["dtype"] = "f32"
    brought = arguments.imported or arguments.tokenizer
    load_inputs = finetune.load if arguments.imported else inputs.load
    made_from = load_inputs(params, arguments.shards, brought)
    model = model_at(made_from, arguments.checkpoint)
    with command.publishing(arguments.out) as temporary:
        parts = temporary / "parts"
        parts.mkdir()
        weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
        save_file(weights, parts / "model.safetensors", metadata={"format": "pt"})
        summary = summary_at(made_from, model, steps[arguments.checkpoint.name])
        command.write_json(parts / "summary.json", summary)
        given = (parts / "model.safetensors", parts / "summary.json", brought, arguments.shards)
        write = export_finetuned.build if arguments.imported else export.build
        write(params, *given, temporary / export.NAME)
        (parts / "model.safetensors").unlink()
        (parts / "summary.json").unlink()
        parts.rmdir()


if __name__ == "__main__":
    arguments = command.parser("export_checkpoint", "Write the model.bin of a checkpoint.")
    arguments.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="step-*.safetensors")
    arguments.add_argument("--shards", type=Path, required=True, metavar="DIR", help="the shards of the training")
    of = arguments.add_mutually_exclusive_group(required=True)
    of.add_argument("--tokenizer", type=Path, metavar="DIR", help="the tokenizer's folder")
    of.add_argument("--imported", type=Path, metavar="DIR", help="what import_model wrote, of a model trained further")
    sys.exit(command.run(main, arguments))
