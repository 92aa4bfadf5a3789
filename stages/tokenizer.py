"""tokenizer: train the byte-level BPE with our own crate."""

from __future__ import annotations

from stages.graph import Output, Stage, python_sources
from stages.settings import Settings
from stages.step import step

WHEEL = Output("wheel", "wheel/")  # the unpacked wheel: a PYTHONPATH entry that holds the module pocketlm_tokenizer


def stage(settings: Settings) -> Stage:
    """The stage `tokenizer` of one preset."""
    return Stage(
        name="tokenizer",
        doc="Train the byte-level BPE tokenizer on the training documents.",
        run=step("tokenizer", "corpus"),
        outputs=("tokenizer.json", "tokenizer.tok"),
        inputs={"corpus": Output("corpus", "corpus/"), "wheel": WHEEL},
        sources=(python_sources("training.tokenizer"),),
        params=settings.section("tokenizer"),
        scope=settings.preset,
        links={"tokenizer.json": "tokenizer.json"},
        pythonpath=("{snapshot}", "{in.wheel}"),
    )
