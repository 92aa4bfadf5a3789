"""The imported SmolLM2-135M-Instruct against `transformers`, which reads the folder that `export_hf` writes."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from stages.paths import ROOT
from tests.parity.compare import DEVICES, Logits
from tests.parity.conftest import BUILD

# A chat of two turns and what one would say, 256 tokens and more: what a reader of the page asks of this model.
TEXT = (
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nThe capital of France is "
    "Paris. It lies on the Seine, in the north of the country, and has been its largest city since the Middle "
    "Ages.<|im_end|>\n<|im_start|>user\nWrite a short story about a lighthouse keeper, and then explain how a "
    "lens gathers light.<|im_end|>\n<|im_start|>assistant\nOld Tom had kept the light for thirty years. Every "
    "evening he climbed the 212 steps, wiped the salt off the panes and lit the lamp. One night in November a "
    "storm came up from the west; the wind tore at the shutters, and far out he saw a small red lantern rise and "
    "sink. He rang the bell until his hands were sore, and in the morning a fishing boat lay safe behind the "
    "mole. A lens gathers light because glass slows it: rays that fall on the edge are bent more than those near "
    "the middle, so that all of them meet in one point, the focus. Turned round, a lamp in the focus sends out a "
    "beam whose rays run side by side, and a ship sees it twenty miles away. That is why the lamp of a "
    "lighthouse may be small, and why its lens is as tall as a man: the larger the lens, the more of the light "
    "it turns to where it is wanted."
)


@cache
def theirs() -> tuple[list[int], np.ndarray[Any, Any]]:
    """256 ids of the text, and the logits of `transformers` for them, (256, V)."""
    import transformers as hf

    done = subprocess.run(["./doitw", "export_hf", "cli", "preset=smollm2"], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    folder = BUILD / "smollm2" / "hf"
    ids = hf.AutoTokenizer.from_pretrained(folder)(TEXT, add_special_tokens=False)["input_ids"][:256]
    assert len(ids) == 256
    with torch.no_grad():
        model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        logits = model(torch.tensor([ids])).logits[0]
    return ids, np.asarray(logits.numpy())


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chunk", [None, 1])
@pytest.mark.parametrize("cache", ["f32", "f16"])
def test_the_logits_are_those_of_transformers(
    engine_logits: Logits, device: str, chunk: int | None, cache: str
) -> None:
    """As a prompt, and token by token as an answer is written: the same most likely token, and a divergence <= 1e-5."""
    ids, expected = theirs()
    if (device, chunk) == ("gpu", 1):
        ids, expected = ids[:64], expected[:64]  # a software adapter takes minutes for more
    got = engine_logits(BUILD / "smollm2" / "model.bin", ids, device, chunk, cache)
    log_p, log_q = (torch.from_numpy(logits).double().log_softmax(-1) for logits in (expected, got))
    divergence = float((log_p.exp() * (log_p - log_q)).sum(-1).mean())
    equal = int((got.argmax(1) == expected.argmax(1)).sum())
    nmse = float(((got - expected) ** 2).sum() / (expected**2).sum())
    asked = f"{device}, {len(ids)} tokens, chunk {chunk}, {cache} cache"
    print(f"{asked}: KL {divergence:.1e}, top-1 {equal}, NMSE {nmse:.1e}")
    assert equal >= len(ids) * (1 if cache == "f32" else 0.99)
    assert divergence <= 1e-5
    assert nmse <= 1e-6
