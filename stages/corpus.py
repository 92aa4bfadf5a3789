"""corpus: fetch the documents, clean them, hold some out."""

from __future__ import annotations

from stages import paths
from stages.graph import Stage, python_sources
from stages.settings import Settings


def stage(settings: Settings) -> Stage:
    """The stage `corpus` of one preset."""
    return Stage(
        name="corpus",
        doc="Fetch the documents, clean them to plain text and hold some out for validation.",
        run=("{python}", "-m", "training.corpus", "--params", "{params}", "--root", "{root}", "--out", "{out}"),
        outputs=("corpus/",),
        sources=(python_sources("training.corpus"),),
        external={
            "documents": [path for source in settings.config.data.sources for path in source.local_files(paths.ROOT)]
        },
        params=settings.section("data"),
        scope=settings.preset,
        pythonpath=("{snapshot}",),
    )
