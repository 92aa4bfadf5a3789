"""import: a model that others trained, in place of corpus, tokenizer, shards and train; and how it is exported. Or, of
one that is trained further, how it goes on from there: stages/finetune.py.
"""

from __future__ import annotations

import os
from pathlib import Path

from stages import paths, tools
from stages.graph import Output, Stage, python_sources
from stages.settings import Settings
from stages.step import step
from stages.tokenizer import WHEEL
from stages.train import PINNED_ISA, torch_tools

# What a Hugging Face folder is read from; weights and tokenizer are large, so nothing else is hashed.
FOLDER_FILES = ("*.json", "*.jinja", "*.safetensors")


def local_files(source: str, root: Path) -> list[Path]:
    """The files of a `file:` source, if it is one: a .gguf, llama2.c's .bin with its tokenizer.json, what is read of a
    folder.
    """
    scheme, _, rest = source.partition(":")
    if scheme != "file":
        return []
    path = root / os.path.expanduser(rest)
    if path.is_dir():
        return sorted(found for glob in FOLDER_FILES for found in path.glob(glob))
    return [path, path.with_name("tokenizer.json")] if path.suffix == ".bin" else [path]


def stage(settings: Settings) -> Stage:
    """The stage `import` of one preset."""
    source = settings.values["import.source"]
    files = [path for path in local_files(source, paths.ROOT) if path.is_file()]
    return Stage(
        name="import",
        doc="Read a model that others trained (GGUF, or a Hugging Face folder).",
        run=step("import_model", root=True),
        outputs=("model.safetensors", "import.json", "tokenizer.json", "tokenizer.tok"),
        inputs={"wheel": WHEEL},
        sources=(python_sources("training.import_model"),),
        external={"files": files},
        params=settings.section("import"),
        tools=tools.libraries("gguf", "safetensors", extra="import"),
        needs=(tools.TORCH, tools.IMPORT, *tools.url_setups([source])),
        scope=settings.preset,
        links={"tokenizer.json": "tokenizer.json"},
        pythonpath=("{snapshot}", "{in.wheel}"),
        reads=tools.PIP_READS,
    )


def export_stage(settings: Settings) -> Stage:
    """The stage `export` of one preset whose model is imported."""
    return Stage(
        name="export",
        doc="Write the imported weights, the tokenizer, its chat template and a golden answer into model.bin.",
        run=step("export_imported", "imported"),
        outputs=("model.bin",),
        inputs={"imported": Output("import"), "wheel": WHEEL},
        sources=(python_sources("training.export_imported"),),
        params={"preset": settings.preset, **settings.section("export", "sample.prompts")},
        tools=torch_tools(),
        set_env=PINNED_ISA,  # golden is the same everywhere
        needs=(tools.TORCH,),
        scope=settings.preset,
        links={"model.bin": "model.bin"},
        pythonpath=("{snapshot}", "{in.wheel}"),
    )
