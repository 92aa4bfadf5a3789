"""A trained model in, model.bin out (training/FORMAT.md): configuration, tokenizer, weights, golden answer, provenance.

Nothing goes in that changes between two equal builds: no clock, duration, host or path.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from training import command
from training.config.export import Export
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import read
from training.format.dtypes import Stored, as_stored, dtypes_of
from training.format.families import expected_tensors
from training.format.file import Golden, write_model
from training.model import Llama
from training.tokenizer_file import FLAT_NAME, separator_of
from training.tokenizer_file import load as load_tokenizer

NAME = "model.bin"
GOLDEN_TOKENS = 64  # FORMAT.md, section 2
RUN = (
    "data_sha256",
    "parameters",
    "precision",
    "profile",
    "steps",
    "tokens_seen",
    "torch",
    "train_bytes",
    "train_tokens",
    "val_bpb",
    "val_bytes",
    "val_ctx_len",
    "val_overlap",
    "val_tokens",
)  # of summary.json: what equal builds share


def golden(ids: list[int], last_logits: Callable[[], Tensor]) -> Golden:
    """ids and torch's f32 logits of the last of them, (V), computed on one thread: the order of sums is the same
    everywhere.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return Golden(ids, last_logits().numpy())
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def trained_logits(model: Model, vocab_size: int, ids: list[int], weights: Mapping[str, Stored]) -> Tensor:
    """The logits of the last of ids, (V), by the module that is trained. weights: as they are stored."""
    llama = Llama(model, vocab_size)
    llama.load_state_dict({name: torch.from_numpy(stored.values()) for name, stored in weights.items()})
    logits: Tensor = llama(torch.tensor([ids]))
    return logits[0, -1]


def build(
    params: dict[str, Any], weights_path: Path, summary_path: Path, tokenizer_dir: Path, out: Path
) -> dict[str, Any]:
    """Write `out`; returns its header. Raises ValueError where weights, tokenizer and settings do not fit."""
    shape, export = read(params, Model), read(params, Export)
    summary = read_summary(summary_path)
    flat = (tokenizer_dir / FLAT_NAME).read_bytes()
    tokenizer = load_tokenizer(tokenizer_dir)
    digest = hashlib.sha256(flat).hexdigest()
    if digest != summary["tokenizer_sha256"]:
        raise ValueError(
            f"{tokenizer_dir / FLAT_NAME} is not the tokenizer that the model was trained with: sha256 {digest}, "
            f"expected {summary['tokenizer_sha256']}; train again"
        )
    separator_id = separator_of(tokenizer)  # it stands before every document, so it begins one and ends the one before
    settings = {
        **shape.values(),
        "vocab_size": tokenizer.vocab_size,
        "bos_token_id": separator_id,
        "eos_token_id": separator_id,
    }
    try:
        loaded = load_file(weights_path)
    except SafetensorError as error:
        raise ValueError(f"{weights_path}: not a safetensors file ({error}); train again") from error
    for name, tensor in loaded.items():
        if tensor.dtype != torch.float32:
            raise ValueError(f"{weights_path}: {name} is {tensor.dtype}, expected torch.float32; train again")
    trained = {name: tensor.numpy() for name, tensor in loaded.items()}
    specs = expected_tensors(settings)
    if missing := {spec.name for spec in specs} ^ set(trained):
        raise ValueError(f"{weights_path}: its tensors are not those of the settings ({min(missing)}); train again")
    dtypes = dtypes_of(specs, export.dtype)
    stored = {spec.name: as_stored(spec, trained[spec.name], dtypes[spec.name]) for spec in specs}
    ids = [separator_id, *tokenizer.encode(export.golden_prompt)][: min(GOLDEN_TOKENS, shape.ctx_len)]
    sections = {name: values for name, values in params["params"].items() if name != "preset"}
    provenance = {
        "preset": params["params"].get("preset"),
        "sample_prompts": list(read(params, Sample).prompts),
        "settings": {**summary["settings"], **sections},
        "run": {name: summary[name] for name in RUN},
        "weights_sha256": hashlib.sha256(weights_path.read_bytes()).hexdigest(),
    }
    answer = golden(ids, lambda: trained_logits(shape, tokenizer.vocab_size, ids, stored))
    return write_model(out, settings, flat, stored, answer, provenance, dtypes)


def read_summary(path: Path) -> dict[str, Any]:
    """summary.json of a training run. Raises ValueError where what export takes from it is not there."""
    summary = command.read_json(path)
    if not isinstance(summary, dict):
        raise ValueError(f"{path}: not an object; train again")
    if missing := sorted({*RUN, "tokenizer_sha256", "settings"} - set(summary)):
        raise ValueError(f"{path}: no {missing[0]!r}; train again")
    if not isinstance(summary["settings"], dict):
        raise ValueError(f"{path}: 'settings' is no object with sections; train again")
    return summary


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    params = command.params_of(arguments)
    with command.publishing(arguments.out) as temporary:
        header = build(params, arguments.weights, arguments.summary, arguments.tokenizer, temporary / NAME)
        nbytes = (temporary / NAME).stat().st_size
        dtypes = sorted({tensor["dtype"] for tensor in header["tensors"]})
    command.say(f"{NAME}: {nbytes:,} bytes, {len(header['tensors'])} tensors, {', '.join(dtypes)}")


if __name__ == "__main__":
    arguments = command.parser("export", "Write model.bin.")
    arguments.add_argument("--weights", type=Path, required=True, metavar="FILE", help="model.safetensors")
    arguments.add_argument("--summary", type=Path, required=True, metavar="FILE", help="summary.json of the training")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    sys.exit(command.run(main, arguments))
