"""Checkpoints: one safetensors file each, which appears whole or not at all and proves that it is whole.

A file step-00001234-<first 16 digits of its sha256>.safetensors holds what is trained of the model, the tensors of its
optimizers and, as JSON among its metadata, the run's state and what else the optimizers know. It is written beside its
place, forced to the disk, and renamed; so a kill at any moment leaves the one before. Nothing is pickled. A folder
holds the checkpoints of one run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from training.command import say, sync
from training.pieces import piece_of, whole

KEPT = 2
_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{16})\.safetensors")
_STATE, _OPTIMIZERS = "state", "optimizers"


def write(
    directory: Path, model: nn.Module, optimizers: Sequence[Optimizer], state: dict[str, Any], kept: int = KEPT
) -> Path:
    """Write a checkpoint of the step state["step"], and delete all but the last ones of the folder.

    Raises ValueError where an optimizer's state holds what is neither a tensor nor a plain value.
    """
    tensors, packed = gathered(model, optimizers)
    metadata = {
        _STATE: json.dumps(state, sort_keys=True, allow_nan=False),
        _OPTIMIZERS: json.dumps(packed),
    }
    data = save(tensors, metadata={"pocketlm": json.dumps(metadata, sort_keys=True)})  # several are in random order
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / f"step-{state['step']:08}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    temporary = directory / f".tmp-{os.getpid()}"
    try:
        with temporary.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.rename(final)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(
            error.errno,
            f"{error.strerror}: the checkpoint of step {state['step']} was not written; the one before it "
            "stays, and the same command goes on from there",
            str(directory),
        ) from error
    sync(directory)
    for _, old in found(directory)[kept:]:
        old.unlink(missing_ok=True)
    return final


def gathered(model: nn.Module, optimizers: Sequence[Optimizer]) -> tuple[dict[str, Tensor], list[Any]]:
    """What a checkpoint holds of a model and its optimizers: tensors by name, and the optimizers' states as JSON. Where
    tensors are in pieces all processes must do this, whichever of them writes.
    """
    tensors = {f"model.{name}": _stored(tensor) for name, tensor in _trained(model).items()}
    states = enumerate(optimizer.state_dict() for optimizer in optimizers)
    return tensors, [_packed(state, f"optimizer.{index}", tensors) for index, state in states]


def read_latest(
    directory: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    fresh: dict[str, Any],
    last_step: int | None = None,
) -> dict[str, Any] | None:
    """Restore the newest whole checkpoint of a folder; returns its state, or None where there is none.

    fresh: the run's state before its first step; "run" is its digest. last_step: later ones are not looked at. A
    checkpoint that is broken, of another run, or has other fields or tensors is passed over with a word, and leaves
    model and optimizers as they were.
    """
    for left in directory.glob(".tmp-*"):
        left.unlink(missing_ok=True)
    for step, path in found(directory):
        if last_step is not None and step > last_step:
            continue
        data = path.read_bytes()
        if not path.stem.endswith(hashlib.sha256(data).hexdigest()[:16]):
            say(f"{path.name}: damaged (its sha256 is not the one in its name); passed over")
            continue
        try:
            tensors = load(data)
            metadata = json.loads(_metadata(data))
            state: dict[str, Any] = json.loads(metadata[_STATE])
            states = [_unpacked(each, tensors) for each in json.loads(metadata[_OPTIMIZERS])]
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            say(f"{path.name}: not a checkpoint ({error}); passed over")
            continue
        if isinstance(state, dict) and state.get("run") != fresh["run"]:
            say(f"{path.name}: of a run with other settings or data; passed over")
            continue
        flaw = _flaw(state, fresh) or _misfit(model, tensors) or _other_optimizers(optimizers, states)
        if flaw:
            say(f"{path.name}: not a checkpoint of this run ({flaw}); passed over")
            continue
        trained = _trained(model)
        saved = {name: piece_of(tensors[f"model.{name}"], weight) for name, weight in trained.items()}
        model.load_state_dict(saved, strict=False)  # `_misfit` has compared; what is not trained stands there already
        for optimizer, its_own in zip(optimizers, states, strict=True):
            _restore(optimizer, its_own)
        return state
    return None


def found(directory: Path) -> list[tuple[int, Path]]:
    """(step, path) of a folder's checkpoints, newest step first."""
    matched = [(int(name[1]), path) for path in directory.glob("step-*") if (name := _NAME.fullmatch(path.name))]
    return sorted(matched, key=lambda pair: (pair[0], pair[1].stat().st_mtime_ns), reverse=True)


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """What training changes of a model: of one with adapters little more than these."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _stored(tensor: Tensor) -> Tensor:
    """As safetensors takes it: on the CPU, in one piece, and sharing no memory."""
    return whole(tensor.detach()).cpu().contiguous().clone()


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Any nesting of tensors and plain values as JSON. A tensor goes to `tensors`, and its name stands for it."""
    if isinstance(value, Tensor):
        tensors[name] = _stored(value)
        return {"tensor": name}
    if isinstance(value, dict):
        pairs = [[key, _packed(each, f"{name}.{key}", tensors)] for key, each in value.items()]
        return {"dict": pairs}  # pairs: JSON would make texts of keys that are numbers
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_packed(each, f"{name}.{index}", tensors) for index, each in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"plain": value}
    raise ValueError(f"{name} is a {type(value).__name__}: a checkpoint holds tensors, numbers, texts, lists and dicts")


