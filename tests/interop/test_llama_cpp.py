"""What we write as GGUF, in a llama.cpp that we did not build: the same logits as our reference."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from stages import paths, tools
from tests.interop import models
from tests.interop.test_writers import model_bin, written
from training import export_gguf, reference

IDS = np.random.default_rng(7).integers(300, size=64).tolist()
SCRIPT = Path(__file__).with_name("llama.mjs")

pytestmark = pytest.mark.skipif(
    not (tools.LLAMA_CPP_RUNS and tools.LLAMA_CPP.is_ready()),
    reason="no llama.cpp: `./doitw setup:llama-cpp` installs one on Linux on x86-64",
)


def theirs(gguf_file: Path, ids: list[int]) -> torch.Tensor:
    """llama.cpp's logits of each position, (T, V) f64."""
    out = gguf_file.with_suffix(".json")
    done = subprocess.run(
        ["node", SCRIPT, paths.LLAMA_CPP, gguf_file, out, json.dumps(ids)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return torch.tensor(json.loads(out.read_text()), dtype=torch.float64)


@pytest.mark.parametrize("architecture", models.CLASSES)
@pytest.mark.parametrize(("kind", "most"), [(Kind.F32, 1e-6), (Kind.Q8_0, 1e-3)])
def test_the_logits_are_those_of_llama_cpp(tmp_path: Path, architecture: str, kind: Kind, most: float) -> None:
    """Mean KL divergence in nats. In q8_0 llama.cpp rounds the activations to 8 bits as well, and we do not."""
    model = model_bin(tmp_path, architecture, kind, tied=architecture != "qwen2", dtype="q8_0")
    written(export_gguf, tmp_path)
    log_q = theirs(tmp_path / "out" / "model.gguf", IDS).log_softmax(-1)
    log_p = reference.logits(model.config, model.stored, IDS).double().log_softmax(-1)
    assert log_p.shape == log_q.shape
    kl = float((log_p.exp() * (log_p - log_q)).sum(-1).mean())
    print(f"\n{architecture} {kind.name}: mean KL {kl:.2e} nats")
    assert 0 <= kl + 1e-12 <= most
    assert float(log_p.std()) > 0.5, "the model says something"
