"""The errors of the stage engine: each message is one that a person can act on."""

from __future__ import annotations


class GraphError(Exception):
    """A problem that a person can solve; its text is the whole message (no traceback is shown)."""


class UsageError(GraphError):
    """Wrong arguments on the command line: exit status 2."""


class LockHeld(GraphError):
    """Another run holds the lock: exit status 75 (EX_TEMPFAIL of sysexits.h)."""


class StageFailed(GraphError):
    """A stage's command failed, or what it left cannot be published: exit status 1."""

    def __init__(self, text: str, how: str = "what it made was refused") -> None:
        """`how`: in a few words, how the command failed."""
        super().__init__(text)
        self.how = how


class Interrupted(KeyboardInterrupt):
    """A signal ended this run: exit status 128 + signum.

    A KeyboardInterrupt, so that doit's `except Exception` lets it pass and its parallel runner ends its threads.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"signal {signum}")
        self.signum = signum
