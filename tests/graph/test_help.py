"""doit help, and what is said to someone who types something wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.graph.project import RUN_DOIT, Project


def doit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RUN_DOIT), *words], cwd=folder, capture_output=True, text=True)


def test_overview_lists_what_means_something_here(chain: Project) -> None:
    result = chain.doit("help")
    assert result.status == 0
    listed = {line.split()[0] for line in result.out.splitlines() if line.startswith("  ")}
    assert {"run", "list", "graph", "why", "info", "inspect", "verify", "clean", "gc", "help"} <= listed
    assert not {"dumpdb", "strace", "forget", "ignore", "reset-dep"} & listed
    assert [line for line in result.out.splitlines() if line.endswith(":")][:3] == ["Build:", "Look:", "Results:"]


@pytest.mark.parametrize("dodo", [None, '"""What this is."""\nDOIT_CONFIG = {}\n', "raise RuntimeError('broken')\n"])
def test_overview_begins_with_the_project(tmp_path: Path, dodo: str | None) -> None:
    if dodo is not None:
        (tmp_path / "dodo.py").write_text(dodo)
    done = doit(tmp_path, "help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("What this is." if "What" in (dodo or "") else "Usage: doit [STAGE")


@pytest.mark.parametrize("words", [("help", "run"), ("run", "--help"), ("-h",)])
def test_command_help_has_no_option_without_a_meaning(chain: Project, words: tuple[str, ...]) -> None:
    result = chain.doit(*words)
    assert result.status == 0 and result.ran == [] and "Usage: doit run [STAGE ...]" in result.out
    assert "-n, --process N" in result.out and "-a, --always-execute" in result.out
    for option in ("--backend", "--db-file", "--check_file_uptodate", "--parallel-type", "--pdb", "%(default)s"):
        assert option not in result.out


COMMANDS = ["list", "graph", "why", "info", "inspect", "verify", "clean", "gc", "push", "pull", "log", "shell"]
EXPERIMENTS = ["exp", "diff", "history", "use", "blame"]


@pytest.mark.parametrize("command", [*COMMANDS, *EXPERIMENTS])
def test_every_command_explains_itself(chain: Project, command: str) -> None:
    out = chain.doit("help", command).out
    assert out.startswith(f"doit {command}: ") and f"Usage: doit {command}" in out
    assert "ARG" not in out and "%(" not in out


@pytest.mark.parametrize("part", ["run", "show", "export", "name", "pin", "unpin"])
def test_every_part_of_exp_explains_itself(chain: Project, part: str) -> None:
    for words in (("help", "exp", part), ("exp", part, "--help")):
        out = chain.doit(*words).out
        assert out.startswith(f"doit exp {part}: ") and f"Usage: doit exp {part}" in out
    assert f"  doit exp {part} " in chain.doit("help", "exp").out


def test_stage_help(chain: Project) -> None:
    result = chain.doit("help", "two")
    assert result.status == 0
    assert result.out.splitlines()[:2] == ["two: Makes two.", "Makes o.txt. Needs one."]
    assert "doit why two" in result.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tow",), "'tow' is neither a task nor a command; did you mean two?"),
        (("lsit",), "'lsit' is neither a task nor a command; did you mean list?"),
        (("xyz",), "'xyz' is neither a task nor a command; `doit list` shows the tasks, `doit help` the commands"),
        (("help", "tow"), "'tow' is neither a command nor a task; did you mean two?"),
        (("help", "verfy"), "'verfy' is neither a command nor a task; did you mean verify?"),
        (("help", "one", "two"), "help takes one command or stage"),
        (("why", "--jsn"), "option --jsn not recognized; did you mean --json?"),
        (("why", "--zzzzz"), "option --zzzzz not recognized; `doit help why` shows the options"),
        (("-n", "many"), "-n, --process takes a number, not 'many'"),
    ],
)
def test_wrong_words_get_one_clear_line(chain: Project, words: tuple[str, ...], message: str) -> None:
    result = chain.doit(*words)
    assert (result.status, result.err, result.ran) == (2, f"doit: {message}\n", [])


@pytest.mark.parametrize("words", [(), ("list",), ("help", "train")])
def test_folder_without_a_dodo_file(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = doit(tmp_path, *words)
    assert done.returncode == 2 and done.stderr.startswith(f"doit: there is no {tmp_path}/dodo.py: go to the project's")