def _unpacked(packed: Any, tensors: dict[str, Tensor]) -> Any:
    """What `_packed` was given. Raises KeyError, TypeError or ValueError for what it has not made."""
    ((kind, value),) = packed.items() if isinstance(packed, dict) else (("", packed),)
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: _unpacked(each, tensors) for key, each in value}
    if kind in ("list", "tuple"):
        made = [_unpacked(each, tensors) for each in value]
        return made if kind == "list" else tuple(made)
    if kind == "plain":
        return value
    raise ValueError(f"{packed!s:.80} is no packed value")


def _flaw(state: Any, fresh: dict[str, Any]) -> str:
    """What is wrong with a state: it must have the fields of `fresh`, and numbers where that has them."""
    if not isinstance(state, dict) or state.keys() != fresh.keys():
        return f"its state does not have just {', '.join(sorted(fresh))}"
    for name, value in fresh.items():
        kind = type(value)
        if kind in (int, float) and not (type(state[name]) is kind and 0 <= state[name] < float("inf")):
            return f"{name} is {state[name]!r:.80}, expected {kind.__name__} of 0 or more"
    return ""


def _misfit(model: nn.Module, tensors: dict[str, Tensor]) -> str:
    """What is wrong with the model's tensors."""
    expected = {f"model.{name}": (tensor.shape, tensor.dtype) for name, tensor in _trained(model).items()}
    got = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items() if name.startswith("model.")}
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            return f"{name} is {_described(got.get(name))}, expected {_described(expected.get(name))}"
    return ""


def _described(form: tuple[torch.Size, torch.dtype] | None) -> str:
    return "not there" if form is None else f"{form[1]} {list(form[0])}"


def _other_optimizers(optimizers: Sequence[Optimizer], states: list[Any]) -> str:
    """What is wrong with the optimizers' states: each must have the groups of its optimizer, of the same sizes."""
    expected = [[len(group["params"]) for group in optimizer.param_groups] for optimizer in optimizers]
    try:
        got = [[len(group["params"]) for group in state["param_groups"]] for state in states]
        known = all(
            isinstance(values, dict) and 0 <= index < sum(sizes)
            for state, sizes in zip(states, got, strict=True)
            for index, values in state["state"].items()
        )
    except (KeyError, TypeError, AttributeError):
        return "an optimizer's state is not one"
    if got != expected:
        return f"its optimizers have groups of {got} parameters, expected {expected}"
    return "" if known else "an optimizer's state is of parameters that are not there"


def _restore(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Give an optimizer its state. PyTorch puts each tensor on its parameter's device, and in the parameter's dtype: it
    gets its own back here.
    """
    optimizer.load_state_dict(saved)
    for parameter, values in zip(_parameters(optimizer), _in_order(saved), strict=True):
        if values is not None:
            loaded = optimizer.state[parameter]
            for key, value in values.items():
                exact = _exact(loaded[key], value)
                loaded[key] = piece_of(exact, parameter) if isinstance(exact, Tensor) else exact


def _parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _in_order(saved: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
    for group in saved["param_groups"]:
        yield from (saved["state"].get(index) for index in group["params"])


def _exact(loaded: Any, saved: Any) -> Any:
    if isinstance(saved, Tensor):
        return loaded if loaded.dtype == saved.dtype else saved.to(loaded.device)
    if isinstance(saved, dict):
        return {key: _exact(loaded[key], value) for key, value in saved.items()}
    if isinstance(saved, list | tuple):
        return type(saved)(_exact(*pair) for pair in zip(loaded, saved, strict=True))
    return saved


def _metadata(data: bytes) -> str:
    """A safetensors file's metadata: a u64 length, then a JSON header."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return str(header["__metadata__"]["pocketlm"])
