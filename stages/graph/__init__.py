"""HOW staleness works: a small engine on top of doit that knows nothing of what the stages do.

In: `Stage`s (inputs, sources, parameters, tools, command, outputs). Out: doit tasks whose results live in an
immutable store, found again by a key over everything that they depend on. The rooms, lowest first; imports only go
down (tests/checks/test_graph_rooms.py):

    declare/  pure data: stages, sources, and the plan that checks and orders them
    read/     what is on disk: trees, Python closures, digests behind a cache, versions of tools
    keep/     what is kept: the store, links, receipts, archives, the remote store
    decide/   what is stale, and why; only looks
    manage/   what is done with results: verify, accept, gc, push and pull, their origin
    show/     what a person sees: reports, tables, drawings
    run/      one run: session, snapshot, setups, build, audit, processes
    front/    doit's side: tasks and commands
"""

from .declare.elsewhere import Elsewhere
from .declare.experiments import Experiments
from .declare.sources import files, python_sources
from .declare.stage import Output, Runner, Setup, Stage, Tool, receipt_of
from .errors import GraphError, StageFailed, UsageError
from .front.tasks import Graph

__all__ = [
    "Elsewhere",
    "Experiments",
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
]
