"""Names in the folder of a result and in the build folder: the engine's own, and an output below another."""

from __future__ import annotations

from collections.abc import Iterable

RECEIPT = "receipt.json"
LOG = "log.txt"
OWN_FOLDERS = ("names", "partial", "pins", "run", "sources", "store", "verify")
EXPERIMENTS = "exp"  # the scope that the results of `doit exp run` are linked in


def within(output: str, outputs: Iterable[str]) -> list[str]:
    """The outputs that lie in the folder `output`, relative to it: measured by themselves, and no part of it."""
    inside = [name for name in outputs if output.endswith("/") and name.startswith(output) and name != output]
    return [name.removeprefix(output) for name in inside]
