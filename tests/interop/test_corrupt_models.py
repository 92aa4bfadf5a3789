"""A damaged model file is a ValueError that names its source, or a model whose tokenizer works."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Kind

from tests.interop import models
from tests.tokenizer.damage import damaged
from training import import_model
from training.config.import_ import Import


def read(path: Path, data: bytes, source: str, must_name: str) -> bool:
    """Whether the file of these bytes was refused."""
    path.write_bytes(data)
    try:
        found = import_model.load(Import(source=source, sha256="", ctx_len=0), path.parent)
    except ValueError as error:
        assert str(error).startswith(source) and must_name in str(error), error
        return True
    found.tokenizer.encode(models.TEXT, special=True)
    return False


def test_gguf(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    models.write_gguf(path, models.model("llama"), Kind.F32)
    whole = path.read_bytes()
    metadata = whole.index(b"token_embd.weight") + 2000
    refused = [read(path, data, "file:m.gguf", "file:m.gguf") for data in damaged(whole, 400, metadata)]
    assert all(refused[:16])
    assert any(refused[16:])


@pytest.mark.parametrize("architecture", ["qwen2"])
def test_tokenizer_json_of_a_folder(tmp_path: Path, architecture: str) -> None:
    models.write_folder(tmp_path / "m", models.model(architecture))
    path = tmp_path / "m" / "tokenizer.json"
    whole = path.read_bytes()
    source = f"file:{tmp_path / 'm'}"
    refused = [read(path, data, source, "tokenizer.json") for data in damaged(whole, 300)]
    assert all(refused[:16])
    assert any(refused[16:])
