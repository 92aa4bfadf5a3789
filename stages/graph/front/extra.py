"""Packages that one command alone needs: imported when it runs, and installed before where the project says how."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..errors import GraphError
from .tasks import Graph


def extra(graph: Graph, package: str, what: str) -> ModuleType:
    """Import a package. A setup of that name, where the project has one, installs it first; the caller holds the lock.

    what: the option that needs it, for the message. Raises GraphError where it cannot be had.
    """
    setup = graph.plan.setups.get(package)
    if setup is not None and not setup.is_ready():
        from ..run.setup import ensure

        ensure(graph.session, setup)
        importlib.invalidate_caches()
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise GraphError(f"{what} needs the package {package}, which is not there ({error}); install it") from error
