"""A model whose every word is markup, or moves what stands beside it: what the page must show as text, and never take
for part of itself.

    python -m tests.e2e.hostile_model OUT.BIN

Each of MARKUP is one token, and the output head likes these tokens equally and no other. The free texts of the header
are markup, too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pocketlm_tokenizer import Tokenizer

from tests import oracles
from tests.parity.models import config
from training.format.families import expected_tensors
from training.format.file import Golden, write_model

MARKUP = (
    "<img src=x onerror=\"document.title='taken'\">",
    "<script>document.title='taken'</script>",
    "<iframe srcdoc=\"<script>parent.document.title='taken'</script>\"></iframe>",
    "</div></section><h1>taken</h1>",
    "<a href=\"javascript:document.title='taken'\">taken</a>",
    "[taken](javascript:document.title='taken') ![taken](https://elsewhere.invalid/a.png)",
    "\x1b]0;taken\x07\x1b[31mtaken\x1b[2J",  # a terminal's title, colour, and an empty screen
    "\u202etaken \u2066\u2069\u2069",  # from right to left, and out of what was isolated
)


def weights(shape: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Layers that add nothing, one embedding for all tokens, and a head that answers with the tokens of MARKUP."""
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for spec in expected_tensors(shape):
        is_layer = "proj" in spec.name
        tensors[spec.name] = np.full(spec.shape, 0.0 if is_layer else 1.0, dtype="<f4")
    tensors["lm_head.weight"][len(MARKUP) :] = 0
    return tensors


def main(out: Path) -> None:
    """Write the model."""
    tokenizer = Tokenizer.train(["no words of its own"], 261 + len(MARKUP), list(MARKUP))
    shape = config(vocab_size=tokenizer.vocab_size, tie_embeddings=False, bos_token_id=0)
    tensors = weights(shape)
    ids = tokenizer.encode("no words")
    logits = oracles.llama(shape, {name: torch.from_numpy(values) for name, values in tensors.items()}, ids)[-1]
    provenance = {"preset": MARKUP[0], "sample_prompts": list(MARKUP)}
    write_model(out, shape, tokenizer.to_bytes(), tensors, Golden(ids, logits.numpy()), provenance)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
