"""What all readers of other people's models, and all writers for other people's programs, refuse in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.format.families import MAX_STOPS, TensorSpec

SHARED = ("llama", "qwen2", "qwen3")  # the families that transformers and llama.cpp know


class BadModel(ValueError):
    """A model that cannot be imported. The message names what is missing or not supported."""


def known_family(name: Any, where: str) -> str:
    """The family, if it is one of training/FORMAT.md that others have too."""
    if name not in SHARED:
        raise BadModel(f"{where}={name!r} is a family that is not supported; there are: {', '.join(SHARED)}")
    return str(name)


def check_shared(family: str, program: str) -> None:
    """Raises ValueError where a program cannot run models of this family."""
    if family not in SHARED:
        raise ValueError(
            f"the model is of the family {family!r}, which {program} does not know; to export it, train one "
            f"with model.family={' or '.join(SHARED)}"
        )


def endings(eos: int | None, others: Iterable[int | None]) -> dict[str, Any]:
    """FORMAT.md's `eos_token_id` and `stop_token_ids`: the token that ends a document, and all others that end a text.

    Where there is no eos, the lowest of the others takes its place.
    """
    stops = sorted({token for token in others if token is not None} - {eos})
    if eos is None and stops:
        eos = stops.pop(0)
    if len(stops) > MAX_STOPS:
        raise BadModel(f"{len(stops)} tokens beside the eos token end a text, at most {MAX_STOPS} are supported")
    return {"eos_token_id": eos, "stop_token_ids": stops or None}


def check_tensors(specs: Sequence[TensorSpec], found: Mapping[str, tuple[int, ...]]) -> None:
    """Raises BadModel unless the tensors found, by name and shape, are those of the configuration."""
    for spec in specs:
        if spec.name not in found:
            raise BadModel(f"there is no tensor {spec.name}")
        if found[spec.name] != spec.shape:
            raise BadModel(f"{spec.name} has the shape {list(found[spec.name])}, expected {list(spec.shape)}")
    if unknown := sorted(set(found) - {spec.name for spec in specs}):
        raise BadModel(f"the tensor {unknown[0]} has no place in this family: not supported")
