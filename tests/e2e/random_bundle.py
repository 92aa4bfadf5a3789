"""A bundle whose model has random weights and an odd shape: the browser is compared with torch beyond what was trained.

    python -m tests.e2e.random_bundle BUNDLE OUT INDEX

Copies the bundle and puts a random model in the place of its own; the tokenizer stays, since the page opens it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from tests.parity.models import config, write_random_model
from training.format.dtypes import Dtype
from training.format.file import read_model

# No size is a multiple of another, of 4 or of a workgroup where it need not be; GQA 3 and 1; d_head 16 to 128.
# The last is in blocks.
SHAPES: tuple[dict[str, Any], ...] = (
    {"n_layer": 3, "n_head": 6, "n_kv_head": 2, "d_model": 77, "d_head": 22, "d_ff": 131, "tie_embeddings": False},
    {"n_layer": 1, "n_head": 1, "n_kv_head": 1, "d_model": 33, "d_head": 128, "d_ff": 19, "tie_embeddings": True},
    {"n_layer": 2, "n_head": 6, "n_kv_head": 2, "d_model": 96, "d_head": 16, "d_ff": 160, "tie_embeddings": True},
)
IN_BLOCKS = 2


def in_blocks(tensor: str) -> Dtype:
    """Both block formats in one model."""
    return "q4_0" if ".mlp." in tensor else "q8_0"


def main(bundle: Path, out: Path, index: int) -> None:
    """Write the bundle of SHAPES[index]."""
    shutil.copytree(bundle, out)
    out.chmod(0o755)
    trained = read_model(bundle / "model.bin")
    shape = config(**SHAPES[index], ctx_len=300, vocab_size=trained.config["vocab_size"])
    (out / "model.bin").unlink()
    dtype = in_blocks if index == IN_BLOCKS else "f32"
    write_random_model(out / "model.bin", shape, index, dtype, trained.tokenizer_bytes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
