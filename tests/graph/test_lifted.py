"""docs/ORCHESTRATION.md's example as it is printed: the engine copied into another project, under another name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/ORCHESTRATION.md").read_text()


def block(language: str) -> str:
    """The document's one code block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.M | re.S)
    return found


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another project, with a copy of the engine and nothing else of this one."""
    shutil.copytree(ROOT / "stages/graph", tmp_path / "graph", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "dodo.py").write_text(block("python"))
    (tmp_path / "pyproject.toml").write_text(block("toml"))
    (tmp_path / "text.txt").write_text("a b a c a b\n")
    return tmp_path


def doit(folder: Path, *words: str) -> str:
    # doit takes entry points before the file, and this environment has this project's.
    stock = (
        "import sys; sys.path.insert(0, '')\n"
        "from doit.plugin import PluginDict\nPluginDict._from_entry_points = lambda self, category: {}\n"
        "from doit.doit_cmd import DoitMain\nsys.exit(DoitMain().run(sys.argv[1:]))"
    )
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "POCKETLM_STORE")}
    argv = [sys.executable, "-c", stock, *words]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_builds_once(other: Path) -> None:
    assert "2 built" in doit(other)
    assert (other / "build/shared/top.txt").read_text().split()[:2] == ["3", "a"]
    assert doit(other).splitlines()[:2] == ["fresh          words", "fresh          top"]
    (other / "text.txt").write_text("c a b a a b\n")  # other text, the same words: the second stage is cut off
    out = doit(other)
    assert "built          words" in out and "fresh          top" in out
    assert "fresh" in doit(other, "why")
    doit(other, "verify")


def test_the_example_is_short() -> None:
    assert len(block("python").splitlines()) <= 25  # as ruff lays it out


def test_every_registered_command_exists(other: Path) -> None:
    for name in re.findall(r"^(\w+) = ", block("toml"), re.M):
        assert f"Usage: doit {name}" in doit(other, "help", name)
