"""A trained model in, model.bin out (training/FORMAT.md): configuration, tokenizer, weights, golden answer, provenance.

Where the matrices are narrower than f32, the weights as they are stored are scored on the held-out text, in the way the
training scored its own: what the smaller file costs in bits per byte.

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
from training.evaluate import evaluate, token_nbytes
from training.format.dtypes import Stored, as_stored, dtypes_of
from training.format.families import expected_tensors
from training.format.file import Golden, write_model
from training.model import Llama
from training.shard_file import check_tokenizer, open_split
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


def module_of(model: Model, vocab_size: int, weights: Mapping[str, Stored]) -> Llama:
    """The module that is trained, with the weights as they are stored."""
    llama = Llama(model, vocab_size)
    llama.load_state_dict({name: torch.from_numpy(stored.values()) for name, stored in weights.items()})
    return llama


@torch.no_grad()
def last_logits(llama: Llama, ids: list[int]) -> Tensor:
    """The logits of the last of ids, (V)."""
    logits: Tensor = llama(torch.tensor([ids]))
    return logits[0, -1]


def stored_bpb(llama: Llama, summary: Mapping[str, Any], shards_dir: Path, tokenizer_dir: Path) -> float:
    """Bits per byte of the held-out text, scored in the windows of the training's last evaluation, so that the two
    differ by the weights alone.

    Raises ValueError where the shards are broken, or are not those of the training.
    """
    stream = open_split(shards_dir, "val")
    check_tokenizer(stream, tokenizer_dir)
    sizes = token_nbytes(load_tokenizer(tokenizer_dir), stream.separator_id)
    max_tokens = summary["settings"]["train"].get("last_eval_tokens", stream.n_tokens)
    overlap, ctx_len = summary["val_overlap"], summary["val_ctx_len"]
    score = evaluate(llama, stream, sizes, ctx_len, overlap, torch.device("cpu"), max_tokens)
    if (score.n_tokens, score.n_bytes) != (summary["val_tokens"], summary["val_bytes"]):
        raise ValueError(
            f"{shards_dir}: the held-out text is not that of the training: {score.n_tokens} tokens and {score.n_bytes} "
            f"bytes, expected {summary['val_tokens']} and {summary['val_bytes']}; train again"
        )
    return score.bpb


def build(
    params: dict[str, Any],
    weights_path: Path,
    summary_path: Path,
    tokenizer_dir: Path,
    shards_dir: Path,
    out: Path,
) -> dict[str, Any]:
    """Write `out`; returns its header. Raises ValueError where weights, tokenizer, shards and settings do not fit."""
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
    llama = module_of(shape, tokenizer.vocab_size, stored)
    is_f32 = export.dtype == "f32"  # the very weights that the training scored
    bpb = summary["val_bpb"] if is_f32 else stored_bpb(llama, summary, shards_dir, tokenizer_dir)
    provenance = {
        "preset": params["params"].get("preset"),
        "sample_prompts": list(read(params, Sample).prompts),
        "settings": {**summary["settings"], **sections},
        "run": {name: summary[name] for name in RUN},
        "stored": {"dtype": export.dtype, "val_bpb": bpb},
        "weights_sha256": hashlib.sha256(weights_path.read_bytes()).hexdigest(),
    }
    answer = golden(ids, lambda: last_logits(llama, ids))
    return write_model(out, settings, flat, stored, answer, provenance, dtypes)


def read_summary(path: Path) -> dict[str, Any]:
    """summary.json of a training run. Raises ValueError where what export takes from it is not there."""
    summary = command.read_json(path)
    if not isinstance(summary, dict):
        raise ValueError(f"{path}: not an object; train again")
    if missing := sorted({*RUN, "tokenizer_sha256", "settings"} - set(summary)):
        raise ValueError(f"{path}: no {missing[0]!r}; train again")
    if not (isinstance(summary["settings"], dict) and isinstance(summary["settings"].get("train"), dict)):
        raise ValueError(f"{path}: 'settings' is no object with sections; train again")
    return summary


def cost(provenance: Mapping[str, Any]) -> str:
    """What the stored weights need for a byte of the held-out text, beside the trained ones."""
    bpb, f32_bpb = provenance["stored"]["val_bpb"], provenance["run"]["val_bpb"]
    text = f"{bpb:.3f} bits/byte on the held-out text"
    if provenance["stored"]["dtype"] == "f32":
        return text
    return f"{text}, {bpb / f32_bpb - 1:+.2%} against f32 ({f32_bpb:.3f})"


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    params = command.params_of(arguments)
    with command.publishing(arguments.out) as temporary:
        given = (arguments.weights, arguments.summary, arguments.tokenizer, arguments.shards)
        header = build(params, *given, temporary / NAME)
        nbytes = (temporary / NAME).stat().st_size
        dtypes = sorted({tensor["dtype"] for tensor in header["tensors"]})
    command.say(f"{NAME}: {nbytes:,} bytes, {len(header['tensors'])} tensors, {', '.join(dtypes)}")
    command.say(cost(header["provenance"]))


if __name__ == "__main__":
    arguments = command.parser("export", "Write model.bin.")
    arguments.add_argument("--weights", type=Path, required=True, metavar="FILE", help="model.safetensors")
    arguments.add_argument("--summary", type=Path, required=True, metavar="FILE", help="summary.json of the training")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    arguments.add_argument("--shards", type=Path, required=True, metavar="DIR", help="the shards of the training")
    sys.exit(command.run(main, arguments))
