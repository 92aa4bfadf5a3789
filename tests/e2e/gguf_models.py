"""GGUF files as `export_gguf` writes them, each beside the model.bin that it was made from: f32, f16, q8_0 and q4_0.

    python -m tests.e2e.gguf_models BUNDLE/model.bin OUT

In f32 and f16 the bundle's own weights. Their rows are no whole blocks, so the other two have random weights, and the
bundle's tokenizer. f16 has a chat template, too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from tests.e2e.chat_model import TEMPLATE
from tests.e2e.random_bundle import IN_BLOCKS, SHAPES
from tests.parity.models import config, write_random_model
from training.format.dtypes import DTYPES, Dtype, dtypes_of
from training.format.families import expected_tensors
from training.format.file import Section, read_model, write_model
from training.interop import gguf_writer


def main(bundle_model: Path, out: Path) -> None:
    """Write all of them: OUT/DTYPE.bin and OUT/DTYPE.gguf."""
    out.mkdir(parents=True, exist_ok=True)
    trained = read_model(bundle_model)
    shape = config(**SHAPES[IN_BLOCKS], ctx_len=300, vocab_size=trained.config["vocab_size"], bos_token_id=0)
    specs = expected_tensors(trained.config, trained.architecture)
    for dtype in DTYPES:
        path = out / f"{dtype}.bin"
        if dtype in ("q8_0", "q4_0"):
            write_random_model(path, shape, 3, dtype, trained.tokenizer_bytes)
        else:
            write_model(
                path,
                trained.config,
                trained.tokenizer_bytes,
                trained.tensors,
                trained.golden,
                trained.provenance,
                dtypes_of(specs, cast("Dtype", dtype)),
                trained.architecture,
                {"chat_template": Section(TEMPLATE.encode())} if dtype == "f16" else {},
            )
        gguf_writer.write(out / f"{dtype}.gguf", read_model(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
