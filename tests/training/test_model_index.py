"""What the page reads of a model before it is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.models import config, write_random_model
from training import model_index


@pytest.mark.parametrize("tied", [False, True])
def test_the_entry_is_what_the_file_holds(tmp_path: Path, tied: bool) -> None:
    made = write_random_model(tmp_path / "m.bin", config(tie_embeddings=tied), 1, "f32")
    assert model_index.entry("odd name", "../m.bin", made.path) == {
        "name": "odd name",
        "path": "../m.bin",
        "size_bytes": made.path.stat().st_size,
        "parameters": sum(values.numel() for values in made.weights.values()),
        "chat": False,
    }


def test_the_command_prints_an_index(tmp_path: Path) -> None:
    made = write_random_model(tmp_path / "m.bin", config(), 1, "f32")
    words = ["--name", "a", "--path", "a/model.bin", "--model", made.path]
    done = subprocess.run([sys.executable, "-m", "training.model_index", *words], capture_output=True, check=True)
    assert json.loads(done.stdout) == {"models": [model_index.entry("a", "a/model.bin", made.path)]}
