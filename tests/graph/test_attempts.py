"""A failure keeps its evidence: what the command printed, where it ran, what it had made; `doit log`, `doit shell`."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.graph import Output, files
from stages.graph.keep.attempts import is_running
from stages.graph.run.lines import Lines
from stages.graph.show.follow import ROWS, Tail
from tests.graph.experiments import Lab
from tests.graph.project import RUN_DOIT, Project, wait_until


def fails(project: Project, text: str = "echo half > {out}/o.txt; echo too bad; exit 3") -> None:
    project.write("a.txt", "hello\n")
    project.stage("one", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    project.stage("two", text, inputs={"one": Output("one", "o.txt")}, sources=(files("a.txt"),), params={"two.x": 7})


def test_what_failed_stays_until_it_succeeds(project: Project) -> None:
    fails(project)
    assert project.doit().status == 1
    run = project.build / "run" / "two"
    assert (run / "out" / "o.txt").read_text() == "half\n" and (run / "src" / "a.txt").read_text() == "hello\n"
    assert project.doit("one").status == 0
    assert (run / "out" / "o.txt").exists()
    result = project.doit("log", "two")
    assert result.status == 0 and result.out.splitlines()[1:] == ["too bad"]
    assert re.search(r"two began \d+ s ago and failed: ended with status 3", result.err)
    fails(project, "echo whole > {out}/o.txt; echo fine")
    assert project.doit().status == 0
    assert not (run / "out").exists()
    result = project.doit("log", "two")
    assert result.out.splitlines()[1:] == ["fine"] and "ended well" in result.err


def test_what_was_refused_stays_too(project: Project) -> None:
    project.stage("one", "echo other > {out}/p.txt")
    assert project.doit().status == 1
    assert (project.build / "run/one/out/p.txt").read_text() == "other\n"
    assert "failed: what it made was refused" in project.doit("log", "one").err


def test_a_result_from_the_store_ends_it(project: Project) -> None:
    project.stage("one", "cat a.txt; grep good a.txt > {out}/o.txt", sources=(files("a.txt"),))
    for text in ("good\n", "good too\n"):
        project.write("a.txt", text)
        assert project.doit().status == 0
    project.write("a.txt", "bad\n")
    assert project.doit().status == 1
    project.ran()
    project.write("a.txt", "good\n")
    result = project.doit()
    assert "from the store" in result.out and result.ran == []
    assert not (project.build / "run/one/out").exists()
    assert project.doit("log", "one").out.splitlines()[1:] == ["good"]  # its result's own


def test_log_of_a_stored_result(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=1,2", "--name", "lr")
    (lab.root / "train.py").write_text("print('hello')\n" + (lab.root / "train.py").read_text())
    lab.doit("train")
    result = lab.doit("log", "lr-1")
    assert result.status == 0 and result.err == "" and "hello" not in result.out
    assert lab.doit("log", "train").out.splitlines()[1:] == ["hello"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("log", "one"), 1, "doit: nothing of one has run here; `doit one` runs it"),
        (("log", "setup:x"), 1, "doit: no command of setup:x has run here; it is installed when a stage needs it"),
        (("log", "oen"), 1, "'oen' is neither a name, a stage nor the beginning of a key"),
        (("log",), 2, "doit: log takes one stage, or one result"),
        (("log", "-f", "one"), 1, "doit: nothing of one has run here"),
        (("log", "../../x"), 1, "is neither a name"),
        (("shell", "one"), 1, "doit: no command of one has run here"),
        (("shell", "oen"), 2, "'oen' is not a stage; did you mean one?"),
        (("shell", "setup:x"), 2, "setup:x has no command of its own; `doit log setup:x` shows what it printed"),
        (("shell", "one", "two"), 2, "shell takes one stage"),
    ],
)
def test_wrong_words(project: Project, words: tuple[str, ...], status: int, message: str) -> None:
    fails(project)
    result = project.doit(*words)
    assert result.status == status and message in result.err


@pytest.fixture
def started(project: Project) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a build whose stage `one` waits for a file, and waits until it runs. Ended with the test, however that
    ends.
    """
    builds: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        go = project.root / "go"
        project.stage("one", f"echo first; until [ -e {go} ]; do sleep 0.05; done; echo > {{out}}/o.txt; echo second")
        builds.append(project.start())
        wait_until(lambda: is_running(f"{project.build}/run/one"))
        return builds[-1]

    yield start
    for build in builds:
        if build.poll() is None:
            build.terminate()
            build.communicate()


def follower(project: Project, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(RUN_DOIT), "log", "-f", *words],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_log_follows_until_the_command_ends(project: Project, started: Callable[[], subprocess.Popen[str]]) -> None:
    build = started()
    followed = follower(project, "one")
    assert followed.stdout is not None
    assert [followed.stdout.readline() for _ in range(2)][1] == "first\n"
    assert "runs now" in project.doit("log", "one").err
    (project.root / "go").touch()
    out, err = followed.communicate(timeout=60)
    assert out == "second\n" and "ended well" in err and followed.returncode == 0
    assert project.finish(build).status == 0


def test_ctrl_c_ends_following_alone(project: Project, started: Callable[[], subprocess.Popen[str]]) -> None:
    build = started()
    followed = follower(project, "one")
    assert followed.stdout is not None
    assert [followed.stdout.readline() for _ in range(2)][1] == "first\n"
    followed.send_signal(signal.SIGINT)
    _, err = followed.communicate(timeout=60)
    assert followed.returncode == 128 + signal.SIGINT and "Traceback" not in err
    (project.root / "go").touch()
    assert project.finish(build).status == 0


