"""corpus: fetch the documents, clean them, hold some out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from stages import paths, tools
from stages.graph import Stage, python_sources
from stages.settings import Settings
from stages.step import step
from training.config.local_files import local_files


def searched_folders(uris: Sequence[str]) -> list[str]:
    """Where the command looks for what `file:` sources name: a glob passes by files that it does not match."""
    patterns = [uri.removeprefix("file:") for uri in uris if uri.startswith("file:")]
    return [os.path.dirname(re.split(r"[*?\[]", pattern)[0]) for pattern in patterns]


def stage(settings: Settings) -> Stage:
    """The stage `corpus` of one preset."""
    uris = [source["uri"] for source in settings.values["data.sources"]]
    parquet = any(uri.lower().endswith(".parquet") for uri in uris)
    return Stage(
        name="corpus",
        doc="Fetch the documents, clean them to plain text and hold some out for validation.",
        run=step("corpus", root=True),
        outputs=("corpus/",),
        sources=(python_sources("training.corpus"),),
        external={"documents": [path for uri in uris for path in local_files(uri, paths.ROOT)]},
        params=settings.section("data"),
        tools=tools.libraries("pyarrow", extra="parquet") if parquet else (),
        needs=((tools.PARQUET,) if parquet else ()) + tools.url_setups(uris),
        scope=settings.preset,
        pythonpath=("{snapshot}",),
        reads=tools.PIP_READS,
        lists=searched_folders(uris),
    )
