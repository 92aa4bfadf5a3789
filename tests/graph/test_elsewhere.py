"""Stages that run elsewhere: the same bytes as here, whatever happens to the connection, this side and the other."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.graph import Output, Tool, UsageError, files, python_sources
from stages.graph.declare.site import site_of
from stages.graph.keep.store import remove_tree
from tests.graph.others import (
    NO_RAY,
    NO_SLURM,
    NO_SSHD,
    RAY,
    SLURM,
    SSHD,
    Cluster,
    Other,
    Pipe,
    Queue,
    ray,
    slurm,
    sshd,
)
from tests.graph.project import Project, is_alive, wait_until

# Counts to 30, from where it stopped; a line each; SIGTERM ends it once it has saved.
COUNTS = (
    "echo began >> {project}/began; trap 'echo saved >> {project}/saved; exit 3' TERM; "
    "n=$(cat {{partial}}/n 2>/dev/null || echo 0); "
    "while [ $n -lt 30 ]; do n=$((n+1)); echo step $n; echo $n > {{partial}}/new; mv {{partial}}/new {{partial}}/n; "
    "sleep 0.05; while [ $n = 10 ] && [ ! -e {project}/go ]; do sleep 0.02; done; done; "
    "echo whole > {{out}}/o.txt"
)

TOKEN = "t" * 40


@pytest.fixture(scope="session")
def slurm_conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not SLURM:
        pytest.skip(NO_SLURM)
    with slurm(tmp_path_factory.mktemp("slurm")) as conf:
        yield conf


@pytest.fixture(scope="session")
def ray_port() -> Iterator[int]:
    if RAY is None:
        pytest.skip(NO_RAY)
    with tempfile.TemporaryDirectory(prefix="ray") as folder, ray(Path(folder), TOKEN) as port:  # sockets: a short path
        yield port


QUEUES = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("slurm", "ray")]


@pytest.fixture(params=["pipe", "sshd", *QUEUES])
def other(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Other]:
    """Another machine."""
    folder = tmp_path_factory.mktemp("other")
    if request.param == "pipe":
        yield Pipe(folder)
        return
    if request.param == "slurm":
        monkeypatch.setenv("SLURM_CONF", str(request.getfixturevalue("slurm_conf")))
        yield Queue(folder)
        return
    if request.param == "ray":
        port = request.getfixturevalue("ray_port")
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
        yield Cluster(folder, port)
        return
    if SSHD is None:
        pytest.skip(NO_SSHD)
    with sshd(folder) as server:
        yield server


@pytest.fixture
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Pipe:
    return Pipe(tmp_path_factory.mktemp("other"))


def left(base: Path) -> list[str]:
    """What is left on the other side, but for files by content."""
    return sorted(
        str(path.relative_to(base)) for path in base.rglob("*") if "files" not in path.relative_to(base).parts
    )


def counting(project: Project, other: Other, **fields: Any) -> None:
    """A stage that counts, elsewhere; at 10 it waits for the file `go`."""
    project.stage("count", COUNTS.format(project=project.root), resumable=True, **fields)
    project.elsewhere = {"count": other.table()}


def began(project: Project) -> int:
    path = project.root / "began"
    return len(path.read_text().split()) if path.exists() else 0


def start_to_ten(project: Project, *words: str) -> subprocess.Popen[str]:
    """A run that has come to the place where it waits for `go`."""
    log = project.build / "run/count/log.txt"
    log.unlink(missing_ok=True)
    process = project.start(*words)
    wait_until(lambda: log.exists() and "step 10\n" in log.read_text(), what="the log to come so far")
    return process


PROGRAM = """
import json, os, sys
params, given, out = sys.argv[1:]
print("hello from", os.path.basename(os.getcwd()))
os.makedirs(f"{out}/many/empty")
for name in ("a", "b"):
    with open(f"{given}/{name}") as file, open(f"{out}/many/{name}.copy", "w") as copy:
        copy.write(file.read())
os.chmod(f"{out}/many/a.copy", 0o755)
with open(f"{out}/params.json", "w") as file:
    json.dump([json.load(open(params)), os.environ.get("PLANTED"), os.environ["TZ"], sorted(os.listdir("."))], file)
