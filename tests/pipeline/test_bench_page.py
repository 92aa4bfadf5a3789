"""`doit bench page`: what is read from a trace, beside the obvious way to count; and the whole of it on a page."""

from __future__ import annotations

import json
import random
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stages import paths
from tests.bench.page.__main__ import measure
from tests.bench.page.trace import FRAME_MS, Load, Task, frames, load, tasks

PAGE, TOOLBAR = 7, 8  # processes


def named(pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}


def run(pid: int, tid: int, start_ms: float, cpu_ms: float) -> dict[str, Any]:
    return {"name": "RunTask", "pid": pid, "tid": tid, "ts": start_ms * 1000, "tdur": cpu_ms * 1000, "dur": 9e9}


def test_only_tasks_of_the_pages_own_main_thread_count() -> None:
    events = [
        named(PAGE, 1, "CrRendererMain"),
        named(PAGE, 2, "DedicatedWorker thread"),
        named(TOOLBAR, 1, "CrRendererMain"),
        run(PAGE, 1, 30, 2),
        run(PAGE, 1, 10, 5),
        run(PAGE, 2, 10, 500),
        run(TOOLBAR, 1, 10, 1),
        {"name": "FunctionCall", "pid": PAGE, "tid": 1, "ts": 0, "tdur": 4000},
        {"name": "RunTask", "pid": PAGE, "tid": 1, "ts": 0},  # without the processor's time
    ]
    assert tasks(events) == [Task(10, 5), Task(30, 2)]
    with pytest.raises(ValueError, match="no task of a thread CrRendererMain"):
        tasks([event for event in events if event["name"] != "RunTask"])


def test_frames_and_percentiles_are_those_of_the_obvious_way() -> None:
    chance = random.Random(5)
    for _ in range(50):
        of = sorted(Task(chance.uniform(0, 900), chance.uniform(0, 20)) for _ in range(chance.randint(1, 120)))
        spans = frames(of)
        assert sum(spans) == pytest.approx(sum(task.cpu_ms for task in of))
        for number, span in enumerate(spans):
            begin = of[0].start_ms + number * FRAME_MS
            within = [task.cpu_ms for task in of if begin <= task.start_ms < begin + FRAME_MS]
            assert span == pytest.approx(sum(within))
        figures = [task.cpu_ms for task in of]
        for percent, found in ((95, load(figures).p95), (99, load(figures).p99)):
            below = [sum(other <= each for other in figures) * 100 >= percent * len(figures) for each in figures]
            assert found == min(each for each, enough in zip(figures, below, strict=True) if enough)
        assert load(figures).longest == max(figures)
    assert load([3.0]) == Load(3.0, 3.0, 3.0)


@pytest.mark.gpu
def test_a_page_that_does_not_answer_is_an_error_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SystemExit, match=r"could not be measured: page\.goto: net::ERR_CONNECTION_REFUSED"):
        measure(f"http://127.0.0.1:{port}/", shaded=False, quick=True)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.alone
def test_a_built_page_is_measured(tmp_path: Path) -> None:
    bundle = paths.preset_dir(paths.TEST_PRESET) / "web"
    done = subprocess.run(
        [paths.VENV / "bin" / "python", "-m", "tests.bench.page", "--quick", "--out", tmp_path / "page.json", bundle],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "| a frame of 16.7 ms, all tasks, longest |" in done.stdout
    runs = json.loads((tmp_path / "page.json").read_text())["runs"]
    for (each,) in runs.values():
        assert 0 < each["tokens_per_s"] < 250  # held back to 200; a busy machine writes fewer
        assert 0 < each["task_ms"]["p95"] <= each["task_ms"]["longest"]
        assert 0 < each["first_paint_ms"] < each["ready_ms"]
