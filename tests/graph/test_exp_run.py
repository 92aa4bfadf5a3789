"""`doit exp run`: every combination is built, what they share once, and a kill or a failure costs nothing finished."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from stages.graph import UsageError
from stages.graph.declare.experiments import axes_of, grid, split_values
from tests.graph.experiments import Lab

SIX = ("exp", "run", "train.lr=1,2,3", "train.layers=2,4")


def test_what_they_share_is_built_once(lab: Lab) -> None:
    result = lab.doit(*SIX)
    assert result.status == 0, result.out + result.err
    assert Counter(result.ran) == {"text": 1, "words": 1, "train": 6}
    assert "6 choices: 6 built, 0 there before" in result.out
    rows = lab.table()
    assert [(row["params"]["train.lr"], row["params"]["train.layers"]) for row in rows] != []
    found = {(row["params"]["train.lr"], row["params"]["train.layers"]): row["metrics"]["loss"] for row in rows}
    assert found == {(lr, n): pytest.approx(10 - 2 * lr - 0.5 * n, abs=0.1) for lr in (1, 2, 3) for n in (2, 4)}
    again = lab.doit(*SIX)
    assert again.ran == [] and "6 choices: 0 built, 6 there before" in again.out


def test_no_link_of_a_preset_moves(lab: Lab) -> None:
    lab.doit("train")
    before = lab.result("train", "lab")
    lab.doit(*SIX)
    assert lab.result("train", "lab") == before
    assert lab.doit("train").ran == []
    assert not (lab.build / "exp" / "weights").exists()


def test_one_failure_does_not_stop_the_others(lab: Lab) -> None:
    result = lab.doit("exp", "run", "train.layers=2,13,4", "score")
    assert result.status == 1
    assert Counter(result.ran) == {"text": 1, "words": 1, "train": 3, "score": 2}
    assert "failed     train.layers=13: 13 layers do not fit" in result.out
    assert "3 choices: 2 built, 0 there before, 1 failed" in result.out


def test_what_failed_is_not_tried_again_for_the_next_choice(lab: Lab) -> None:
    """The score's choices share a training that fails; a stage that many share fails once."""
    lab.write("text.txt", "a")
    (lab.root / "train.py").write_text("import sys; sys.exit('broken')\n")
    result = lab.doit("exp", "run", "words.least=1,2", "train.seed=1,2")
    assert result.status == 1 and Counter(result.ran)["train"] == 4
    (lab.root / "text.txt").unlink()
    result = lab.doit("exp", "run", "train.seed=3,4")
    assert result.status == 1 and result.ran == []
    assert "2 failed" in result.out


def test_values_that_are_not_valid(lab: Lab) -> None:
    result = lab.doit("exp", "run", "train.layers=2,many", "train.seed=0,1")
    assert result.status == 1 and Counter(result.ran)["train"] == 2
    assert "not valid  train.layers=many train.seed=0" in result.out
    assert result.out.index("not valid") < result.out.index("── "), "found before anything runs, and said then"
    result = lab.doit("exp", "run", "train.lrr=1,2")
    assert (result.status, result.err) == (2, "doit: train.lrr= is not a parameter\n")
    result = lab.doit("exp", "run", "train.lr=1,,2")
    assert (result.status, result.err) == (2, "doit: train.lr=1,,2: a value between the commas is empty\n")


def test_sample(lab: Lab) -> None:
    words = ("exp", "run", "train.lr=1,2,3", "train.layers=2,4,6", "--random", "4")
    first = lab.doit(*words)
    assert Counter(first.ran)["train"] == 4
    assert lab.doit(*words).ran == []
    assert lab.doit(*words, "--seed", "1").ran != []


