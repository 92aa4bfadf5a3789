"""A model.bin in, and what `evaluate` found of it: a model card out, in Hugging Face's form.

Writes OUT/README.md  for people, with the metadata that Hugging Face's hub reads at its head; it belongs into the
                      folder of export_hf, or beside model.bin
       OUT/card.json  the same facts for programs

All of it is what the file and the preset say; nothing is asked over the network. A fact that nobody knows is left out:
the bits per byte of an imported model, a licence that the preset does not name (export.license).
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training import command
from training.config.data import Data
from training.config.section import read
from training.format.dtypes import DTYPES, dtypes_of, nbytes
from training.format.errors import BadConfig
from training.format.families import expected_tensors
from training.format.file import ModelFile, read_model
from training.interop.families import SHARED

SPLITS = {"val": "validation", "test": "test"}
PROVENANCE_RUN = ("train_tokens", "train_bytes", "tokens_seen", "steps", "precision", "torch")


def facts(params: dict[str, Any], model: ModelFile, evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
    """Everything that the card says, as JSON. evaluation: evaluation.json, where the model has one."""
    made, config = model.provenance, model.config
    origin, run, settings = made.get("import", {}), made.get("run", {}), made.get("settings", {})
    specs = expected_tensors(config, model.architecture)
    n_parameters = sum(math.prod(spec.shape) for spec in specs)
    found: dict[str, Any] = {
        "name": f"pocketlm-{params['params']['preset']}",
        "family": model.architecture,
        "license": settings.get("export", {}).get("license") or origin.get("license") or None,
        "parameters": n_parameters,
        "config": {name: value for name, value in config.items() if value is not None},
        "dtypes": sorted({stored.dtype for stored in model.stored.values()}),
        "weights_bytes": {dtype: size for dtype in DTYPES if (size := _weights_nbytes(specs, dtype))},
        "has_chat_template": model.chat_template is not None,
        "prompts": made.get("sample_prompts", []),
        "scores": dict(_scores(made, evaluation)),
    }
    if run:
        found["training"] = {name: run[name] for name in PROVENANCE_RUN if name in run}
        found["training"]["settings"] = settings.get("train", {})
    if "data" in params["params"]:
        data = read(params, Data)
        found["data"] = {"sources": [{"uri": each.uri, "sha256": each.sha256} for each in data.sources]}
        found["data"] |= {"validation": list(data.val_documents), "test": list(data.test_documents)}
    if origin:
        found["import"] = {name: value for name, value in origin.items() if value is not None}
    return found


def _weights_nbytes(specs: Any, dtype: str) -> int | None:
    """Bytes of all tensors in a file of a dtype; None where its blocks do not fit into the rows."""
    try:
        dtypes = dtypes_of(specs, dtype)
    except BadConfig:
        return None
    return sum(nbytes(dtypes[spec.name], spec.shape) for spec in specs)


def _scores(made: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Bits per byte by split. Of the trained weights, and how much more the stored ones need."""
    for split, figures in (evaluation or {}).get("splits", {}).items():
        names = ("bpb", "low", "high", "n_bytes", "compressors")
        yield split, {name: figures[name] for name in names if name in figures}
    run = made.get("run", {})
    if evaluation is None and "val_bpb" in run:
        yield "val", {"bpb": run["val_bpb"], "n_bytes": run["val_bytes"]}
    if "stored" in made:
        yield "stored", {"dtype": made["stored"]["dtype"], "bpb": made["stored"]["val_bpb"]}


def metadata(card: Mapping[str, Any]) -> dict[str, Any]:
    """What Hugging Face's hub reads. Source: the hub's documentation, "Model Card Metadata"."""
    shared = card["family"] in SHARED
    found: dict[str, Any] = {"license": card["license"]} if card["license"] else {}
    found |= {"library_name": "transformers"} if shared else {}
    found |= {"pipeline_tag": "text-generation", "tags": ["pocketlm", card["family"]]}
    uris = [each["uri"] for each in card.get("data", {}).get("sources", [])]
    hub = [match[1] for uri in uris if (match := re.match(r"hf://datasets/([^/@]+/[^/@]+)", uri))]
    base = re.match(r"hf://([^/@]+/[^/@]+)", card.get("import", {}).get("source", ""))
    found |= {"datasets": sorted(set(hub))} if hub else {}
    found |= {"base_model": base[1]} if base else {}
    results = [
        {
            "task": {"type": "text-generation", "name": "Text generation"},
            "dataset": {"type": "pocketlm", "name": f"{SPLITS[split]} text of {card['name']}", "split": SPLITS[split]},
            "metrics": [{"type": "bits_per_byte", "name": "bits per byte", "value": round(figures["bpb"], 4)}],
        }
        for split, figures in card["scores"].items()
        if split in SPLITS
    ]
    return {**found, "model-index": [{"name": card["name"], "results": results}]} if results else found


def markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown. JSON is YAML too: each value of the metadata stands on a line of its own, as JSON."""
    head = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in metadata(card).items()]
    parts = [_summary, _quality, _sizes, _usage, _data, _training]
    body = [line for part in parts for line in part(card)]
    return "\n".join(["---", *head, "---", "", f"# {card['name']}", "", *body]).rstrip() + "\n"


def _summary(card: Mapping[str, Any]) -> Iterator[str]:
    origin = card.get("import")
    trained = "training" in card
    made = "trained" if not origin else "trained further" if trained else "written in another format"
    yield (
        f"A language model of the family `{card['family']}` with {card['parameters']:,} parameters, {made} by PocketLM "
        f"(preset `{card['name'].removeprefix('pocketlm-')}`). It reads {card['config']['ctx_len']:,} tokens of "
        f"{card['config']['vocab_size']:,} kinds."
    )
    if origin:
        digest = f" (SHA-256 {origin['sha256']})" if origin.get("sha256") else ""
        yield f"It comes from {origin.get('name') or 'a model'}, `{origin.get('source', '?')}`{digest}."
    yield f"Licence: {card['license'] or 'not stated'}."
    yield ""


def _quality(card: Mapping[str, Any]) -> Iterator[str]:
    splits = {split: figures for split, figures in card["scores"].items() if split in SPLITS}
    if not splits:
        return
    yield from ("## How good it is", "", "| text that it has not learnt from | bits per byte | 95 % | bytes | beside |")
    yield "|---|---|---|---|---|"
    for split, figures in splits.items():
        interval = f"{figures['low']:.3f} … {figures['high']:.3f}" if "low" in figures else ""
        others = ", ".join(f"{name} {value:.3f}" for name, value in figures.get("compressors", {}).items())
        yield f"| {SPLITS[split]} | {figures['bpb']:.3f} | {interval} | {figures['n_bytes']:,} | {others} |"
    yield ""
    if (stored := card["scores"].get("stored")) and stored["dtype"] != "f32":
        yield f"Stored in {stored['dtype']} it needs {stored['bpb']:.3f} on the validation text."
        yield ""


def _sizes(card: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## Sizes", "", "| dtype | weights, MB |", "|---|---|")
    for dtype, size in card["weights_bytes"].items():
        mark = " (this file)" if dtype in card["dtypes"] and (dtype != "f32" or card["dtypes"] == ["f32"]) else ""
        yield f"| {dtype}{mark} | {size / 1e6:.2f} |"
    yield ""
    config = {name: value for name, value in card["config"].items() if not name.endswith(("_id", "_ids"))}
    yield "Shape: " + ", ".join(f"{name} {value}" for name, value in config.items()) + "."
    yield ""


def _usage(card: Mapping[str, Any]) -> Iterator[str]:
    prompt = card["prompts"][0] if card["prompts"] else "Once upon a time"
    typed, literal = shlex.quote(prompt.strip()), json.dumps(prompt, ensure_ascii=False)
    word = "chat" if card["has_chat_template"] else "generate"
    yield from ("## How to run it", "", "```sh", f"pocketlm {word} model.bin --prompt {typed}")
    if card["family"] in SHARED:
        yield f"llama-cli -m model.gguf -p {typed}  # what `doit export_gguf` wrote"
    yield from ("```", "")
    if card["family"] in SHARED:
        yield from (
            "```python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer  # of the folder that `doit export_hf` wrote",
            "",
            'tokenizer = AutoTokenizer.from_pretrained("hf")',
            'model = AutoModelForCausalLM.from_pretrained("hf")',
            f'ids = tokenizer({literal}, return_tensors="pt").input_ids',
            "print(tokenizer.decode(model.generate(ids, max_new_tokens=100, do_sample=True)[0]))",
            "```",
            "",
        )
    yield from ("In a browser: the folder `web/` beside model.bin, on any host.", "")


def _data(card: Mapping[str, Any]) -> Iterator[str]:
    if "data" not in card:
        return
    data, run = card["data"], card.get("training", {})
    yield from ("## Data", "")
    for source in data["sources"]:
        digest = f" (SHA-256 {source['sha256']})" if source["sha256"] else ""
        yield f"- `{source['uri']}`{digest}"
    yield ""
    if run:
        yield f"{run['train_tokens']:,} tokens, {run['train_bytes']:,} bytes of text to learn from."
    for split in ("validation", "test"):
        if data[split]:
            yield f"Held out for {split}: {', '.join(f'`{name}`' for name in data[split])}."
    yield ""


def _training(card: Mapping[str, Any]) -> Iterator[str]:
    if "training" not in card:
        return
    run, settings = card["training"], card["training"]["settings"]
    rounds = run["tokens_seen"] / run["train_tokens"]
    yield from ("## Training", "")
    yield (
        f"{run['steps']:,} steps, {run['tokens_seen']:,} tokens ({rounds:.1f} rounds of the text), "
        f"{run['precision']}, PyTorch {run['torch']}."
    )
    yield from ("", "| setting | value |", "|---|---|")
    for name, value in sorted(settings.items()):
        yield f"| {name} | {value} |"
    yield ""


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    evaluation = command.read_json(arguments.evaluation) if arguments.evaluation else None
    found = facts(command.params_of(arguments), read_model(arguments.model), evaluation)
    with command.publishing(arguments.out) as temporary:
        (temporary / "README.md").write_text(markdown(found), encoding="utf-8")
        command.write_json(temporary / "card.json", found)


if __name__ == "__main__":
    arguments = command.parser("card", "Write the model card of a model.bin.")
    arguments.add_argument("--model", type=Path, required=True, metavar="FILE", help="model.bin")
    arguments.add_argument("--evaluation", type=Path, metavar="FILE", help="evaluation.json, where there is one")
    sys.exit(command.run(main, arguments))
