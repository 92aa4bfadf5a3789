"""PocketLM: text in, a language model running in a browser tab out.

The stages are in stages/, one module an arrow of the graph; how staleness works is in stages/graph/. `doit list`
shows every stage; `doit why` says what is stale. Choose with `preset=tiny`, `profile=repro`, `train.steps=50`;
`run.train.on=ssh://host/~/folder` runs a stage on another machine.
"""

from collections.abc import Iterator
from typing import Any

from stages.project import DOIT_CONFIG, GRAPH

__all__ = ["DOIT_CONFIG", "task_pocketlm"]


def task_pocketlm() -> Iterator[dict[str, Any]]:
    """Every stage of the graph."""
    yield from GRAPH.tasks()
