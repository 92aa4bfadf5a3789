"""A model of more than 200 MB with random weights, to see what loading takes: wide, and few layers.

    python -m tests.e2e.large_model BUNDLE_MODEL FILE

The tokenizer is the bundle's, since the page opens it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.parity.models import config, write_random_model
from training.format.file import read_model

LEAST_BYTES = 200_000_000


def main(bundle_model: Path, out: Path) -> None:
    """Write the model."""
    trained = read_model(bundle_model)
    shape = config(
        n_layer=8,
        n_head=16,
        n_kv_head=16,
        d_model=1024,
        d_head=64,
        d_ff=2816,
        ctx_len=128,
        vocab_size=trained.config["vocab_size"],
    )
    write_random_model(out, shape, seed=1, dtype="f16", tokenizer=trained.tokenizer_bytes)
    size = out.stat().st_size
    assert size >= LEAST_BYTES, f"{size} bytes"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
