"""`doit exp run -n N`: several choices at the same time, what they share once, failures apart, the same table."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter

import pytest

from tests.graph.experiments import TRAIN, Lab
from tests.graph.project import is_alive, wait_until

SIX = ("exp", "run", "train.lr=1,2,3", "train.layers=2,4")
SPAN = "import time; begin = time.time(); time.sleep(0.3)\n"


def rows(lab: Lab) -> list[tuple[str, object, object]]:
    return sorted((row["key"], str(row["params"]), str(row["metrics"])) for row in lab.table())


def scopes(lab: Lab) -> list[str]:
    return [path.name for path in lab.build.iterdir() if path.name.startswith("exp")]


def test_the_same_table_and_what_is_shared_once(lab: Lab) -> None:
    lab.write("train.py", SPAN + TRAIN + "print(begin, time.time())\n")
    result = lab.doit(*SIX, "score", "-n", "3", "--name", "lr")
    assert result.status == 0, result.out + result.err
    assert Counter(result.ran) == {"text": 1, "words": 1, "train": 6, "score": 6}
    assert "6 choices: 6 built, 0 there before" in result.out
    logs = [(lab.build / "store" / row["key"] / "log.txt").read_text() for row in lab.table()]
    spans = [tuple(map(float, log.splitlines()[-1].split())) for log in logs]
    assert max(sum(one <= begin < end for one, end in spans) for begin, _ in spans) in (2, 3)
    assert scopes(lab) == ["exp"]
    at_once, named = rows(lab), {row["names"][0]: row["params"] for row in lab.table()}
    one_by_one = lab.doit(*SIX, "score", "--name", "lr")
    assert one_by_one.ran == [] and rows(lab) == at_once
    assert {row["names"][0]: row["params"] for row in lab.table()} == named


def test_failures_stay_apart(lab: Lab) -> None:
    result = lab.doit("exp", "run", "train.layers=2,13,4,many", "train.seed=0,1", "-n", "3", "score")
    assert result.status == 1
    assert Counter(result.ran) == {"text": 1, "words": 1, "train": 6, "score": 4}
    assert result.out.count("failed     train.layers=13") == 2
    assert result.out.count("not valid") == 4  # two, told before the rest is made and after
    assert "8 choices: 4 built, 0 there before, 4 failed" in result.out
    assert len([path for path in (lab.build / "run").iterdir() if path.name.startswith("train@")]) == 2


def test_a_shared_stage_that_fails_is_tried_once(lab: Lab) -> None:
    (lab.root / "text.txt").unlink()
    lab.write("text.txt", "a")
    lab.write("train.py", "import sys; sys.exit('broken')\n")
    result = lab.doit("exp", "run", "words.least=1,2", "-n", "2")
    assert result.status == 1 and Counter(result.ran) == {"text": 1, "words": 2, "train": 2}


def test_smoke_runs(lab: Lab) -> None:
    result = lab.doit("exp", "run", "train.layers=2,13,4", "--smoke", "-n", "2")
    assert result.status == 1 and Counter(result.ran) == {"text": 1, "words": 1, "train": 5}
    assert [row["metrics"]["steps"] for row in lab.table("--all")] == [100, 100]


def test_two_that_share_their_checkpoints_take_turns(lab: Lab) -> None:
    """A longer training goes on from a shorter one, so both have one folder of checkpoints."""
    plain = lab.stages_of

    def resumable(words: object) -> list[object]:
        import dataclasses

        line = 'mkdir {partial}/busy; sleep 0.3; echo "{\\"loss\\": 1}" > {out}/summary.json; rmdir {partial}/busy'
        return [
            dataclasses.replace(
                each,
                run=("sh", "-ec", line + "; echo > {out}/weights"),
                resumable=True,
                resumes_over=(("params", "train.steps"),),
            )
            if each.name == "train"
            else each
            for each in plain(words)  # type: ignore[arg-type]
        ]

    lab.stages_of = resumable  # type: ignore[method-assign,assignment]
    result = lab.doit("exp", "run", "train.steps=10,20,30", "-n", "3")
    assert result.status == 0, result.out


def test_killed_and_run_again_nothing_finished_runs_twice(lab: Lab) -> None:
    """SIGKILL at four random moments: each training ran once, and once more for each kill that it was cut off by."""
    chosen, kills, at_once = random.Random(11), 0, 3
    for _ in range(4):
        process = lab.start(*SIX, "-n", str(at_once), start_new_session=True)
        time.sleep(chosen.uniform(0.3, 1.5))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        lab.finish(process)
    done = lab.run(*SIX, "-n", str(at_once))
    assert done.status == 0, done.err
    started = Counter((lab.root / "ran.log").read_text().split())
    assert 6 <= started["train"] <= 6 + kills * at_once
    assert scopes(lab) == ["exp"] and len(rows(lab)) == 6
    assert lab.doit(*SIX).ran == []


@pytest.mark.parametrize("at_once", ["2", "3"])
def test_ctrl_c_ends_them_all(lab: Lab, at_once: str) -> None:
    lab.write("train.py", f"import os, time\nopen({str(lab.root)!r} + f'/pid{{os.getpid()}}', 'w')\ntime.sleep(600)\n")
    process = lab.start(*SIX, "-n", at_once)
    wait_until(lambda: len(list(lab.root.glob("pid*"))) == int(at_once))
    process.send_signal(signal.SIGINT)
    stopped = lab.finish(process, timeout=60)
    assert stopped.status == 128 + signal.SIGINT and "run again to go on" in stopped.err
    assert not any(is_alive(int(path.name[3:])) for path in lab.root.glob("pid*"))
    assert scopes(lab) == ["exp"] and not list((lab.build / "run").glob("train@*"))


def test_wrong_numbers(lab: Lab) -> None:
    for words, message in ((("-n", "0"), "-n takes a number above 0, not 0"), (("-n", "x"), "takes a number, not 'x'")):
        result = lab.doit("exp", "run", "train.lr=1,2", *words)
        assert result.status == 2 and message in result.err
