"""shards, train and export of a preset that trains an imported model further. What it learns are the documents of
`corpus`: texts, or, where data.chat_column is set, chats.
"""

from __future__ import annotations

import dataclasses

from stages import export, tools, train
from stages.graph import Output, Stage, python_sources
from stages.settings import Settings
from stages.step import step

IMPORTED = Output("import")


def shards_stage(settings: Settings) -> Stage:
    """The stage `shards` of one preset."""
    plain = train.shards_stage(settings)
    if not settings.values["data.chat_column"]:
        return dataclasses.replace(plain, inputs={**plain.inputs, "tokenizer": IMPORTED})
    return dataclasses.replace(
        plain,
        doc="Encode the chats into memory-mapped token shards.",
        run=step("chat_shards", "corpus", "imported", params=False),
        inputs={"corpus": plain.inputs["corpus"], "imported": IMPORTED, "wheel": plain.inputs["wheel"]},
        sources=(python_sources("training.chat_shards"),),
        runtime={},
        tools=tools.libraries("jinja2", "numpy"),
        needs=(tools.TORCH,),
    )


def stage(settings: Settings) -> Stage:
    """The stage `train` of one preset."""
    plain = train.stage(settings)
    return dataclasses.replace(
        plain,
        doc="Train the imported model further (PyTorch); resumes where an interrupted run stopped.",
        run=(*step("finetune", "shards", "imported"), *train.KEEPS),
        inputs={"shards": plain.inputs["shards"], "imported": IMPORTED, "wheel": plain.inputs["wheel"]},
        sources=(python_sources("training.finetune", unkeyed=train.SHOWN_ONLY),),
        params=settings.section("train"),
    )


def export_stage(settings: Settings) -> Stage:
    """The stage `export` of one preset."""
    plain = export.stage(settings)
    return dataclasses.replace(
        plain,
        run=step("export_finetuned", "weights", "summary", "tokenizer", "shards"),
        inputs={**plain.inputs, "tokenizer": IMPORTED},
        sources=(python_sources("training.export_finetuned"),),
        params={"preset": settings.preset, **settings.section("export", "sample.prompts")},
    )
