"""`doit bench engine`: what its table says of given runs, that engines take turns, and that one is left out."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages import paths
from tests.bench.engine import __main__ as bench
from tests.bench.engine import table
from tests.bench.engine.peers import NATIVE, OURS, Figures, Job, Missing, Peer, Took, a_token, run


def job(threads: int = 1, model: str = "15M") -> Job:
    return Job(Path("x"), model, "q8_0", NATIVE, threads, prompt_tokens=8, tokens=4)


def figures(clock_ms: float, cpu_ms: float, ids: tuple[int, ...] = ()) -> Figures:
    """A run in which a token of the prompt takes half as long as one that is written."""
    prefill, decode = Took(clock_ms / 2, cpu_ms / 2), Took(clock_ms, cpu_ms)
    return Figures(load_ms=1, first_ms=10 * clock_ms, prefill=prefill, decode=decode, peak_mib=3, ids=ids)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(("threads", "ratio", "per_s"), [(1, "0.50", "250"), (2, "2.00", "100")])
def test_one_thread_is_timed_by_the_processor_and_two_by_the_wall(threads: int, ratio: str, per_s: str) -> None:
    runs = {"llama.cpp": [figures(20, 2)], OURS: [figures(10, 4)]}
    ours, theirs = map(cells, table.lines(table.Setting(job(threads), runs)))
    assert ours[4] == OURS
    assert ours[5] == per_s
    assert ours[9:] == [""] * 4
    assert theirs[9:] == [ratio, ratio, "2.00", "0.9, 0.9, –"]
    assert all(len(cells(line)) == len(ours) for line in table.heading())


def test_each_figure_has_its_own_median() -> None:
    runs = [figures(1, 30), figures(3, 10), figures(2, 20)]
    assert table.medians(runs) == figures(2, 20)


def test_the_time_to_the_first_token_is_held_for_the_real_model_alone() -> None:
    wanted = {
        model: table.wanted(job(model=model)._replace(place="browser CPU"), "transformers.js") for model in bench.MODELS
    }
    assert wanted == {"1M": "1.5, 1.5, –", "15M": "1.5, 1.5, –", "135M": "1.5, 1.5, 2"}


def test_engines_take_turns_and_one_that_fails_is_left_out() -> None:
    seen: list[str] = []

    def engine(name: str, fails_at: int | None = None) -> Peer:
        def measure(_: Job) -> Figures:
            seen.append(name)
            if seen.count(name) == fails_at:
                raise Missing("it is not there")
            return figures(1, 1)

        return Peer(name, NATIVE, measure, ("q8_0",))

    setting = bench.measure(job(), [engine(OURS), engine("broken", fails_at=2), engine("other")], rounds=3)
    assert seen == [OURS, "broken", "other", OURS, "broken", "other", OURS, "other"]
    assert {name: len(runs) for name, runs in setting.runs.items()} == {OURS: 3, "other": 3}
    *rows, last = table.lines(setting)
    assert [cells(row)[4] for row in rows] == [OURS, "other"]
    assert last == "15M q8_0 native: broken left out: it is not there"
    assert json.loads(json.dumps(table.as_json(setting)))["left_out"] == {"broken": "it is not there"}


def test_the_table_stands_where_ours_is_missing() -> None:
    (line,) = table.lines(table.Setting(job(), {"llama.cpp": [figures(1, 1)]}))
    assert cells(line)[9:] == [""] * 4


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/nowhere/engine"], "/nowhere/engine"),
        ([sys.executable, "-c", "raise SystemExit('no such model')"], "ended with 1: no such model"),
    ],
)
def test_a_process_that_cannot_be_had_or_fails_is_named(command: list[str], why: str) -> None:
    with pytest.raises(Missing, match=why):
        run(command)


def test_a_process_tells_its_figures_and_its_memory() -> None:
    """Asked in a process of its own: a peak counts what the parent held at the start, and this one holds PyTorch."""
    asked = "import sys; from tests.bench.engine.peers import run; print(run([sys.executable, '-c', sys.argv[1]]))"
    held = "held = bytearray(1 << 28); print('{}')"
    done = subprocess.run(
        [sys.executable, "-c", asked, held], cwd=paths.ROOT, capture_output=True, text=True, check=True
    )
    printed, peak_mib = ast.literal_eval(done.stdout)
    assert json.loads(printed) == {}
    assert 256 < peak_mib < 512


def test_what_was_said_of_all_tokens_is_shared_out() -> None:
    assert a_token({"clock_ms": 12, "cpu_ms": 6}, 3) == Took(4, 2)
