"""`doit exp run --sampler`: ranges, the way to the goal, and a search that is killed goes on where it was."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from stages.graph import UsageError
from stages.graph.declare.experiments import Range, axes_of
from stages.graph.run.search import words_of
from tests.graph.experiments import Lab

SPACE = ("train.lr=0.1..4", "train.layers=1..6")
TPE = ("exp", "run", *SPACE, "--sampler", "tpe", "--goal", "loss")


def made(lab: Lab) -> list[tuple[Any, Any]]:
    return sorted((row["params"]["train.lr"], row["params"]["train.layers"]) for row in lab.table("--all"))


def test_it_makes_so_many_and_says_the_best(lab: Lab) -> None:
    result = lab.doit(*TPE, "--trials", "12", "--name", "s")
    assert result.status == 0, result.out + result.err
    assert Counter(result.ran) == {"text": 1, "words": 1, "train": 12}
    assert result.out.startswith("train.lr: 0.1 to 4, by the logarithm\ntrain.layers: 1 to 6, whole numbers\n")
    assert "── 12/12  train.lr=" in result.out and "12 choices: 12 built, 0 there before" in result.out
    rows = lab.table("--sort", "loss")
    best = rows[0]
    assert f"best loss: {best['metrics']['loss']:.6g} with train.lr={best['params']['train.lr']} " in result.out
    table = [line.split() for line in result.out.splitlines() if line.startswith("s-")]
    assert [line[0] for line in table] == [row["names"][0] for row in rows], "the table has the best first"
    assert all(0.1 <= lr <= 4 and 1 <= layers <= 6 for lr, layers in made(lab))
    again = lab.doit(*TPE, "--trials", "12", "--name", "s")
    assert again.ran == [] and "12 choices: 0 built, 12 there before" in again.out
    assert {row["names"][0]: row["key"] for row in lab.table()} == {row["names"][0]: row["key"] for row in rows}


def test_it_learns(lab: Lab) -> None:
    """The later half of TPE's choices is nearer to the goal than chance."""
    lab.doit(*TPE, "--trials", "30", "--seed", "1", "--name", "s")
    rows = sorted(lab.table(), key=lambda row: int(row["names"][0].removeprefix("s-")))
    losses = [row["metrics"]["loss"] for row in rows]
    by_chance = sum(losses[:10]) / 10
    assert sum(losses[15:]) / 15 < by_chance - 0.5


def test_the_seed_decides(lab: Lab) -> None:
    lab.doit(*TPE, "--trials", "3")
    first = made(lab)
    lab.forget()
    lab.doit(*TPE, "--trials", "3")
    assert made(lab) == first
    lab.forget()
    lab.doit(*TPE, "--trials", "3", "--seed", "1")
    assert set(made(lab)).isdisjoint(first)


