"""provenance: how everything in the bundle was made, as one JSON that the page shows.

It follows the receipts, not only the results: a comment in Rust that leaves the wasm equal does not reach `page`, but
the wasm's key is another one, so `provenance` and the assembly of `web` (a copy) run again.
"""

from __future__ import annotations

from collections.abc import Sequence

from stages.graph import Stage, files, receipt_of
from stages.settings import Settings

# What `python -m graph.manage.lineage` imports. Not python_sources: its full name would bring the whole engine.
NEEDED = ("errors", "declare/names", "read/digest", "keep/receipt", "manage/lineage")
SOURCES = files(*(f"stages/graph/{name}.py" for name in NEEDED))


def stage(settings: Settings, chain: Sequence[Stage]) -> Stage:
    """The stage `provenance` of one preset. chain: every stage that the bundle is made by."""
    return Stage(
        name="provenance",
        doc="Write down how everything in the bundle was made (provenance.json).",
        run=(
            "{python}",
            "-m",
            "graph.manage.lineage",
            "--params",
            "{params}",
            "--out",
            "{out}",
            *(f"{each.name}={{in.{each.name}}}" for each in chain),
        ),
        outputs=("provenance.json", "timings.json"),
        volatile=("timings.json",),
        inputs={each.name: receipt_of(each.name) for each in chain},
        sources=(SOURCES,),
        params={"edges": {each.name: {name: list(made) for name, made in each.inputs.items()} for each in chain}},
        scope=settings.preset,
        links={"provenance.json": "provenance.json"},
        pythonpath=("{snapshot}/stages",),
    )
