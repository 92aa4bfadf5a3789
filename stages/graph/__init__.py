"""HOW staleness works: a small engine on top of doit that knows nothing of what the stages do.

In: `Stage`s (inputs, sources, parameters, tools, command, outputs). Out: doit tasks whose results live in an
immutable store, found again by a key over everything that they depend on. Read in this order: stage.py, sources.py,
key.py, graph.py, builder.py, store.py.
"""

from .decide.look import Graph, tasks_for
from .declare.stage import Output, Runner, Setup, Stage, Tool, receipt_of
from .errors import GraphError, StageFailed, UsageError
from .read.sources import files, python_sources

__all__ = [
    "Graph",
    "GraphError",
    "Output",
    "Runner",
    "Setup",
    "Stage",
    "StageFailed",
    "Tool",
    "UsageError",
    "files",
    "python_sources",
    "receipt_of",
    "tasks_for",
]
