"""corpus: fetch the documents, clean them, hold some out."""

from __future__ import annotations

import glob
from pathlib import Path

from stages import paths
from stages.graph import Stage, python_sources
from stages.settings import Settings


def local_files(uris: list[str]) -> list[Path]:
    """The files that `file:` sources name today; they enter the key by content. A source that matches nothing is
    the command's to report.
    """
    found: set[Path] = set()
    for uri in uris:
        scheme, _, pattern = uri.partition(":")
        if scheme == "file":
            full = str(paths.ROOT / Path(pattern).expanduser())
            found.update(Path(name) for name in glob.glob(full, recursive=True))
    return sorted(path for path in found if path.is_file())


def stage(settings: Settings) -> Stage:
    """The stage `corpus` of one preset."""
    return Stage(
        name="corpus",
        doc="Fetch the documents, clean them to plain text and hold some out for validation.",
        run=("{python}", "-m", "training.corpus", "--params", "{params}", "--root", "{root}", "--out", "{out}"),
        outputs=("corpus/",),
        sources=(python_sources("training.corpus"),),
        external={"documents": local_files([source.uri for source in settings.config.data.sources])},
        params=settings.section("data"),
        scope=settings.preset,
        pythonpath=("{snapshot}",),
    )
