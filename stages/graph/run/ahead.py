"""What is left of an `exp run`: the stages of its choices in, seconds out. Shown to people; nothing depends on it.

What several choices share is counted once: two stages are the same where their declarations and those of all that they
are made from are equal. No file is read for it, so a result that the store has counts until its choice comes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..decide.look import Look
from ..decide.times import usual_times
from ..declare.plan import Plan
from ..read.digest import canonical

Piece = int  # stands for a stage with all that it is made from


def pieces_of(plan: Plan, names: Sequence[str]) -> dict[str, Piece]:
    """stage -> its piece, for the named stages and all that they are made from."""
    found: dict[str, Piece] = {}
    for name in plan.chain(names):
        stage = plan.stages[name]
        declared = canonical([dict(stage.params), list(stage.run), dict(stage.set_env), stage.profile])
        found[name] = hash((name, declared, *(found[output.stage] for output in stage.inputs.values())))
    return found


class Ahead:
    """What the choices of one run have not passed yet. Threads may share it: each call is one step of a dict."""

    def __init__(self, look: Look, at_once: int = 1) -> None:
        self.at_once = at_once
        self.more: dict[str, int] = {}  # stage -> how often it will run in choices that are not known yet
        self._look = look
        self._left: dict[Piece, str] = {}  # with the stage's name
        self._since: dict[Piece, float] = {}  # of those that run now
        self._took: dict[str, list[float]] = {}  # stage -> the seconds that its commands took in this run
        self._usual: dict[str, float | None] = {}

    def expect(self, plan: Plan, names: Sequence[str]) -> None:
        """A choice comes."""
        self._left.update({piece: name for name, piece in pieces_of(plan, names).items()})

    def drop(self, plan: Plan, names: Sequence[str]) -> None:
        """A choice is over, however it ended."""
        for piece in pieces_of(plan, names).values():
            self._left.pop(piece, None)

    def started(self, piece: Piece) -> None:
        """It is being brought up to date."""
        self._since[piece] = time.monotonic()

    def ended(self, piece: Piece, ran: bool) -> None:
        """It is there, or will never be. ran: its command did."""
        name, since = self._left.pop(piece, None), self._since.pop(piece, None)
        if ran and name is not None and since is not None:
            self._took.setdefault(name, []).append(time.monotonic() - since)

    def left(self) -> tuple[float, list[str]]:
        """(seconds until all choices are done, the stages of which nobody knows how long they take)."""
        now, seconds, longest, unknown = time.monotonic(), 0.0, 0.0, dict.fromkeys([*self._left.values(), *self.more])
        usual = {name: self._usual_s(name) for name in unknown}
        for piece, name in list(self._left.items()):
            rest = max(0.0, (usual[name] or 0.0) - (now - self._since.get(piece, now)))
            seconds, longest = seconds + rest, max(longest, rest)
        seconds += sum(count * (usual[name] or 0.0) for name, count in self.more.items())
        return max(longest, seconds / self.at_once), [name for name in unknown if usual[name] is None]

    def _usual_s(self, name: str) -> float | None:
        """In this run, where it has run; choices differ, so their mean."""
        if took := self._took.get(name):
            return sum(took) / len(took)
        if name not in self._usual:
            stages = [stage for stage in self._look.plan.stages.values() if stage.name not in self._usual]
            self._usual.update(usual_times(self._look, stages))
        return self._usual.get(name)
