"""export: one flat model.bin, with a golden answer that every engine checks itself against; and the same model written
for transformers, llama.cpp and llama2.c; and its model card.
"""

from __future__ import annotations

from stages import tools
from stages.graph import Output, Setup, Stage, Tool, python_sources
from stages.settings import Settings
from stages.step import step
from stages.tokenizer import WHEEL
from stages.train import PINNED_ISA, torch_tools


def stage(settings: Settings) -> Stage:
    """The stage `export` of one preset; `doit export` builds weights only and looks for no Node and no wasm tool."""
    return Stage(
        name="export",
        doc="Write the trained weights, the tokenizer and a golden answer into model.bin.",
        run=step("export", "weights", "summary", "tokenizer", "shards"),
        outputs=("model.bin",),
        inputs={
            "weights": Output("train", "model.safetensors"),
            "summary": Output("train", "summary.json"),
            "tokenizer": Output("tokenizer"),
            "shards": Output("shards", "shards/"),  # a narrower dtype is scored on the held-out text
            "wheel": WHEEL,
        },
        sources=(python_sources("training.export"),),
        # The preset's name is for the page's card; the prompts are its openings.
        params={"preset": settings.preset, **settings.section("model", "export", "sample.prompts")},
        tools=torch_tools(),
        set_env=PINNED_ISA,  # golden is the same everywhere, in both profiles
        needs=(tools.TORCH,),
        scope=settings.preset,
        links={"model.bin": "model.bin"},
        pythonpath=("{snapshot}", "{in.wheel}"),
    )


def hf_stage(settings: Settings) -> Stage:
    """The stage `export_hf` of one preset: no other stage takes what it makes."""
    return _for_others(
        settings,
        name="export_hf",
        doc="Write model.bin as a Hugging Face folder, for transformers and what reads its files.",
        output="hf/",
        needs=(tools.TORCH,),
        libraries=tools.libraries("numpy", "safetensors"),
    )


def gguf_stage(settings: Settings) -> Stage:
    """The stage `export_gguf` of one preset: no other stage takes what it makes."""
    return _for_others(
        settings,
        name="export_gguf",
        doc="Write model.bin as a GGUF file, for llama.cpp and what is built on it.",
        output="model.gguf",
        needs=(tools.TORCH, tools.IMPORT),
        libraries=(*tools.libraries("numpy"), *tools.libraries("gguf", extra="import")),
    )


def llama2c_stage(settings: Settings) -> Stage:
    """The stage `export_llama2c` of one preset: no other stage takes what it makes."""
    return _for_others(
        settings,
        name="export_llama2c",
        doc="Write model.bin as a checkpoint of llama2.c, with its tokenizer.json.",
        output="llama2c/",
        needs=(tools.TORCH,),
        libraries=tools.libraries("numpy"),
    )


def card_stage(settings: Settings) -> Stage:
    """The stage `card` of one preset: no other stage takes what it makes."""
    evaluated = settings.trains and not settings.imports
    words = ("model", "evaluation") if evaluated else ("model",)
    evaluation = {"evaluation": Output("evaluate", "evaluation.json")} if evaluated else {}
    return Stage(
        name="card",
        doc="Write the model card: README.md in Hugging Face's form, and card.json.",
        run=step("card", *words),
        outputs=("README.md", "card.json"),
        inputs={"model": Output("export", "model.bin"), **evaluation},
        sources=(python_sources("training.card"),),
        params={"preset": settings.preset, **settings.section("data")},
        tools=tools.libraries("numpy"),
        needs=(tools.TORCH,),
        scope=settings.preset,
        links={"README.md": "README.md", "card.json": "card.json"},
        pythonpath=("{snapshot}",),
    )


def _for_others(
    settings: Settings,
    name: str,
    doc: str,
    output: str,
    needs: tuple[Setup, ...],
    libraries: tuple[Tool, ...],
) -> Stage:
    """A stage that writes a preset's model.bin in another format."""
    return Stage(
        name=name,
        doc=doc,
        run=step(name, "model", params=False),
        outputs=(output,),
        inputs={"model": Output("export", "model.bin"), "wheel": WHEEL},
        sources=(python_sources(f"training.{name}"),),
        tools=libraries,
        needs=needs,
        scope=settings.preset,
        links={output.rstrip("/"): output.rstrip("/")},
        pythonpath=("{snapshot}", "{in.wheel}"),
    )
