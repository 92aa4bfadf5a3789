"""Checkpoints: one safetensors file each, which appears whole or not at all and proves that it is whole.

A file step-00001234-<first 16 digits of its sha256>.safetensors holds the model's and the optimizer's tensors and, as
one JSON value among its metadata, the run's state. It is written beside its place, forced to the disk, and renamed; so
a kill at any moment leaves the one before. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from training.command import say, sync

KEPT = 2
_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{16})\.safetensors")
_STATE = "state"


def write(directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Path:
    """Write a checkpoint of the step state["step"], and delete all but the last two."""
    tensors = {f"model.{name}": tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    data = save(tensors, metadata={_STATE: json.dumps(state, sort_keys=True, allow_nan=False)})
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
    for _, old in _found(directory)[KEPT:]:
        old.unlink(missing_ok=True)
    return final


def read_latest(
    directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fresh: dict[str, Any]
) -> dict[str, Any] | None:
    """Restore the newest whole checkpoint of a run; returns its state, or None where there is none.

    fresh: the run's state before its first step; "run" is its digest. A checkpoint that is broken, of another run, or
    has other fields or tensors is passed over with a word, and leaves model and optimizer as they were.
    """
    for left in directory.glob(".tmp-*"):
        left.unlink(missing_ok=True)
    for digest, path in _found(directory):
        data = path.read_bytes()
        if not hashlib.sha256(data).hexdigest().startswith(digest):
            say(f"{path.name}: damaged (its sha256 is not the one in its name); passed over")
            continue
        try:
            tensors = load(data)
            state: dict[str, Any] = json.loads(_metadata(data)[_STATE])
        except (SafetensorError, KeyError, ValueError, RecursionError) as error:
            say(f"{path.name}: not a checkpoint ({error}); passed over")
            continue
        if isinstance(state, dict) and state.get("run") != fresh["run"]:
            say(f"{path.name}: of a run with other settings or data; passed over")
            continue
        if flaw := _flaw(state, fresh) or _misfit(model, tensors):
            say(f"{path.name}: not a checkpoint of this run ({flaw}); passed over")
            continue
        _restore(model, optimizer, tensors)
        return state
    return None


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
    """What is wrong with the tensors: the model's and none, one or several of the optimizer's for each parameter."""
    expected = {f"model.{name}": (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
    for key in {name.split(".")[1] for name in tensors if name.startswith("optimizer.")}:
        for name, parameter in model.named_parameters():
            shape = torch.Size() if key == "step" else parameter.shape
            expected[f"optimizer.{key}.{name}"] = (shape, torch.float32)
    got = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            return f"{name} is {_described(got.get(name))}, expected {_described(expected.get(name))}"
    return ""


def _described(form: tuple[torch.Size, torch.dtype] | None) -> str:
    return "not there" if form is None else f"{form[1]} {list(form[0])}"


def _restore(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    model.load_state_dict(
        {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    )
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = {parameter: name for name, parameter in model.named_parameters()}
    keys = sorted({name.split(".")[1] for name in tensors if name.startswith("optimizer.")})
    moments = {
        index: {key: tensors[f"optimizer.{key}.{names[parameter]}"] for key in keys}
        for index, parameter in enumerate(ordered)
        if keys
    }
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _found(directory: Path) -> list[tuple[str, Path]]:
    """(digest, path) of the checkpoints, newest step first."""
    matched = [(found, path) for path in directory.glob("step-*") if (found := _NAME.fullmatch(path.name))]
    matched.sort(key=lambda pair: (int(pair[0][1]), pair[1].stat().st_mtime_ns), reverse=True)
    return [(found[2], path) for found, path in matched]


def _metadata(data: bytes) -> dict[str, str]:
    """A safetensors file's metadata: a u64 length, then a JSON header."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata: dict[str, str] = header["__metadata__"]
    return metadata
