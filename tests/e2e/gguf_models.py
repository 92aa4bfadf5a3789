"""GGUF files as `export_gguf` writes them, each beside the model.bin that it was made from: f32, f16, q8_0 and q4_0;
and one as others have it, in Q4_K and Q6_K, beside the model.bin that import and export make of it.

    python -m tests.e2e.gguf_models BUNDLE/model.bin OUT

In f32 and f16 the bundle's own weights. Their rows are no whole blocks, so the others have random weights, and the
bundle's tokenizer. f16 has a chat template, too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
from gguf import GGMLQuantizationType as Kind

from tests.e2e.chat_model import TEMPLATE
from tests.e2e.random_bundle import IN_BLOCKS, SHAPES
from tests.interop import blocks
from tests.parity.models import config, write_random_model
from training import export_imported, import_model, imported
from training.config.import_ import Import
from training.format.dtypes import DTYPES, Dtype, dtypes_of
from training.format.families import expected_tensors
from training.format.file import Section, read_model, write_model
from training.interop import gguf_writer


def main(bundle_model: Path, out: Path) -> None:
    """Write all of them: OUT/DTYPE.bin and OUT/DTYPE.gguf, and q4_k_m of each."""
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
    in_large_blocks = {"n_head": 8, "n_kv_head": 2, "d_head": 32, "d_model": 256, "d_ff": 512}
    _write_q4_k_m(out, {**shape, **in_large_blocks}, trained.tokenizer_bytes)


def _write_q4_k_m(out: Path, shape: dict[str, Any], tokenizer: bytes) -> None:
    """OUT/q4_k_m.gguf, random blocks of the types that such files have; and OUT/q4_k_m.bin."""
    write_random_model(out / "shape.bin", shape, 3, "f32", tokenizer)
    model = read_model(out / "shape.bin")
    rng = np.random.default_rng(4)
    tensors = []
    for name, stored in model.stored.items():
        if len(stored.shape) == 1:
            rows, kind = stored.values(), Kind.F32
        else:
            kind = Kind.Q6_K if "embed" in name or "layers.0.mlp.down" in name else Kind.Q4_K
            rows = blocks.random_rows(kind, stored.shape, stored.shape[1] ** -0.5, rng)
        tensors.append((gguf_writer.their_name(name), rows, kind))
    gguf_writer.write_tensors(out / "q4_k_m.gguf", model, tensors)

    folder = out / "imported"
    folder.mkdir()
    imported.write(folder, import_model.load(Import("file:q4_k_m.gguf"), out))
    export = {"golden_prompt": "Once upon a time", "dtype": "q8_0"}
    params = {"params": {"preset": "q4_k_m", "sample": {}, "export": export}}
    export_imported.build(params, folder, out / "q4_k_m.bin")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
