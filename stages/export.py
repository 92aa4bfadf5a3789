"""export: one flat model.bin, with a golden answer that every engine checks itself against."""

from __future__ import annotations

from stages import tools
from stages.graph import Output, Stage, python_sources
from stages.settings import Settings
from stages.tokenizer import WHEEL
from stages.train import PINNED_ISA, torch_tools


def stage(settings: Settings) -> Stage:
    """The stage `export` of one preset; `doit export` builds weights only and looks for no Node and no wasm tool."""
    return Stage(
        name="export",
        doc="Write the trained weights, the tokenizer and a golden answer into model.bin.",
        run=(
            "{python}",
            "-m",
            "training.export",
            "--params",
            "{params}",
            "--weights",
            "{in.weights}",
            "--summary",
            "{in.summary}",
            "--tokenizer",
            "{in.tokenizer}",
            "--shards",
            "{in.shards}",
            "--out",
            "{out}",
        ),
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
