"""Checkpoints: what is trained of a model, its optimizers' state, and the run's; and the weights that scored best.

The tensors are stored under their names (training/stored.py); beside them as JSON the run's state and what else the
optimizers know. A folder holds the checkpoints of one run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from training import dist, stored
from training.command import say
from training.pieces import piece_of, put_back
from training.stored import Damaged

KEPT = 2
STEP, BEST = "step", "best"  # kinds
_STATE, _OPTIMIZERS = "state", "optimizers"


def write(
    directory: Path, model: nn.Module, optimizers: Sequence[Optimizer], state: dict[str, Any], kept: int = KEPT
) -> Path:
    """Write a checkpoint of the step state["step"], and delete all but the last ones of the folder.

    Raises ValueError where an optimizer's state holds what is neither a tensor nor a plain value.
    """
    tensors: dict[str, Tensor] = {f"model.{name}": weight for name, weight in _trained(model).items()}
    states = enumerate(optimizer.state_dict() for optimizer in optimizers)
    packed = [_packed(its_own, f"optimizer.{index}", tensors) for index, its_own in states]
    notes = {_STATE: json.dumps(state, sort_keys=True, allow_nan=False), _OPTIMIZERS: json.dumps(packed)}
    final = stored.write(directory, STEP, state["step"], tensors, notes)
    if dist.leads():
        for _, old in found(directory)[kept:]:
            stored.delete(old)
    return final


def write_best(directory: Path, model: nn.Module, step: int) -> None:
    """Write the weights of a step that has scored best."""
    stored.write(directory, BEST, step, {f"model.{name}": weight for name, weight in _trained(model).items()}, {})


def read_best(path: Path, model: nn.Module) -> None:
    """Give a model such weights. Raises ValueError where they are not whole."""
    trained = _trained(model)
    try:
        tensors, _ = stored.read(path, lambda name: trained.get(name.removeprefix("model.")))
    except Damaged as error:
        raise ValueError(f"{path}: {error}; set train.keep=last, or delete {path.parent} to train again") from error
    if flaw := _misfit(model, tensors):
        raise ValueError(f"{path}: not the weights of this model ({flaw}); delete {path.parent} to train again")
    _load(model, tensors)


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
        stored.delete(left)
    for step, path in found(directory):
        if last_step is not None and step > last_step:
            continue
        try:
            tensors, notes = stored.read(path, lambda name: _weight_of(name, model, optimizers))
            state: dict[str, Any] = json.loads(notes[_STATE])
            states = [_unpacked(each, tensors) for each in json.loads(notes[_OPTIMIZERS])]
        except Damaged as damaged:
            say(f"{path.name}: {damaged}; passed over")
            continue
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            say(f"{path.name}: not a checkpoint ({error}); passed over")
            continue
        if isinstance(state, dict) and state.get("run") != fresh["run"]:
            say(f"{path.name}: of a run with other settings or data; passed over")
            continue
        flaw = _flaw(state, fresh) or _misfit(model, tensors) or _other_optimizers(optimizers, states)
        if flaw:
            say(f"{path.name}: not a checkpoint of this run ({flaw}); passed over")
            continue
        _load(model, tensors)
        for optimizer, its_own in zip(optimizers, states, strict=True):
            _restore(optimizer, its_own)
        return state
    return None


def found(directory: Path, kind: str = STEP) -> list[tuple[int, Path]]:
    """(step, path) of a folder's checkpoints, or of its best weights, newest step first."""
    return stored.found(directory, kind)


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """What training changes of a model: of one with adapters little more than these."""
    put_back(model)
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _load(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give a model its weights, of which `_misfit` found nothing wrong; what is not trained stands there already."""
    saved = {name: piece_of(tensors[f"model.{name}"], weight) for name, weight in _trained(model).items()}
    model.load_state_dict(saved, strict=False)


def _weight_of(name: str, model: nn.Module, optimizers: Sequence[Optimizer]) -> Tensor | None:
    """The weight that a tensor of a checkpoint is, or belongs to."""
    match name.split("."):
        case "model", *words:
            return _trained(model).get(".".join(words))
        case "optimizer", which, "state", index, *_ if int(which) < len(optimizers):
            return dict(enumerate(_parameters(optimizers[int(which)]))).get(int(index))
    return None


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Any nesting of tensors and plain values as JSON. A tensor goes to `tensors`, and its name stands for it."""
    if isinstance(value, Tensor):
        tensors[name] = value
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
