"""tokenizer: train the byte-level BPE with our own crate."""

from __future__ import annotations

from stages import tools
from stages.graph import Output, Setup, Stage, python_sources
from stages.settings import Settings
from stages.step import step

WHEEL = Output("wheel", "wheel/")  # the unpacked wheel: a PYTHONPATH entry that holds the module pocketlm_tokenizer

# What the command works with, beside its configuration: told, for it decides no result.
ENGINE = ("data.engine", "data.ray_address")


def engine_setups(settings: Settings) -> tuple[Setup, ...]:
    """What data.engine needs."""
    return (tools.RAY,) if settings.values["data.engine"] == "ray" else ()


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
        runtime=settings.told(*ENGINE),
        needs=engine_setups(settings),
        scope=settings.preset,
        links={"tokenizer.json": "tokenizer.json"},
        pythonpath=("{snapshot}", "{in.wheel}"),
    )
