"""The sharp edges of plain doit's commands, output and imports. As in test_sharp_edges.py: plain doit first."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.graph import Output, files, python_sources
from tests.graph.project import HANGS_S, RUN_DOIT, Project
from tests.graph.stock import Stock


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    return Stock(tmp_path / "stock")


# Python functions made by functions, which no other process can be sent: as macOS starts them, and Linux from 3.14 on.
CLOSURES = """
import multiprocessing
multiprocessing.set_start_method("spawn", force=True)

def making(name):
    return lambda: open(name + ".txt", "w").close()

def task_closures():
    for name in ("a", "b"):
        yield {"name": name, "actions": [making(name)]}
"""


def test_e10_parallel_needs_what_can_be_pickled(stock: Stock, project: Project) -> None:
    stock.tail = CLOSURES
    done = stock.run("-n", "2", "closures")
    assert done.status != 0 and "pickle" in done.out, done.out

    project.write("dodo.py", CLOSURES)
    command = [sys.executable, str(RUN_DOIT), "-n", "2", "closures"]
    ours = subprocess.run(command, cwd=project.root, capture_output=True, text=True)
    assert ours.returncode == 0, ours.stdout + ours.stderr
    assert {path.name for path in project.root.glob("*.txt")} == {"a.txt", "b.txt"}


def test_e13_what_a_task_imports_is_imported_by_every_command(stock: Stock, project: Project) -> None:
    heavy = "import pathlib\npathlib.Path('imported').touch()\nopen('made.txt', 'w').write('1')\n"
    stock.write("heavy.py", heavy.replace("open", "def work():\n    open"))
    stock.head = "import sys; sys.path.insert(0, '.'); import heavy"
    stock.run("list")
    assert (stock.root / "imported").exists()

    project.write("heavy.py", heavy.replace("'made.txt'", "__import__('sys').argv[1]"))
    project.stage("s", "{python} -m heavy {out}/o.txt", sources=(python_sources("heavy"),), pythonpath=("{snapshot}",))
    for words in (("list",), ("why",), ("info", "s")):
        project.run(*words)
    imported = [project.root / "imported", project.build / "run/s/src/imported"]
    assert not any(path.exists() for path in imported)
    assert project.run().ran == ["s"]
    assert [path.exists() for path in imported] == [False, True]  # the command alone
    imported[1].unlink()
    assert project.run().ran == []
    assert not any(path.exists() for path in imported)


def test_e15_status_leaves_out_what_follows_and_info_what_changed(stock: Stock, project: Project) -> None:
    stock.write("a.txt", "old\n")
    stock.task("one", "cat a.txt > one.txt", deps=("a.txt",))
    stock.task("two", "cat one.txt > two.txt", deps=("one.txt",))
    stock.run()
    stock.write("a.txt", "new\n")
    states = {line.split()[1]: line.split()[0] for line in stock.run("list", "--status").out.splitlines()}
    assert states == {"one": "R", "two": "U"}  # plain doit: two is up to date, it says, and then it runs
    assert stock.run().ran == ["one", "two"]
    stock.tasks["one"][1]["uptodate"] = [False]
    said = stock.run("info", "one").out
    assert "run" in said and "→" not in said and "False" in said

    project.write("a.txt", "old\n")
    project.stage("one", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),), params={"x": 1})
    project.stage("two", "cat {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")})
    project.doit()
    project.write("a.txt", "new\n")
    listed = project.doit("list", "--status").out.splitlines()
    assert listed[0].startswith("one  will run")
    assert "may run: cut off if unchanged" in listed[1]
    project.stage("one", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),), params={"x": 2})
    said = project.doit("info", "one").out
    assert "source a.txt: " in said and "parameter x: 1 → 2" in said


def on_a_terminal(start: Callable[..., Any]) -> str:
    """Run with a terminal; returns what it showed."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm"}
    process = start(stdout=theirs, stderr=theirs, stdin=theirs, env=env)
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # its last user is gone
            break
        if not data:
            break
        seen += data
    process.wait(timeout=HANGS_S)
    os.close(ours)
    return seen.decode(errors="replace")


def test_e16_commands_lose_the_terminal(stock: Stock, project: Project) -> None:
    """Cargo's and tqdm's bars are gone once their output is captured."""
    stock.task("s", "[ -t 1 ] && echo yes > s.txt || echo no > s.txt")
    on_a_terminal(stock.start)
    assert stock.read("s.txt") == "no\n"

    project.stage("s", "[ -t 1 ] && echo yes > {out}/o.txt || echo no > {out}/o.txt")
    on_a_terminal(project.start)
    assert (project.result("s") / "o.txt").read_text() == "yes\n"
