"""A run in which nothing is stale costs about what plain doit costs: side by side, in CPU time, best of several."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.graph import Output, files, python_sources
from tests.bench.build.__main__ import Project as Pipeline
from tests.bench.build.__main__ import best
from tests.bench.build.projects import STOCK_DOIT, TOOLS
from tests.graph.project import RUN_DOIT, Project

pytestmark = pytest.mark.alone

STAGES, FILES_EACH = 14, 20
ALLOWED = 1.10
ALLOWED_1000 = 1.4
ROUNDS, ATTEMPTS = 7, 3  # the best of the rounds; other work on the machine may spoil attempts
TOUCH_S = 0.05  # of CPU time, the most that a touched 500 MB input may add; reading it takes 0.25 s or more

PLAIN = f"""
import glob
DOIT_CONFIG = {{"backend": "json", "dep_file": "plain.json"}}
def task_all():
    for i in range({STAGES}):
        deps = sorted(glob.glob(f"src/s{{i}}/*.py")) + ([f"out{{i - 2}}"] if i >= 2 else [])
        action = [f"cat src/s{{i}}/f0.py > out{{i}}"]
        yield {{"basename": f"s{{i}}", "actions": action, "file_dep": deps, "targets": [f"out{{i}}"]}}
"""


def cpu_s(argv: list[str], folder: Path) -> float:
    """CPU seconds of one process, its children included."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_noop_costs_about_what_plain_doit_costs(project: Project) -> None:
    for i in range(STAGES):
        for j in range(FILES_EACH):
            project.write(f"src/s{i}/f{j}.py", f"from src.s{i} import f{(j + 1) % FILES_EACH}\nx = {i * j}\n" * 10)
        sources = python_sources(f"src.s{i}.f0") if i % 2 else files(f"src/s{i}")
        inputs = {"before": Output(f"s{i - 2}", "o.txt")} if i >= 2 else {}
        command = f"cat src/s{i}/f0.py > {{out}}/o.txt"
        project.stage(f"s{i}", command, sources=(sources,), inputs=inputs, params={"x": i})
    project.write("dodo_plain.py", PLAIN)
    project.write("plain.py", STOCK_DOIT)
    commands = {
        "plain doit": [sys.executable, "plain.py", "-f", "dodo_plain.py"],
        "ours": [sys.executable, str(RUN_DOIT)],
    }
    assert project.run().status == 0
    for argv in commands.values():
        cpu_s(argv, project.root)
    done = subprocess.run(commands["plain doit"], cwd=project.root, capture_output=True, text=True)
    assert done.stdout.count("-- s") == STAGES  # plain doit, and it has nothing to do either
    hold(lambda: ratio({name: lambda argv=argv: cpu_s(argv, project.root) for name, argv in commands.items()}), ALLOWED)


@pytest.mark.slow
def test_noop_of_a_thousand_stages(tmp_path: Path) -> None:
    pipelines = {tool.name: Pipeline(tool, tmp_path / tool.name.split()[0], 1_000) for tool in OURS_AND_PLAIN}
    hold(lambda: ratio({name: pipeline.noop for name, pipeline in pipelines.items()}), ALLOWED_1000)


def test_noop_does_not_notice_a_touched_500_mb_input(tmp_path: Path) -> None:
    """After one run that reads the file again. Stock doit reads it at every start from then on."""
    pipelines = {tool.name: Pipeline(tool, tmp_path / tool.name.split()[0], 2, big=True) for tool in OURS_AND_PLAIN}
    before = best(pipelines, ROUNDS)
    for pipeline in pipelines.values():
        pipeline.touch()
    time.sleep(0.05)  # a file read in the tick of its change is read once more
    for pipeline in pipelines.values():
        pipeline.noop()
    after = best(pipelines, ROUNDS)
    assert after["ours"] - before["ours"] < TOUCH_S
    assert after["plain doit"] - before["plain doit"] > TOUCH_S


OURS_AND_PLAIN = [tool for tool in TOOLS if tool.name in ("ours", "plain doit")]


def ratio(runs: dict[str, Callable[[], float]]) -> float:
    """Ours to plain doit: the best of rounds that take turns."""
    found = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name] = min(found[name], run())
    return found["ours"] / found["plain doit"]


def hold(measure: Callable[[], float], allowed: float) -> None:
    """Fail unless one of the attempts stays within what is allowed."""
    ratios: list[float] = []
    while len(ratios) < ATTEMPTS:
        ratios.append(measure())
        if ratios[-1] <= allowed:
            return
    listed = ", ".join(f"{each:.2f}" for each in ratios)
    raise AssertionError(f"a no-op costs {listed} times what plain doit costs; allowed: {allowed}")
