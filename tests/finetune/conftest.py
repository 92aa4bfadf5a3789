"""A small imported model whose template is ChatML, and chats for it: made when a test runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop import models
from training import import_model, imported
from training.config.import_ import Import
from training.imported import Imported

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