def test_what_a_grid_has_made_counts(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=0.5,2,9", "train.layers=2")
    result = lab.doit(*TPE, "--trials", "3")
    assert "2 of 3 are in the store" in result.out and Counter(result.ran) == {"train": 1}
    assert "3 choices: 1 built, 2 there before" in result.out


def test_results_of_other_code_do_not_count(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=0.5,2", "train.layers=2")
    lab.write("train.py", (lab.root / "train.py").read_text() + "print('changed')\n")
    result = lab.doit(*TPE, "--trials", "2")
    assert "in the store" not in result.out and Counter(result.ran) == {"train": 2}


def test_killed_at_random_moments_it_makes_the_same_choices(lab: Lab) -> None:
    """One at a time: those of a search that nobody disturbed, and nothing that was finished runs twice."""
    words = (*TPE, "--trials", "12", "--seed", "3")
    whole = lab.run(*words)
    assert whole.status == 0, whole.err
    expected = [(row["key"], row["metrics"]) for row in lab.table("--sort", "loss")]
    lab.forget()
    kills = lab.killed(*words, seed=7, within_s=(0.5, 2.5))
    done = lab.run(*words)
    assert done.status == 0, done.err
    assert [(row["key"], row["metrics"]) for row in lab.table("--sort", "loss")] == expected
    started = Counter((lab.root / "ran.log").read_text().split())
    assert started["train"] - 12 <= 12 + kills


def test_several_at_once(lab: Lab) -> None:
    result = lab.doit(*TPE, "--trials", "9", "-n", "3")
    assert result.status == 0, result.out + result.err
    assert Counter(result.ran) == {"text": 1, "words": 1, "train": 9} and len(set(made(lab))) == 9
    assert lab.doit(*TPE, "--trials", "10", "-n", "3").ran == ["train"]


def test_a_list_beside_a_range_and_what_fails(lab: Lab) -> None:
    """A choice that fails counts as tried; the others go on."""
    words = ("exp", "run", "train.lr=1.0..2", "train.layers=2,13", "--sampler", "random", "--goal", "loss")
    result = lab.doit(*words, "--trials", "8")
    failed = sum(line.startswith("failed     train.lr") for line in result.out.splitlines())
    assert result.status == 1 and 0 < failed < 8
    assert f"8 choices: {8 - failed} built, 0 there before, {failed} failed" in result.out


def test_a_small_space_ends(lab: Lab) -> None:
    words = ("exp", "run", "train.layers=1..3", "train.seed=0,1", "--sampler", "tpe", "--goal", "loss")
    result = lab.doit(*words, "--trials", "50")
    assert result.status == 0 and Counter(result.ran)["train"] == 6
    assert "6 choices: 6 built" in result.out and "nothing to propose beside these 6; 50 were wanted" in result.out


def test_the_goal_of_another_stage_builds_it(lab: Lab) -> None:
    words = ("exp", "run", "train.layers=1..40", "--sampler", "tpe", "--goal", "score.bytes", "--maximise")
    result = lab.doit(*words, "--trials", "5")
    assert result.status == 0 and Counter(result.ran) == {"text": 1, "words": 1, "train": 5, "score": 5}
    most = max(row["metrics"]["score.bytes"] for row in lab.table())
    assert f"best score.bytes: {most} with train.layers=" in result.out


def test_smoke_runs_come_first(lab: Lab) -> None:
    result = lab.doit(*TPE, "--trials", "2", "--smoke")
    assert result.status == 0 and Counter(result.ran)["train"] == 4
    assert [row["metrics"]["steps"] for row in lab.table("--all")] == [100, 100]


def test_dry_run(lab: Lab) -> None:
    lab.doit(*TPE, "--trials", "2")
    result = lab.doit(*TPE, "--trials", "5", "--dry-run")
    assert result.ran == [] and result.status == 0
    lines = result.out.splitlines()[3:]
    assert [line[:14].strip() for line in lines] == ["has its result"] * 2 + ["would run"]
    assert lines[-1].endswith("  and 2 more, by what comes out")
    assert lab.doit(*TPE, "--trials", "3").out.count(lines[-1].split("  ")[-2].strip()) >= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train.lr=1..2",), "train.lr has a range, and a grid needs values: list them, or add --sampler tpe"),
        (("train.lr=1,2", "--goal", "loss"), "--goal, --maximise and --trials are for --sampler"),
        (("train.lr=1..2", "--sampler", "tpe"), "--sampler tpe needs --goal METRIC and --trials N"),
        (("train.lr=1..2", "--sampler", "gp", "--goal", "loss", "--trials", "2"), "there is no sampler gp; there are"),
        (("--sampler", "tpe", "--goal", "loss", "--trials", "2"), "say between what to choose"),
        (("train.lr=2..1",), "train.lr=2..1: the lower end comes first"),
        (("train.lr=1..2", "--sampler", "tpe", "--goal", "los", "--trials", "2"), "train has no metric los; there are"),
        (("train.lrr=1..2", "--sampler", "tpe", "--goal", "loss", "--trials", "2"), "train.lrr= is not a parameter"),
    ],
)
def test_wrong_words(lab: Lab, words: tuple[str, ...], message: str) -> None:
    result = lab.doit("exp", "run", *words)
    assert (result.status, result.ran) == (2, []) and message in result.err


def test_without_optuna(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = lab.doit(*TPE, "--trials", "2")
    assert result.status == 1 and "--sampler needs the package optuna, which is not there" in result.err
    assert lab.doit("exp", "run", "train.lr=1,2").status == 0


def test_ranges() -> None:
    assert axes_of({"a": "1e-4..1e-2", "b": "1..8", "c": "0.5..5", "d": "1.5", "e": "x..y"}) == {
        "a": Range(1e-4, 1e-2, whole=False),
        "b": Range(1, 8, whole=True),
        "c": Range(0.5, 5, whole=False),
    }
    assert [Range(1e-4, 1e-2, False).log, Range(1, 10, True).log, Range(-1, 5, True).log] == [True, False, False]
    with pytest.raises(UsageError, match="the lower end comes first"):
        axes_of({"a": "3..3"})


def test_words_of_a_result() -> None:
    axes = {"lr": Range(0.1, 1, False), "n": Range(1, 4, True), "kind": ["a", "b"], "preset": ["x", "y"]}
    params = {"lr": 0.25, "n": 3, "kind": "b", "other": 1}
    assert list(words_of(axes, params)) == [
        {"lr": "0.25", "n": "3", "kind": "b", "preset": preset} for preset in ("x", "y")
    ]
    for outside in ({"lr": 2.0}, {"n": 5}, {"n": 2.5}, {"kind": "c"}, {"lr": True}, {"lr": "0.2"}):
        assert list(words_of(axes, {**params, **outside})) == []
