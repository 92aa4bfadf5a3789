"""A run in which nothing is stale costs about what plain doit costs: side by side, in CPU time, best of several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stages.graph import Output, files, python_sources
from tests.graph.project import RUN_DOIT, Project

STAGES, FILES_EACH = 14, 20
ALLOWED = 1.15
ROUNDS, ATTEMPTS = 7, 10  # the best of the rounds; other work on the machine may spoil attempts

PLAIN = f"""
import glob
DOIT_CONFIG = {{"backend": "json", "dep_file": "plain.json"}}
def task_all():
    for i in range({STAGES}):
        deps = sorted(glob.glob(f"src/s{{i}}/*.py")) + ([f"out{{i - 2}}"] if i >= 2 else [])
        action = [f"cat src/s{{i}}/f0.py > out{{i}}"]
        yield {{"basename": f"s{{i}}", "actions": action, "file_dep": deps, "targets": [f"out{{i}}"]}}
"""

# doit as it comes: it looks for plugins, as always, and takes none.
STOCK = """
import sys
from doit.doit_cmd import DoitMain
from doit.plugin import PluginDict
look = PluginDict._from_entry_points
PluginDict._from_entry_points = lambda self, category: look(self, category) and {}
sys.exit(DoitMain(config_filenames=()).run(sys.argv[1:]))
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
    project.write("plain.py", STOCK)
    commands = {
        "plain doit": [sys.executable, "plain.py", "-f", "dodo_plain.py"],
        "ours": [sys.executable, str(RUN_DOIT)],
    }
    assert project.run().status == 0
    for argv in commands.values():
        cpu_s(argv, project.root)
    done = subprocess.run(commands["plain doit"], cwd=project.root, capture_output=True, text=True)
    assert done.stdout.count("-- s") == STAGES  # plain doit, and it has nothing to do either
    ratios = []
    for _ in range(ATTEMPTS):
        best = {name: min(cpu_s(argv, project.root) for _ in range(ROUNDS)) for name, argv in commands.items()}
        ratios.append(best["ours"] / best["plain doit"])
        if ratios[-1] <= ALLOWED:
            return
    listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    raise AssertionError(f"a no-op costs {listed} times what plain doit costs; allowed: {ALLOWED}")
