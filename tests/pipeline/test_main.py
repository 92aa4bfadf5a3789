"""What doitw starts: the same commands as plain doit, and in a run where nothing is stale about the same time."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from stages import main, paths
from tests.bench.build.projects import STOCK_DOIT
from tests.graph.test_speed import cpu_s

ALLOWED = 1.10
ROUNDS, ATTEMPTS = 7, 3
PYTHON = str(paths.VENV / "bin" / "python")
MANIFEST = (paths.ROOT / "pyproject.toml").read_text()

NAMES_OF = """
import json
from stages.project import GRAPH
from stages.graph.read.expand import expand
view = GRAPH.look.new_view()
print(json.dumps([
    (name, sorted(expand(stage.sources, view)), sorted({output.stage for output in stage.inputs.values()}))
    for name, stage in GRAPH.plan.stages.items()
]))
"""


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-P", *words]
    return subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, env={**os.environ, **env})


def test_the_commands_are_the_entry_points() -> None:
    assert main.commands(MANIFEST) == tomllib.loads(MANIFEST)["project"]["entry-points"]["doit.COMMAND"]
    assert main.commands("[project]\nname = 'x'\n") == {}


def test_what_is_left_out_at_the_start_is_there_when_it_is_wanted() -> None:
    """A run imports none of it; but whoever uses it has the real thing."""
    begin = "from stages import main; main.import_doit(); import doit.action, doit.runner, sys;"
    code = "print(*(name in sys.modules for name in ('email', 'bdb', 'cloudpickle', 'multiprocessing')));"
    use = (
        "import pdb, importlib.metadata as m; print(pdb.Pdb is doit.action.pdb.Pdb, m.version('doit'));"
        "import multiprocessing, pickle; print(pickle.loads(doit.runner.pickle_dumps(lambda: 7))());"
        "child = doit.runner.MRunner.Child(target=print, args=('child',)); child.start(); child.join();"
        "print(isinstance(child, multiprocessing.Process))"
    )
    done = run("-u", "-c", begin + code + use)
    expected = [*["False"] * 4, "True", "0.37.0", "7", "child", "True"]
    assert done.stdout.split() == expected, done.stderr


def test_help_names_doit_and_our_commands() -> None:
    done = run("-m", "stages.main", "help")
    assert done.returncode == 0
    assert "  doctor " in done.stdout and "main.py" not in done.stdout


@pytest.mark.alone
def test_a_noop_of_the_whole_graph_costs_about_what_plain_doit_costs(tmp_path: Path) -> None:
    """Beside a plain doit graph of as many tasks with the same source files, in CPU time."""
    env = {"POCKETLM_PRESET": paths.TEST_PRESET, "POCKETLM_BUILD": str(paths.BUILD)}
    known = run("-c", NAMES_OF, **env)
    assert known.returncode == 0, known.stderr
    (tmp_path / "dodo.py").write_text(
        f"""
DOIT_CONFIG = {{"backend": "json", "dep_file": "plain.json"}}
def task_all():
    for name, sources, needed in {known.stdout.strip()}:
        files = ["{paths.ROOT}/" + source for source in sources] + ["made-" + other for other in needed]
        yield {{"basename": name, "actions": ["touch made-" + name], "file_dep": files, "targets": ["made-" + name]}}
"""
    )
    (tmp_path / "stock.py").write_text(STOCK_DOIT)
    plain = [PYTHON, "stock.py"]
    ours = [PYTHON, "-P", "-m", "stages.main", f"preset={paths.TEST_PRESET}"]
    assert run(*ours[2:], **env).returncode == 0  # builds what no other test wanted
    assert "built" not in run(*ours[2:], **env).stdout
    cpu_s(plain, tmp_path)
    ratios = []
    for _ in range(ATTEMPTS):
        best = min(cpu_s(ours, paths.ROOT) for _ in range(ROUNDS)) / min(cpu_s(plain, tmp_path) for _ in range(ROUNDS))
        ratios.append(round(best, 2))
        if best <= ALLOWED:
            print(f"a no-op of the whole graph: {best:.2f} × plain doit")
            return
    pytest.fail(f"a no-op costs {ratios} times what plain doit costs; allowed: {ALLOWED}")
