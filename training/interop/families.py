"""What every reader of other people's models refuses in the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.format.families import FAMILIES, TensorSpec


class BadModel(ValueError):
    """A model that cannot be imported. The message names what is missing or not supported."""


def known_family(name: Any, where: str) -> str:
    """The family, if there is one of this name in training/FORMAT.md."""
    if name not in FAMILIES:
        raise BadModel(f"{where}={name!r} is a family that is not supported; there are: {', '.join(sorted(FAMILIES))}")
    return str(name)


def check_tensors(specs: Sequence[TensorSpec], found: Mapping[str, tuple[int, ...]]) -> None:
    """Raises BadModel unless the tensors found, by name and shape, are those of the configuration."""
    for spec in specs:
        if spec.name not in found:
            raise BadModel(f"there is no tensor {spec.name}")
        if found[spec.name] != spec.shape:
            raise BadModel(f"{spec.name} has the shape {list(found[spec.name])}, expected {list(spec.shape)}")
    if unknown := sorted(set(found) - {spec.name for spec in specs}):
        raise BadModel(f"the tensor {unknown[0]} has no place in this family: not supported")