"""


def declare_pair(project: Project) -> None:
    project.write("prog/__init__.py", "")
    project.write("prog/main.py", PROGRAM)
    project.write("given.txt", "outside\n")
    project.stage("one", "mkdir -p {out}/f/hollow; echo a > {out}/f/a; echo b > {out}/f/b", outputs=["f/"])
    project.stage(
        "two",
        '"{python}" -m prog.main {params} {in.one} {out}; cat {root}/given.txt; test -d {in.one}/hollow',
        outputs=["many/", "params.json"],
        inputs={"one": Output("one", "f/")},
        sources=(python_sources("prog.main"),),
        external={"given": ["given.txt"]},
        params={"two.lr": 1},
        env=["PLANTED"],
        pythonpath=["{snapshot}"],
    )


def test_the_same_bytes_as_here(project: Project, other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", "x y")
    declare_pair(project)
    assert project.doit().status == 0
    here = project.receipt("two")
    before = {each.relative_to(project.result("two")): each.stat().st_mode for each in project.result("two").rglob("*")}
    project.elsewhere = {"two": other.table()}
    result = project.doit("-a", "-s", "two")
    assert result.status == 0, result.out + result.err
    there = project.receipt("two")
    assert there["outputs"] == here["outputs"] and there["key"] == here["key"]
    assert {e.relative_to(project.result("two")): e.stat().st_mode for e in project.result("two").rglob("*")} == before
    assert there["run"]["on"] == other.kind and "on" not in here["run"]
    assert there["run"]["argv"][0] == "sh" and str(other.base) in there["run"]["argv"][2]
    assert "loop" not in str(there), "a receipt travels: it must not tell the names of machines"
    assert "two │ hello from src" in result.out and "outside" in (project.result("two") / "log.txt").read_text()
    assert left(other.base) == []


def test_only_what_changed_is_sent(project: Project, pipe: Pipe) -> None:
    project.write("a.txt", "a\n")
    project.write("b.txt", "b\n" * 1_000_000)
    project.stage("one", "cat a.txt b.txt | wc -c > {out}/o.txt", sources=(files("a.txt", "b.txt"),))
    project.elsewhere = {"one": pipe.table()}
    assert f"runs       on {pipe.on}\n" in project.doit("info", "one").out
    result = project.doit()
    assert result.status == 0 and "sends 2.0 MB to ssh://loop" in result.out, result.out
    project.write("a.txt", "other\n")
    result = project.doit()
    assert result.status == 0 and "sends" not in result.out
    assert len(list((pipe.base / "files").iterdir())) == 3
    assert (project.result("one") / "o.txt").read_text().strip() == "2000006"


def test_a_damaged_file_there_is_sent_again(project: Project, pipe: Pipe) -> None:
    project.write("a.txt", "good\n")
    project.stage("one", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    project.elsewhere = {"one": pipe.table()}
    assert project.doit().status == 0
    for path in (pipe.base / "files").iterdir():
        path.chmod(0o644)
        path.write_text("bad\n")
    assert project.doit("-a").status == 0
    assert (project.result("one") / "o.txt").read_text() == "good\n"


def test_a_failure_brings_its_evidence(project: Project, other: Other) -> None:
    project.stage("bad", "echo half > {out}/o.txt; echo too bad; exit 3")
    project.elsewhere = {"bad": other.table()}
    result = project.doit()
    assert result.status == 1 and "stage bad ended with status 3" in result.out and "too bad" in result.out
    assert (project.build / "run/bad/out/o.txt").read_text() == "half\n"
    said = project.doit("log", "bad").err
    assert f"ago on {other.on} and failed: ended with status 3" in said, said
    assert left(other.base) == []
    result = project.doit("shell", "bad", "--rerun")
    assert result.status == 3 and f"on {other.on}; this shell is here" in result.err


def test_what_it_does_not_declare_is_refused(project: Project, pipe: Pipe) -> None:
    project.write("prog.py", "import sys\nopen(sys.argv[1] + '/../secret').read()\nopen(sys.argv[1] + '/o.txt', 'w')\n")
    line = f"mkdir -p x; echo s > {{out}}/../secret; {sys.executable} -m prog {{out}}"
    project.stage("one", line, sources=(python_sources("prog"),), pythonpath=["{snapshot}"])
    project.elsewhere = {"one": pipe.table()}
    result = project.doit()
    assert result.status == 1 and "opened what it does not declare" in result.out, result.out
    assert "run/one/secret  (at prog.py:2)" in result.out
    assert left(pipe.base) == []


def test_a_command_that_changes_its_sources_is_refused(project: Project, pipe: Pipe) -> None:
    project.write("a.txt", "a\n")
    project.stage("one", "echo b > a.txt; echo > {out}/o.txt", sources=(files("a.txt"),))
    project.elsewhere = {"one": pipe.table()}
    result = project.doit()
    assert result.status == 1 and "the command changed its own sources: src/a.txt" in result.out


def test_a_cut_connection_is_taken_up_again(project: Project, other: Other) -> None:
    counting(project, other)
    process = start_to_ten(project)
    other.cut()
    (project.root / "go").touch()
    wait_until(lambda: not is_running_there(other), what="the command to end by itself")
    other.mend()
    result = project.finish(process)
    assert result.status == 0, result.out + result.err
    assert f"the connection to {other.on} is lost" in result.out and "the command goes on there" in result.out
    assert f"connected to {other.on} again" in result.out
    assert began(project) == 1
    log = (project.result("count") / "log.txt").read_text().splitlines()[1:]
    assert log == [f"step {n}" for n in range(1, 31)]
    assert left(other.base) == []


def is_running_there(other: Other) -> bool:
    return not list(other.base.glob("runs/*/status.json"))


def test_ctrl_c_reaches_the_other_side(project: Project, other: Other) -> None:
    counting(project, other)
    for words in ([], ["-n", "2"]):
        remove_tree(str(other.base / "partial"))
        process = start_to_ten(project, *words)
        pid = int(next(other.base.glob("runs/*/pid")).read_text())
        process.send_signal(signal.SIGINT)
        result = project.finish(process)
        assert result.status == 128 + signal.SIGINT, result.err
        assert (project.root / "saved").read_text() == "saved\n"
        (project.root / "saved").unlink()
        assert not is_alive(pid) and not (other.base / "runs").exists()
        assert [path.name for path in other.base.glob("partial/*/*")] == ["n"], "what it goes on from stays there"
        assert "was stopped" in project.doit("log", "count").err
    (project.root / "go").touch()
    result = project.doit()
    assert result.status == 0 and began(project) == 3
    assert (project.result("count") / "log.txt").read_text().splitlines()[1] == "step 11"
    assert left(other.base) == []


def test_a_second_signal_leaves_no_grace(project: Project, pipe: Pipe) -> None:
    deaf = project.root / "deaf"
    project.stage("deaf", f"trap 'echo > {project.root}/told' TERM; echo > {deaf}; while :; do sleep 0.1; done")
    project.elsewhere = {"deaf": pipe.table()}
    project.grace_s = 600
    process = project.start()
    wait_until(deaf.exists, what="the command, which is deaf by now")
    process.send_signal(signal.SIGINT)
    wait_until((project.root / "told").exists, what="the first signal")
    process.send_signal(signal.SIGINT)
    assert project.finish(process, timeout=project.grace_s / 2).status == 130
    assert left(pipe.base) == []


@pytest.mark.parametrize("ends", [False, True], ids=["runs on", "has ended"])
def test_after_a_kill_of_this_side_it_is_followed(project: Project, other: Other, ends: bool) -> None:
    counting(project, other)
    process = start_to_ten(project)
    process.kill()
    process.communicate()
    assert "the next run follows it" in project.doit("log", "count").err
    if ends:
        (project.root / "go").touch()
        wait_until(lambda: not is_running_there(other))
        again = project.start()
    else:
        again = start_to_ten(project)
        (project.root / "go").touch()
    result = project.finish(again)
    assert result.status == 0, result.out + result.err
    assert ("has ended" if ends else "still runs") + f" on {other.on}: taken up" in result.out
    assert began(project) == 1, "it was begun once"
    log = (project.result("count") / "log.txt").read_text().splitlines()[1:]
    assert log == [f"step {n}" for n in range(1, 31)]
    assert left(other.base) == []


def test_a_command_that_is_gone(project: Project, pipe: Pipe) -> None:
    """As after a restart of the machine: said, and the next run goes on."""
    counting(project, pipe)
    process = start_to_ten(project)
    os.kill(int(next(pipe.base.glob("runs/*/pid")).read_text()), signal.SIGKILL)
    result = project.finish(process)
    assert result.status == 1 and "is gone from ssh://loop" in result.out and "run again to go on" in result.out
    (project.root / "go").touch()
    assert project.doit().status == 0
    assert (project.result("count") / "log.txt").read_text().splitlines()[1] == "step 11"
    assert left(pipe.base) == []


def test_another_key_while_one_still_runs(project: Project, pipe: Pipe) -> None:
    counting(project, pipe)
    process = start_to_ten(project)
    process.kill()
    process.communicate()
    project.stage("count", "echo other > {out}/o.txt")
    result = project.doit()
    assert result.status == 0 and f"runs on ssh://loop{pipe.base} too (" in result.out
    (project.root / "go").touch()
    wait_until(lambda: not is_running_there(pipe))


def test_two_that_go_on_from_the_same_take_turns(project: Project, pipe: Pipe) -> None:
    """Two build folders, the same key: each begins its own, and the second one waits."""
    counting(project, pipe)
    first = start_to_ten(project)
    project.build = project.root / "other-build"
    second = project.start()
    log = project.build / "run/count/log.txt"
    wait_until(lambda: log.exists() and "waits for another command" in log.read_text(), what="the second one")
    (project.root / "go").touch()
    assert project.finish(first).status == 0 and project.finish(second).status == 0
    assert began(project) == 2
    assert left(pipe.base) == []


def test_what_resumes_over_keeps_its_checkpoints_there(project: Project, pipe: Pipe) -> None:
    line = "mkdir -p {partial}/done; echo x > {partial}/done/a; echo y > {partial}/kept; echo > {out}/o.txt"
    project.stage("one", line, resumable=True, params={"steps": 1}, resumes_over=(("params", "steps"),))
    project.elsewhere = {"one": pipe.table()}
    assert project.doit().status == 0
    assert [path.name for path in pipe.base.glob("partial/*/*")] == ["kept"]


def test_one_at_a_time_there(project: Project, pipe: Pipe) -> None:
    line = f"mkdir {project.root}/alone; sleep 0.3; rmdir {project.root}/alone; echo > {{out}}/o.txt"
    for name in ("a", "b"):
        project.stage(name, line)
    project.elsewhere = {"a": pipe.table(), "b": pipe.table()}
    result = project.doit("-n", "2")
    assert result.status == 0, result.out  # mkdir fails where the other one is there
    assert left(pipe.base) == []


def test_other_tools_there_are_refused(project: Project, pipe: Pipe) -> None:
    """The key says which versions made a result."""
    project.stage("one", "echo > {out}/o.txt", tools=(Tool("moody", argv=("sh", "-c", "echo $$")),))
    project.elsewhere = {"one": pipe.table()}
    result = project.doit()
    assert result.status == 1 and "moody is " in result.out and "and the key says" in result.out, result.out
    assert left(pipe.base) == []


def test_an_environment_is_made_once(project: Project, pipe: Pipe) -> None:
    project.write("prog.py", "import sys\nprint(sys.argv[1])\nopen(sys.argv[1] + '/o.txt', 'w').write('x')\n")
    project.stage("one", "true", sources=(python_sources("prog"),))
    stage = project.stages["one"]
    run = ("{python}", "-m", "prog", "{out}")
    project.stages["one"] = dataclasses.replace(stage, run=run, pythonpath=["{snapshot}"])
    line = f"echo made it; mkdir -p {{env}}/bin; ln -s {{python}} {{env}}/bin/python; echo >> {project.root}/made"
    table = pipe.table(prepare=line)
    del table["python"]
    project.elsewhere = {"one": table}
    for _ in range(2):
        result = project.doit("-a")
        assert result.status == 0, result.out
    assert (project.root / "made").read_text() == "\n"
    assert "made it" not in result.out
    assert {path.split("/")[0] for path in left(pipe.base)} == {"env"}
    assert f"{pipe.base}/env/" in project.receipt("one")["run"]["argv"][0]
    table["prepare"] = "echo no room; exit 4"
    result = project.doit("-a")
    assert result.status == 1 and "ended with status 4" in result.out and "no room" in result.out


def test_an_environment_that_is_being_made_ends_with_this_side(project: Project, pipe: Pipe) -> None:
    project.stage("one", 'true "{python}"')
    table = pipe.table(prepare=f"echo $$ > {project.root}/pid; sleep 600 & wait")
    del table["python"]
    project.elsewhere = {"one": table}
    process = project.start()
    wait_until(lambda: (project.root / "pid").exists() and (project.root / "pid").read_text().strip())
    process.send_signal(signal.SIGINT)
    assert project.finish(process).status == 130
    wait_until(lambda: not is_alive(int((project.root / "pid").read_text())), what="its end")


def test_what_cannot_be_reached(project: Project, other: Other) -> None:
    project.stage("one", "echo > {out}/o.txt")
    project.elsewhere = {"one": other.table()}
    other.cut()
    result = project.doit()
    assert result.status == 1 and f"{other.on} cannot be reached: " in result.out, result.out
    assert "refused" in result.out
    other.mend()
    project.elsewhere = {"one": other.table(python="/no/python")}
    result = project.doit()
    assert result.status == 1 and "`/no/python` does not run there (status 127)" in result.out, result.out
    project.elsewhere = {"one": other.table(ssh="/no/ssh")}
    assert "cannot start /no/ssh" in project.doit().out


def test_a_prefix_runs_here(project: Project) -> None:
    project.write("a.txt", "a\n")
    project.stage("one", "nice > {out}/o.txt; cat a.txt", sources=(files("a.txt"),))
    project.elsewhere = {"one": {"on": ["env", "X={snapshot}", "nice", "-n", "3"]}}
    result = project.doit()
    assert result.status == 0 and result.ran == ["one"]
    assert int((project.result("one") / "o.txt").read_text()) == min(19, os.nice(0) + 3)
    assert "runs       behind env X={snapshot} nice -n 3\n" in project.doit("info", "one").out
    run = project.receipt("one")["run"]
    assert run["argv"][:2] == ["env", f"X={project.build}/run/one/src"] and run["on"] == "prefix"
    project.elsewhere = {"one": {"on": "docker run {image}"}}
    result = project.doit("-a")
    assert result.status == 1 and "run.one.on names {image}; there are {out}, " in result.out
    project.elsewhere = {}
    assert project.doit().ran == [], "where it ran is in no key"


def test_a_table_of_no_stage_is_said(project: Project) -> None:
    project.stage("one", "echo > {out}/o.txt")
    project.elsewhere = {"onne": {"on": "nice"}}
    assert "no stage here is called onne: [run.onne] says nothing" in project.doit().out


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "run.x: on is missing"),
        ({"on": ""}, "on is missing"),
        ({"on": 3}, "on is missing"),
        ({"on": "ssh://host"}, r"write ssh://\[USER@\]HOST\[:PORT\]/FOLDER"),
        ({"on": "ssh://-oProxyCommand=x/f"}, "write ssh://"),
        ({"on": "ssh://-l@host/f"}, "write ssh://"),
        ({"on": "ssh://h/f", "path": "/x"}, "path means nothing where on = 'ssh://h/f'"),
        ({"on": "ssh://h/f", "pythn": "/x"}, "pythn is none of on, path, python"),
        ({"on": "ssh://h/f", "python": 3}, "it takes str"),
        ({"on": "ssh://h/f", "at_once": 0}, "it takes a number above 0"),
        ({"on": "ssh://h/f", "at_once": True}, "it takes int"),
        ({"on": "slurm:gpu"}, "give a folder that the machines of the queue see"),
        ({"on": "slurm:gpu x", "path": "/f"}, "write slurm:PARTITION"),
        ({"on": "ray://head:8265"}, "give a folder that the machines of the queue see"),
        ({"on": "ray:head:8265", "path": "/f"}, "write ray://HOST:8265"),
        ({"on": "ray://head:8265", "path": "/f", "options": []}, "options means nothing where on = 'ray://head:8265'"),
        ({"on": "nice 'x"}, "No closing quotation"),
        ({"on": '["nice"'}, "is not a list"),
        ({"on": ["nice", 3]}, "a list must hold words"),
    ],
)
def test_tables_that_say_nothing(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        site_of("x", table)


def test_tables() -> None:
    site = site_of("x", {"on": "ssh://me@[::1]:2222/~/runs/", "ssh": "ssh -i key"})
    assert site.shell[:3] == ("ssh", "-i", "key") and site.shell[-3:] == ("-p", "2222", "me@::1")
    assert site.path == "~/runs" and site.at_once == 1
    site = site_of("x", {"on": "slurm:a,b", "path": "ssh://login/scratch", "options": ["--time=1:00"]})
    assert (site.partition, site.path, site.shell[-1], site.options) == ("a,b", "/scratch", "login", ("--time=1:00",))
    assert site_of("x", {"on": "slurm:", "path": "/f"}).shell == ()
    assert site_of("x", {"on": "ray://head:8265/", "path": "/f"}).address == "http://head:8265"
    assert site_of("x", {"on": "ray:https://ray.example/a", "path": "/f"}).address == "https://ray.example/a"
    assert site_of("x", {"on": '["nice", "-n", "19"]'}).prefix == ("nice", "-n", "19")
