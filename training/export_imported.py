"""An imported model in (training/imported.py), model.bin out: as training/export.py does it with a trained one.

A matrix stays bit for bit as it came unless `export.dtype` is narrower; one that came in a type which model.bin has no
layout for is written as `export.dtype` says.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from training import command, imported, reference
from training.config.export import Export
from training.config.sample import Sample
from training.config.section import read
from training.export import NAME, golden, golden_ids
from training.format.dtypes import DTYPES, Dtype, Stored, as_stored, dtypes_of
from training.format.families import TensorSpec, expected_tensors
from training.format.file import Section, write_model


def chosen_dtypes(specs: Sequence[TensorSpec], came: Mapping[str, Stored], dtype: str) -> dict[str, Dtype]:
    """The dtype of each tensor: its own, unless the one asked for is narrower."""
    asked = dtypes_of(specs, dtype)
    wider = {name: place for place, name in enumerate(DTYPES)}  # the widest first
    return {
        spec.name: cast("Dtype", max(came[spec.name].dtype, asked[spec.name], key=lambda each: wider[each]))
        for spec in specs
    }


def build(params: dict[str, Any], folder: Path, out: Path) -> dict[str, Any]:
    """Write `out`; returns its header. Raises ValueError where the folder is not one that import left."""
    export = read(params, Export)
    model = imported.read(folder)
    specs = expected_tensors(model.config, model.architecture)
    dtypes = chosen_dtypes(specs, model.tensors, export.dtype)
    stored = {
        spec.name: came
        if (came := model.tensors[spec.name]).dtype == dtypes[spec.name]
        else as_stored(spec, came.values(), dtypes[spec.name])
        for spec in specs
    }
    begin, ctx_len = model.config["bos_token_id"], model.config["ctx_len"]
    ids = golden_ids(begin, model.tokenizer, export.golden_prompt, ctx_len)
    flat = (folder / imported.FLAT_NAME).read_bytes()
    provenance = {
        "preset": params["params"].get("preset"),
        "sample_prompts": list(read(params, Sample).prompts),
        "settings": {name: values for name, values in params["params"].items() if name != "preset"},
        "import": model.origin,
        "weights_sha256": hashlib.sha256((folder / imported.WEIGHTS_NAME).read_bytes()).hexdigest(),
    }
    answer = golden(ids, lambda: reference.last_logits(model.config, stored, ids))
    return write_model(
        out, model.config, flat, stored, answer, provenance, dtypes, model.architecture, sections_of(model)
    )


def sections_of(model: imported.Imported) -> dict[str, Section]:
    """The optional sections of its model.bin."""
    return {} if model.chat_template is None else {"chat_template": Section(model.chat_template.encode())}


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    params = command.params_of(arguments)
    with command.publishing(arguments.out) as temporary:
        header = build(params, arguments.imported, temporary / NAME)
        nbytes = (temporary / NAME).stat().st_size
    counts = Counter(tensor["dtype"] for tensor in header["tensors"] if len(tensor["shape"]) > 1)
    written = ", ".join(f"{count} in {dtype}" for dtype, count in sorted(counts.items()))
    came = ", ".join(f"{count} {kind}" for kind, count in header["provenance"]["import"]["dtypes"].items())
    command.say(f"{NAME}: {nbytes:,} bytes; matrices: {written} (the file had {came})")


if __name__ == "__main__":
    arguments = command.parser("export_imported", "Write the model.bin of an imported model.")
    arguments.add_argument("--imported", type=Path, required=True, metavar="DIR", help="what import_model wrote")
    sys.exit(command.run(main, arguments))
