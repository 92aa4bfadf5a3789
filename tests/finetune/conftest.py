"""A small imported model whose template is ChatML, and chats for it: made when a test runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop import models
from tests.training.conftest import never_stop
from training import chat_shards, finetune, import_model, imported, train
from training.config import preset as config
from training.config.import_ import Import
from training.imported import Imported

SENTENCES = ("the quick brown fox", "jumps over the lazy dog", "and 1234 others", "it's not there yet", "over there")
SHORT = {"train.eval_tokens": "1024", "sample.tokens": "4", "export.golden_prompt": "the quick brown fox"}
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def small_model(folder: Path, architecture: str = "llama", **changes: Any) -> Imported:
    """A random model of a family, from a Hugging Face folder that is written to `folder`."""
    made = models.model(architecture, **changes)
    models.write_folder(folder, made, chat_template=CHATML, eos_token="<|im_end|>")
    return import_model.load(Import(folder.as_uri()), folder)


def chat(*texts: str) -> list[dict[str, str]]:
    """Questions and answers in turn."""
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return small_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def imported_dir(model: Imported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as the step `import` leaves it."""
    folder = tmp_path_factory.mktemp("imported")
    imported.write(folder, model)
    return folder


def params(**overrides: str) -> dict[str, Any]:
    """Those of the preset finetune, as a stage writes them."""
    given = {**SHORT, **{name.replace("__", "."): value for name, value in overrides.items()}}
    loaded = config.load("finetune", {"train.batch_size": "3", "train.lr": "3e-3", **given})
    return {
        "params": {"preset": "mine", **{each.NAME: each.decisive() for each in loaded.sections()}},
        "runtime": {"train": {"checkpoint_seconds": 0.0}},
        "profile": "repro",
    }


@pytest.fixture(scope="session")
def shards_dir(imported_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = imported.read(imported_dir)
    folder = tmp_path_factory.mktemp("shards")
    chats = [(str(at), chat(f"{at}?", text)) for at, text in enumerate(SENTENCES)]
    chat_shards.write(folder, "train", chats, model)
    chat_shards.write(folder, "val", [("v", chat("0?", SENTENCES[0]))], model)
    return folder


def tuned(out: Path, shards_dir: Path, imported_dir: Path, partial: Path | None = None, **overrides: str) -> Path:
    inputs = finetune.load(params(**overrides), shards_dir, imported_dir)
    train.run(inputs, partial or out / "partial", out, never_stop())
    return out
