"""The family that [model] names, as a module to train; and what a model.bin holds of it (training/FORMAT.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from training.config.model import Model
from training.model import fast
from training.model.fast import Fast
from training.model.llama import Llama

LanguageModel = Llama | Fast


def language_model(model: Model, vocab_size: int) -> LanguageModel:
    """A module with weights that nobody has drawn yet."""
    return Fast(model, vocab_size) if model.family == "fast" else Llama(model, vocab_size)


def format_config(model: Model, vocab_size: int) -> dict[str, Any]:
    """The fields of FORMAT.md's `config` that the sizes decide."""
    sizes = {name: value for name, value in model.values().items() if name != "family"}
    own = {"logit_cap": fast.LOGIT_CAP} if model.family == "fast" else {}
    return {**sizes, **own, "vocab_size": vocab_size}


def format_tensors(model: Model, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """A module's weights as FORMAT.md has them."""
    return fast.format_tensors(model, weights) if model.family == "fast" else weights
