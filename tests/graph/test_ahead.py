"""The time left of an `exp run`: what its choices share counts once, what is over no more."""

from __future__ import annotations

import pytest

from stages.graph.declare.plan import Plan
from stages.graph.run import ahead as module
from stages.graph.run.ahead import Ahead, pieces_of
from tests.graph.experiments import Lab


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time: its one element."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def plan(lab: Lab, **words: str) -> Plan:
    given = {f"train.{name}": value for name, value in words.items()}
    return Plan(lab.stages_of(given), root=lab.root, build=lab.build)


def test_what_is_shared_is_one_piece(lab: Lab) -> None:
    one, two = (pieces_of(plan(lab, lr=lr), ["score"]) for lr in ("1", "2"))
    assert one["text"] == two["text"] and one["words"] == two["words"]
    assert one["train"] != two["train"] and one["score"] != two["score"]
    assert one == pieces_of(plan(lab, lr="1.0"), ["score"])


def test_the_seconds_left(lab: Lab, clock: list[float]) -> None:
    ahead = Ahead(lab.graph().look)
    ahead._usual = {"text": 1.0, "words": 2.0, "train": 10.0}
    plans = [plan(lab, lr=lr) for lr in ("1", "2", "3")]
    for each in plans:
        ahead.expect(each, ["train"])
    assert ahead.left() == (1 + 2 + 3 * 10, [])
    first = pieces_of(plans[0], ["train"])
    for name, seconds in (("text", 1.0), ("words", 2.0)):
        ahead.started(first[name])
        clock[0] += seconds
        ahead.ended(first[name], ran=True)
    ahead.started(first["train"])
    clock[0] += 4
    assert ahead.left() == (26, [])
    clock[0] += 16  # slower than usual: so the others are expected to be, once it is done
    assert ahead.left() == (20, [])
    ahead.ended(first["train"], ran=True)
    ahead.drop(plans[0], ["train"])
    assert ahead.left() == (40, [])
    ahead.at_once = 2
    assert ahead.left() == (20, [])
    ahead.drop(plans[1], ["train"])  # it failed before its training
    assert ahead.left() == (20, []), "one training takes as long whatever runs beside it"
    ahead.at_once, ahead.more = 1, {"train": 2}
    assert ahead.left() == (60, [])


def test_what_nobody_knows(lab: Lab) -> None:
    ahead = Ahead(lab.graph().look)
    ahead.expect(plan(lab), ["score"])
    assert ahead.left() == (0.0, ["text", "words", "train", "score"])
    lab.doit("train")
    ahead = Ahead(lab.graph().look)
    ahead.expect(plan(lab, lr="7"), ["score"])
    seconds, unknown = ahead.left()
    assert seconds > 0 and unknown == ["score"]


def test_after_a_run_nothing_is_left(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Ahead] = []
    init = Ahead.__init__
    monkeypatch.setattr(Ahead, "__init__", lambda self, *args: (made.append(self), init(self, *args))[1])
    lab.doit("exp", "run", "train.layers=2,13", "train.lr=1,2", "score")
    assert made[-1].left() == (0.0, [])
