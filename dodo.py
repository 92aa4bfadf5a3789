"""PocketLM's graph, as doit reads it. The stages are in stages/, one module an arrow; how staleness works is in
stages/graph/.

`doit list` shows every stage; `doit why` says what is stale. Choose with `preset=tiny`, `profile=repro`,
`train.steps=50`.
"""

from collections.abc import Iterator
from typing import Any

from stages.project import DOIT_CONFIG, GRAPH

__all__ = ["DOIT_CONFIG", "task_pocketlm"]


def task_pocketlm() -> Iterator[dict[str, Any]]:
    """Every stage of the graph."""
    yield from GRAPH.tasks()