def test_a_killed_run_says_so(project: Project) -> None:
    project.stage("one", "echo begun; exec sleep 600")
    build = project.start(start_new_session=True)
    log = project.build / "run/one/log.txt"
    wait_until(lambda: log.exists() and "begun\n" in log.read_text())
    build.kill()
    project.finish(build)
    wait_until(lambda: "was killed" in project.doit("log", "one").err, what="the dead run's log to be free")


def test_a_tail_against_the_whole() -> None:
    """Bars that are rewritten, in any pieces: what is printed last of each line is what the log holds in the end."""
    chosen = random.Random(7)
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"tail-{os.getpid()}.txt"
    for _ in range(40):
        said, final, printed, tail = Lines(rewrites=True), list[str](), list[str](), Tail(str(path))
        path.write_text("")
        for number in range(chosen.randint(0, 3 * ROWS)):
            up = chosen.randint(0, 20) if chosen.random() < 0.3 else 0
            final += said.feed((f"\x1b[{up}A" * bool(up) + f"line {number}\n").encode())
            path.write_text("".join(f"{line}\n" for line in [*final, *said.unfinished()]))
            if chosen.random() < 0.5:
                printed += tail.look(last=False)
        final += said.finish()
        path.write_text("".join(f"{line}\n" for line in final))
        printed += tail.look(last=True)
        assert set(final) <= set(printed) and tail.look(last=True) == []
        if not any("\x1b" in line for line in printed):
            assert [line for line in printed if line in final][-1:] == final[-1:]
    path.unlink()


def test_shell_opens_where_it_ran(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    said = 'pwd; cat a.txt; echo "$KIND" "$LC_ALL" "$DOIT_SHELL" "$SECRET"'
    project.write("sh", f"#!/bin/sh\n{said}\nexit 5\n").chmod(0o755)
    fails(project)
    project.stages["two"] = dataclasses.replace(project.stages["two"], set_env={"KIND": "{out}"})
    project.doit()
    monkeypatch.setenv("SHELL", str(project.root / "sh"))
    monkeypatch.setenv("SECRET", "not for commands")
    result = project.doit("shell", "two")
    run = project.build / "run/two"
    assert result.status == 5
    assert result.out.splitlines() == [str(run / "src"), "hello", f"{run}/out C.UTF-8 two "]
    assert (run / "out/o.txt").read_text() == "half\n" and "a shell where two ran" in result.err


def test_rerun_publishes_nothing(project: Project) -> None:
    fails(project)
    project.doit()
    result = project.doit("shell", "two", "--rerun")
    assert result.status == 3 and result.ran == ["two"] and "too bad" in result.out
    (project.build / "run/two/src/a.txt").write_text("edited\n")
    fails(project, "cat a.txt {in.one} > {out}/o.txt; grep two {params}")
    assert project.doit().status == 0
    again = project.doit("shell", "two", "--rerun")
    assert again.status == 0 and "nothing was published" in again.err
    assert (project.build / "run/two/out/o.txt").read_text() == "hello\nhello\n"
    assert project.doit().ran == []


def test_rerun_leaves_logs_elsewhere(project: Project) -> None:
    project.stage("one", "mkdir -p {build}/logs/x; echo line >> {build}/logs/x/log; exit 1", leaves=("{build}/logs",))
    project.doit()
    log = project.build / "logs/x/log"
    assert log.read_text() == "line\n"
    assert project.doit("shell", "one", "--rerun").status == 1
    assert log.read_text() == "line\n"
    assert (project.build / "run/one/logs/x/log").read_text() == "line\n"


def test_rerun_goes_on_from_a_copy_of_the_checkpoints(project: Project) -> None:
    project.stage("one", "echo x >> {partial}/n; wc -l < {partial}/n; exit 1", resumable=True)
    for _ in range(2):
        project.doit()
    for _ in range(2):
        assert project.doit("shell", "one", "--rerun").out.strip() == "3"
    assert project.doit("log", "one").out.splitlines()[-1].strip() == "2"


def test_shell_keeps_other_runs_out(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(project)
    project.doit()
    project.write("sh", f"#!/bin/sh\ncd {project.root}\n{sys.executable} {RUN_DOIT} one\necho $?\n").chmod(0o755)
    monkeypatch.setenv("SHELL", str(project.root / "sh"))
    project.run("one")  # writes dodo.py
    result = project.doit("shell", "two")
    assert result.out.strip() == "75"


def test_choices_that_fail_keep_theirs_apart(lab: Lab) -> None:
    result = lab.doit("exp", "run", "train.layers=2,13", "train.lr=1,2")
    assert result.status == 1
    apart = sorted(path.name for path in (lab.build / "run").iterdir() if "@" in path.name)
    assert len(apart) == 2
    for name in apart:
        assert f"build/run/{name}/log.txt" in result.out or f"doit shell {name}" in result.out
        assert lab.doit("log", name).out.splitlines()[-1] == "13 layers do not fit"
        assert lab.doit("shell", name, "--rerun").status == 1
    (lab.root / "train.py").write_text((lab.root / "train.py").read_text().replace("== 13", "== 14"))
    assert lab.doit("exp", "run", "train.layers=2,13", "train.lr=1,2").status == 0
