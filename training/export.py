"""A trained model in, model.bin out (training/FORMAT.md): configuration, tokenizer, weights, golden answer, provenance.

Where the matrices are narrower than f32, the weights as they are stored are scored on the held-out text, in the way the
training scored its own: what the smaller file costs in bits per byte.

Nothing goes in that changes between two equal builds: no clock, duration, host or path.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pocketlm_tokenizer import Tokenizer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from training import command
from training.config.export import Export
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import read
from training.data.shard_file import check_tokenizer, open_split
from training.format.dtypes import Stored, as_stored, dtypes_of
from training.format.families import TensorSpec, expected_tensors
from training.format.file import Golden, write_model
from training.model.families import LanguageModel, format_config, format_tensors, language_model
from training.scoring import evaluate, token_nbytes
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


def golden_ids(begin: int | None, tokenizer: Tokenizer, prompt: str, ctx_len: int) -> list[int]:
    """The golden prompt in tokens, after the one that begins a document, if there is one."""
    ids = [*([] if begin is None else [begin]), *tokenizer.encode(prompt)]
    return ids[: min(GOLDEN_TOKENS, ctx_len)]


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


def module_of(model: Model, vocab_size: int, weights: Mapping[str, Stored]) -> LanguageModel:
    """The module that is trained, with the weights as they are stored."""
    module = language_model(model, vocab_size)
    module.load_stored({name: torch.from_numpy(stored.values()) for name, stored in weights.items()})
    return module


@torch.no_grad()
def last_logits(model: LanguageModel, ids: list[int]) -> Tensor:
    """The logits of the last of ids, (V)."""
    logits: Tensor = model(torch.tensor([ids]))
    return logits[0, -1]


def stored_bpb(model: LanguageModel, summary: Mapping[str, Any], shards_dir: Path, tokenizer_dir: Path) -> float:
    """Bits per byte of the held-out text, scored in the windows of the training's last evaluation, so that the two
    differ by the weights alone.

    Raises ValueError where the shards are broken, or are not those of the training.
    """
    stream = open_split(shards_dir, "val")
    check_tokenizer(stream, tokenizer_dir)
    sizes = token_nbytes(load_tokenizer(tokenizer_dir))
    max_tokens = summary["settings"]["train"].get("last_eval_tokens", stream.n_tokens)
    overlap, ctx_len = summary["val_overlap"], summary["val_ctx_len"]
    score = evaluate(model, stream, sizes, ctx_len, overlap, torch.device("cpu"), max_tokens)
    if (score.n_tokens, score.n_bytes) != (summary["val_tokens"], summary["val_bytes"]):
        raise ValueError(
            f"{shards_dir}: the held-out text is not that of the training: {score.n_tokens} tokens and {score.n_bytes} "
            f"bytes, expected {summary['val_tokens']} and {summary['val_bytes']}; train again"
        )
    return score.bpb


def stored_weights(path: Path, model: Model, specs: Sequence[TensorSpec], dtype: str) -> dict[str, Stored]:
    """The trained weights as they are stored. Raises ValueError where they are not those of the specs, in f32."""
    try:
        loaded = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error}); train again") from error
    for name, tensor in loaded.items():
        if tensor.dtype != torch.float32:
            raise ValueError(f"{path}: {name} is {tensor.dtype}, expected torch.float32; train again")
    loaded = dict(format_tensors(model, loaded))
    if missing := {spec.name for spec in specs} ^ set(loaded):
        raise ValueError(f"{path}: its tensors are not those of the settings ({min(missing)}); train again")
    dtypes = dtypes_of(specs, dtype)
    return {spec.name: as_stored(spec, loaded[spec.name].numpy(), dtypes[spec.name]) for spec in specs}


def check_same_tokenizer(tokenizer_dir: Path, summary: Mapping[str, Any]) -> None:
    """Raises ValueError where the tokenizer is not the one that the model was trained with."""
    digest = hashlib.sha256((tokenizer_dir / FLAT_NAME).read_bytes()).hexdigest()
    if digest != summary["tokenizer_sha256"]:
        raise ValueError(
            f"{tokenizer_dir / FLAT_NAME} is not the tokenizer that the model was trained with: sha256 {digest}, "
            f"expected {summary['tokenizer_sha256']}; train again"
        )


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
    check_same_tokenizer(tokenizer_dir, summary)
    separator_id = separator_of(tokenizer)  # it stands before every document, so it begins one and ends the one before
    settings = {
        **format_config(shape, tokenizer.vocab_size),
        "bos_token_id": separator_id,
        "eos_token_id": separator_id,
    }
    specs = expected_tensors(settings, shape.family)
    stored = stored_weights(weights_path, shape, specs, export.dtype)
    ids = golden_ids(separator_id, tokenizer, export.golden_prompt, shape.ctx_len)
    module = module_of(shape, tokenizer.vocab_size, stored)
    provenance = provenance_of(params, summary, module, weights_path, shards_dir, tokenizer_dir)
    answer = golden(ids, lambda: last_logits(module, ids))
    dtypes = dtypes_of(specs, export.dtype)
    return write_model(out, settings, flat, stored, answer, provenance, dtypes, shape.family)


def provenance_of(
    params: dict[str, Any],
    summary: Mapping[str, Any],
    module: LanguageModel,
    weights_path: Path,
    shards_dir: Path,
    tokenizer_dir: Path,
) -> dict[str, Any]:
    """How the model was made, and how good it is as it is stored. module: with the stored weights."""
    dtype = read(params, Export).dtype
    is_f32 = dtype == "f32"  # the very weights that the training scored
    bpb = summary["val_bpb"] if is_f32 else stored_bpb(module, summary, shards_dir, tokenizer_dir)
    sections = {name: values for name, values in params["params"].items() if name != "preset"}
    return {
        "preset": params["params"].get("preset"),
        "sample_prompts": list(read(params, Sample).prompts),
        "settings": {**summary["settings"], **sections},
        "run": {name: summary[name] for name in RUN},
        "stored": {"dtype": dtype, "val_bpb": bpb},
        "weights_sha256": hashlib.sha256(weights_path.read_bytes()).hexdigest(),
    }


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


def execute(
    arguments: argparse.Namespace, write: Callable[[dict[str, Any], Path, Path, Path, Path, Path], dict[str, Any]]
) -> None:
    """The command. write: from params, weights, summary, folder of the tokenizer, shards and target to the header."""
    params = command.params_of(arguments)
    with command.publishing(arguments.out) as temporary:
        given = (arguments.weights, arguments.summary, arguments.tokenizer, arguments.shards)
        header = write(params, *given, temporary / NAME)
        nbytes = (temporary / NAME).stat().st_size
        dtypes = sorted({tensor["dtype"] for tensor in header["tensors"]})
    command.say(f"{NAME}: {nbytes:,} bytes, {len(header['tensors'])} tensors, {', '.join(dtypes)}")
    command.say(cost(header["provenance"]))


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every export of a trained model."""
    arguments = command.parser(module, description)
    arguments.add_argument("--weights", type=Path, required=True, metavar="FILE", help="model.safetensors")
    arguments.add_argument("--summary", type=Path, required=True, metavar="FILE", help="summary.json of the training")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    arguments.add_argument("--shards", type=Path, required=True, metavar="DIR", help="the shards of the training")
    return arguments


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    execute(arguments, build)


if __name__ == "__main__":
    arguments = parser("export", "Write model.bin.")
    sys.exit(command.run(main, arguments))