def test_dry_run_builds_nothing(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=1,2")
    result = lab.doit("exp", "run", "train.lr=1,2,3", "--dry-run")
    assert result.ran == [] and result.status == 0
    assert [line.split("train")[0].strip() for line in result.out.splitlines()] == ["has its result"] * 2 + [
        "would run"
    ]


def test_smoke_runs_come_first_and_leave_nothing(lab: Lab) -> None:
    result = lab.doit("exp", "run", "train.layers=2,13,4", "--smoke")
    assert result.status == 1
    # three short runs, of which one fails, then two whole ones
    assert Counter(result.ran) == {"text": 1, "words": 1, "train": 5}
    assert [row["metrics"]["steps"] for row in lab.table("--all")] == [100, 100]
    again = lab.doit("exp", "run", "train.layers=2,4", "--smoke")
    assert again.ran == [] and again.status == 0


def test_a_smoke_run_that_was_there_before_stays(lab: Lab) -> None:
    lab.doit("train", "train.steps=1")
    lab.doit("train")
    lab.doit("exp", "run", "train.lr=1,2", "--smoke")
    assert sorted(row["metrics"]["steps"] for row in lab.table("--all")) == [1, 100, 100]


def test_names(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=1,2", "--name", "lr")
    assert {row["names"][0]: row["params"]["train.lr"] for row in lab.table()} == {"lr-1": 1.0, "lr-2": 2.0}
    assert lab.doit("exp", "run", "train.lr=1,2", "--name", "no/way").status == 2


def test_a_second_run_does_not_orphan_the_first(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=1,2", "--name", "a")
    lab.doit("exp", "run", "train.lr=3,4", "--name", "a")
    assert len(lab.table()) == 4
    lab.doit("gc", "--keep", "0")
    rows = lab.table()
    assert {row["params"]["train.lr"]: row["names"] for row in rows} == {1.0: [], 2.0: [], 3.0: ["a-1"], 4.0: ["a-2"]}
    assert lab.doit("exp", "run", "train.lr=1,2,3,4").ran == []


def test_killed_and_run_again_nothing_finished_runs_twice(lab: Lab) -> None:
    """SIGKILL at five random moments: in the end each training ran as often as it was killed, and one time more."""
    whole = lab.doit(*SIX)
    expected = [(row["key"], row["params"], row["metrics"]) for row in lab.table("--sort", "loss")]
    assert whole.status == 0
    lab.forget()
    kills = lab.killed(*SIX, seed=5, within_s=(0.1, 1.2))
    done = lab.run(*SIX)
    assert done.status == 0, done.err
    started = Counter((lab.root / "ran.log").read_text().split())
    assert started["train"] - Counter(whole.ran)["train"] <= 6 + kills
    assert [(row["key"], row["params"], row["metrics"]) for row in lab.table("--sort", "loss")] == expected


def test_ctrl_c_keeps_what_is_finished(lab: Lab) -> None:
    (lab.root / "train.py").write_text("import time\ntime.sleep(0.5)\n" + (lab.root / "train.py").read_text())
    process = lab.start(*SIX)
    while not (lab.build / "pins" / ".current").is_dir():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stopped = lab.finish(process)
    assert stopped.status == 128 + signal.SIGINT and "run again to go on" in stopped.err
    kept = len(lab.table())
    assert 1 <= kept < 6
    rest = lab.run(*SIX)
    assert rest.status == 0 and Counter(rest.ran)["train"] == 6 - kept


def test_a_project_without_experiments(lab: Lab) -> None:
    lab.graph = super(Lab, lab).graph  # type: ignore[method-assign]
    lab.stage("one", "echo > {out}/o.txt")
    result = lab.doit("exp", "run", "a=1,2")
    assert result.status == 2 and "declares no experiments" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("exp",), "say one of exp run, exp show, exp export, exp name, exp pin, exp unpin"),
        (("exp", "shwo"), "'shwo' is no part of exp; did you mean show?; say one of"),
        (("exp", "run", "a=[1,2"), "a=[1,2: ] is missing; in a shell, put the word in single quotes"),
        (("exp", "run", "train.lr=1,2", "trian"), "'trian' is not a stage; did you mean train?"),
        (("exp", "run", "train.lr=1,2", "--random", "x"), "--random takes a number, not 'x'"),
        (("exp", "show", "--sort", "los"), "there is no column los; did you mean loss?"),
        (("exp", "run", "train.lr=1,2", "-n", "x"), "-n, --process takes a number, not 'x'"),
        (("exp", "show", "--sort", "zzz"), "there is no column zzz; there are: name, key, loss, steps, "),
        (("exp", "show", "--filter", "loss"), "'loss' is no condition"),
        (("exp", "show", "--filter", "loss<<3"), "'loss<<3' is no condition"),
        (("exp", "show", "--filter", "loss<3,5"), "'loss<3,5': loss is a number, and '3,5' is none"),
        (("diff", "train", "words"), "are results of two stages; name two of one"),
        (("exp", "pin", "nothing"), "'nothing' is neither a name, a stage nor the beginning of a key"),
    ],
)
def test_wrong_words(lab: Lab, words: tuple[str, ...], message: str) -> None:
    lab.doit("train")
    result = lab.doit(*words)
    assert result.status in (1, 2) and message in result.err and result.ran == []


def test_values_with_commas() -> None:
    assert split_values("a", "1,2") == ["1", "2"]
    assert split_values("a", '["x,y","z"],["w"]') == ['["x,y","z"]', '["w"]']
    assert split_values("a", '"x,y",z') == ['"x,y"', "z"]
    assert split_values("a", r'"x\",y",z') == [r'"x\",y"', "z"]
    assert split_values("a", "{1,2},(3,4)") == ["{1,2}", "(3,4)"]
    assert split_values("a", r"one\, two,three") == ["one, two", "three"]
    assert split_values("a", "1,1,2") == ["1", "2"]
    assert split_values("a", "") == [""]
    with pytest.raises(UsageError, match='" is missing'):
        split_values("a", '"x,y')


def test_grid_against_loops() -> None:
    axes = axes_of({"a": "1,2,3", "b": "x,y", "c": "one"})
    assert axes == {"a": ["1", "2", "3"], "b": ["x", "y"]}
    every = [{"a": a, "b": b} for a in "123" for b in "xy"]
    assert grid(axes) == every == grid(axes, 6) == grid(axes, 99)
    assert grid({}) == [{}]
    for seed in range(20):
        sample = grid(axes, 4, seed)
        assert len(sample) == 4 and [each for each in every if each in sample] == sample
        assert all(each in grid(axes, 5, seed) for each in sample)
    huge = {f"p{i}": [str(j) for j in range(10)] for i in range(30)}
    assert len(grid(huge, 5)) == 5
