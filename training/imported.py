"""A model that others trained, as the step `import` leaves it and `export` takes it: a folder of

model.safetensors   tensors by Hugging Face's names: F32, F16, or, of a block format, the bytes of its section (U8)
import.json         architecture, configuration, each tensor's dtype, chat template, where it came from
tokenizer.tok       the flat form (rust/tokenizer/FORMAT.md), and tokenizer.json beside it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pocketlm_tokenizer import SPLITS, Tokenizer
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from training import command
from training.chat import Template
from training.format.dtypes import PLAIN, QUANT_NBYTES, Stored
from training.tokenizer_file import FLAT_NAME, JSON_NAME

WEIGHTS_NAME = "model.safetensors"
ABOUT_NAME = "import.json"


@dataclass(frozen=True)
class Imported:
    """What was read, in the terms of training/FORMAT.md."""

    architecture: str  # a key of training.format.families.FAMILIES
    config: dict[str, Any]  # its fields
    tensors: dict[str, Stored]  # of any dtype; f32 where model.bin has no layout for theirs
    tokenizer: Tokenizer
    chat_template: str | None = None
    origin: dict[str, Any] = field(default_factory=dict)  # source, digest, name, licence, dtypes as they came

    @property
    def stop_ids(self) -> frozenset[int]:
        """The tokens that end a text."""
        stops = {self.config["eos_token_id"], *(self.config.get("stop_token_ids") or ())}
        return frozenset(stops - {None})

    def template(self) -> Template | None:
        """The chat template, ready to be rendered; None where the model has none."""
        if self.chat_template is None:
            return None
        names = {number: name for name, number in self.tokenizer.special_tokens.items()}
        bos, eos = (names.get(self.config[f"{each}_token_id"], "") for each in ("bos", "eos"))
        return Template(self.chat_template, list(self.tokenizer.special_tokens), bos, eos)


def write(folder: Path, model: Imported) -> None:
    """Write a model into a folder. Raises ValueError where the engine cannot split text as its tokenizer does."""
    if model.tokenizer.split not in SPLITS:
        pattern = model.tokenizer.split.removeprefix("regex:")
        raise ValueError(
            f"the tokenizer splits text by the pattern {pattern!r}, for which the engine has no scanner; "
            f"it has those of {', '.join(SPLITS)}"
        )
    arrays = {name: _array(stored) for name, stored in model.tensors.items()}
    save_file(arrays, folder / WEIGHTS_NAME)
    about = {
        "architecture": model.architecture,
        "config": model.config,
        "tensors": {name: [stored.dtype, list(stored.shape)] for name, stored in model.tensors.items()},
        "chat_template": model.chat_template,
        "origin": model.origin,
    }
    command.write_json(folder / ABOUT_NAME, about)
    (folder / FLAT_NAME).write_bytes(model.tokenizer.to_bytes())
    (folder / JSON_NAME).write_text(model.tokenizer.to_hf_json(), encoding="utf-8")


def read(folder: Path, weights: bool = True) -> Imported:
    """Read the folder back; without its tensors where `weights` is false.

    Raises ValueError that names the file which is not as `write` left it.
    """
    about = command.read_json(folder / ABOUT_NAME)
    try:
        arrays = load_file(folder / WEIGHTS_NAME) if weights else {}
        tensors = {
            name: Stored(dtype, tuple(shape), arrays[name].reshape(-1).view(np.uint8))
            for name, (dtype, shape) in about["tensors"].items()
            if weights
        }
        return Imported(
            architecture=about["architecture"],
            config=about["config"],
            tensors=tensors,
            tokenizer=Tokenizer.from_bytes((folder / FLAT_NAME).read_bytes()),
            chat_template=about["chat_template"],
            origin=about["origin"],
        )
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder}: not what import writes ({error}); import the model again") from error


def _array(stored: Stored) -> NDArray[Any]:
    """The bytes with the type and shape that safetensors shows; a block format's as they are."""
    if stored.dtype in QUANT_NBYTES:
        return stored.data
    return stored.data.view(PLAIN[stored.dtype]).reshape(stored.shape)
