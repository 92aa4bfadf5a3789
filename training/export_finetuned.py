"""A model that was trained further in, model.bin out: the trained weights, and of the imported model all the rest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from training import command, imported
from training import export as exports
from training.config.export import Export
from training.config.section import read
from training.export_imported import sections_of
from training.finetune import shape_of
from training.format.dtypes import dtypes_of
from training.format.families import expected_tensors
from training.format.file import write_model
from training.tokenizer_file import FLAT_NAME


def build(
    params: dict[str, Any],
    weights_path: Path,
    summary_path: Path,
    imported_dir: Path,
    shards_dir: Path,
    out: Path,
) -> dict[str, Any]:
    """Write `out`; returns its header. Raises ValueError where weights, imported model and shards do not fit."""
    export = read(params, Export)
    summary = exports.read_summary(summary_path)
    model = imported.read(imported_dir, weights=False)
    exports.check_same_tokenizer(imported_dir, summary)
    specs = expected_tensors(model.config, model.architecture)
    stored = exports.stored_weights(weights_path, shape_of(model), specs, export.dtype)
    module = exports.module_of(shape_of(model), model.config["vocab_size"], stored)
    begin, ctx_len = model.config["bos_token_id"], model.config["ctx_len"]
    ids = exports.golden_ids(begin, model.tokenizer, export.golden_prompt, ctx_len)
    provenance = exports.provenance_of(params, summary, module, weights_path, shards_dir, imported_dir)
    return write_model(
        out,
        model.config,
        (imported_dir / FLAT_NAME).read_bytes(),
        stored,
        exports.golden(ids, lambda: exports.last_logits(module, ids)),
        {**provenance, "import": model.origin},
        dtypes_of(specs, export.dtype),
        model.architecture,
        sections_of(model),
    )


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    exports.execute(arguments, build)


if __name__ == "__main__":
    arguments = exports.parser("export_finetuned", "Write the model.bin of a model that was trained further.")
    sys.exit(command.run(main, arguments))
