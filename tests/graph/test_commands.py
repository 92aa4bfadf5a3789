"""doit's other commands, wrong arguments, setups, and what is printed."""

from __future__ import annotations

import os
import pty
import re
import sys
from pathlib import Path

import pytest

from stages.graph import Graph, Output, Runner, Setup, Stage, Tool, UsageError, files
from tests.graph.project import HANGS_S, Project, wait_until


def test_list_is_one_sentence_a_task_in_graph_order(chain: Project) -> None:
    chain.setups = [Setup("zig", "The Zig compiler.", lambda: True, lambda run: None)]
    assert chain.doit("list").out.splitlines() == [
        "one    Makes one.",
        "two    Makes two.",
        "three  Makes three.",
        "setup  Install every tool that some stage needs.",
    ]
    assert "setup:zig" in chain.doit("list", "--all").out


def test_always_really_builds_again(chain: Project) -> None:
    assert chain.doit("-a", "-s", "two").ran == ["two"]
    assert chain.doit("-a").ran == ["one", "two", "three"]
    assert chain.doit().ran == []


def test_clean_removes_results(chain: Project) -> None:
    entry = chain.result("two")
    assert "would remove two" in chain.doit("clean", "-n", "two").out and entry.exists()
    result = chain.doit("clean", "two")
    assert result.status == 0 and not entry.exists()
    assert chain.doit().ran == ["two"]
    chain.doit("clean")
    assert list((chain.build / "store").iterdir()) == []
    assert chain.doit().ran == ["one", "two", "three"]


def test_clean_keeps_what_another_preset_uses(project: Project) -> None:
    for scope in ("tiny", "large"):
        project.stage("s", "echo 1 > {out}/o.txt", scope=scope, links={"o.txt": "o.txt"})
        project.doit()
    entry = project.result("s", "tiny")
    assert entry == project.result("s", "large")
    assert "its result stays, for tiny/.current/s uses it too" in project.doit("clean").out
    assert not (project.build / "large/o.txt").is_symlink() and not (project.build / "large/.current/s").is_symlink()
    assert (project.build / "tiny/o.txt").read_text() == "1\n"
    result = project.doit()
    assert result.ran == [] and "from the store s" in result.out


def test_clean_says_that_a_shared_store_has_it(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETLM_STORE", str(chain.root / "shared"))
    chain.doit("-a")
    assert f"takes it from {chain.root / 'shared'}" in chain.doit("clean", "two").out
    assert chain.doit().ran == []
    chain.doit("clean", "two")
    assert chain.doit("-a", "-s", "two").ran == ["two"]


@pytest.mark.parametrize("command", ["forget", "ignore", "reset-dep"])
def test_commands_without_a_meaning_say_what_to_use(chain: Project, command: str) -> None:
    result = chain.doit(command, "two")
    assert result.status == 2 and "`doit" in result.err
    assert chain.doit().ran == []


def test_info(chain: Project) -> None:
    out = chain.doit("info", "two").out
    assert "fresh" in out and str(chain.result("two")) in out and "two.x = 1" in out


@pytest.mark.parametrize(
    "words", [["tow"], ["run", "tow"], ["--no-such-option"], ["why", "tow"], ["info"], ["list", "tow"]]
)
def test_wrong_arguments_exit_2(chain: Project, words: list[str]) -> None:
    result = chain.doit(*words)
    assert result.status == 2 and result.err.startswith("doit: ")
    assert "Traceback" not in result.err


def test_misspelt_stage_names_the_nearest(chain: Project) -> None:
    assert "'thre' is neither a task nor a command; did you mean three?" in chain.doit("thre").err


def test_usage_error_while_dodo_is_loaded(project: Project) -> None:
    project.write(
        "dodo.py",
        "from stages.graph import UsageError\nraise UsageError('train.lrr is no parameter; did you mean train.lr?')\n",
    )
    import subprocess

    from tests.graph.project import RUN_DOIT

    done = subprocess.run([sys.executable, str(RUN_DOIT)], cwd=project.root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "doit: train.lrr is no parameter; did you mean train.lr?\n")
    assert issubclass(UsageError, Exception)


def test_setup_is_ensured_only_when_its_stage_runs(project: Project) -> None:
    installed: list[str] = []
    ready = project.root / "ready"

    def install(run: Runner) -> None:
        installed.append("x")
        ready.touch()

    setup = Setup("x", "X.", ready.exists, install)
    project.setups = [setup]
    project.write("a.txt", "1")
    project.stage("s", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),), needs=(setup,))
    project.doit("s")
    project.write("a.txt", "2")
    project.doit("s")
    assert installed == ["x"]
    ready.unlink()
    project.doit("s")
    project.write("a.txt", "1")
    assert project.doit("s").ran == []  # from the store: needs nothing
    assert installed == ["x"]
    project.write("a.txt", "3")
    project.doit("s")
    assert installed == ["x", "x"]
    ready.unlink()
    assert project.doit("setup:x").status == 0
    assert len(installed) == 3


def test_setup_that_fails_is_a_message(project: Project) -> None:
    def install(run: Runner) -> None:
        raise RuntimeError("no network; type: sudo apt-get install x")

    setup = Setup("x", "X.", lambda: False, install)
    project.stage("s", "echo > {out}/o.txt", needs=(setup,))
    result = project.doit("s")
    assert (result.status, result.ran) == (1, [])
    assert "setup x failed: no network; type: sudo apt-get install x" in result.out and "Traceback" not in result.out


def test_setups_run_commands_as_stages_do(project: Project) -> None:
    """With a log, their output in the report, and the end of it where one fails."""
    ready = project.root / "ready"

    def install(run: Runner) -> None:
        ended = run(["sh", "-c", "echo fetching; echo no space left >&2; test -e room"], cwd=project.root)
        if ended.status:
            raise RuntimeError(f"could not fetch: {ended.status}")
        ready.touch()

    project.stage("s", "echo > {out}/o.txt", needs=(Setup("x", "X.", ready.exists, install),))
    result = project.doit("s")
    assert result.status == 1 and "setup:x │ fetching" in result.out
    assert "setup x failed: could not fetch: 1\n  last lines:\n    fetching\n    no space left" in result.out
    assert (project.build / "run/setup-x/log.txt").read_text().endswith("fetching\nno space left\n")
    project.write("room", "")
    assert "installed      setup:x" in project.doit("s").out


def test_setups_wait_only_for_those_that_share_a_folder(project: Project) -> None:
    """With -n 2: `a` cannot end before `b` has begun; `b` and `c` share a folder."""
    begun: list[str] = []
    holders = 0

    def installer(name: str) -> Setup:
        def install(run: Runner) -> None:
            nonlocal holders
            begun.append(name)
            if name == "a":
                wait_until(lambda: "b" in begun, what="the other setup")
            else:
                holders += 1
                assert holders == 1
                run(["sleep", "0.2"])
                holders -= 1
            (project.root / name).touch()

        return Setup(name, "X.", (project.root / name).exists, install, exclusive="" if name == "a" else "shared")

    for name in "abc":
        project.stage(name, "echo > {out}/o.txt", needs=(installer(name),))
    assert project.doit("-n", "3").status == 0
    assert sorted(begun) == ["a", "b", "c"]


def test_setup_may_bring_the_tool(project: Project) -> None:
    tool = project.root / "tool"

    def install(run: Runner) -> None:
        tool.write_text("#!/bin/sh\necho 1\n")
        tool.chmod(0o755)

    setup = Setup("x", "X.", tool.exists, install)
    project.stage("s", "echo > {out}/o.txt", needs=(setup,), tools=(Tool("tool", argv=(str(tool),)),))
    assert project.why()["s"][0] == "will run"
    assert project.doit("s").ran == ["s"]
    assert project.receipt("s")["components"]["tools"] == {"tool": "1"}
    assert project.doit("s").ran == []


def test_store_off_reuses_only_what_is_linked(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.write("a.txt", "other\n")
    chain.doit()
    chain.write("a.txt", "hello\n")
    monkeypatch.setenv("POCKETLM_STORE", "off")
    assert chain.why()["one"][0] == "will run"
    assert chain.doit().ran == ["one", "two", "three"]
    assert chain.doit().ran == []


def test_plain_output_in_a_pipe(chain: Project) -> None:
    chain.stage("three", "echo said by three; echo > {out}/o.txt", inputs={"two": Output("two", "o.txt")})
    out = chain.run().out
    assert out.splitlines()[:3] == ["fresh          one", "fresh          two", "three │ said by three"]
    assert re.fullmatch(r"1 built, 2 fresh  \(\d+\.\d s\)", out.splitlines()[-1])
    assert "\x1b" not in out


def test_live_output_on_a_terminal(project: Project) -> None:
    """E16: captured commands still have a terminal, so their bars stay; the log holds each line once."""
    bar = "for i in 1 2 3 4 5; do printf '\\rpart %s of 5' $i; sleep 0.1; done; echo"
    project.stage("bar", bar + "; test -t 1; test -t 2; echo > {out}/o.txt")
    ours, theirs = pty.openpty()
    process = project.start(
        stdout=theirs, stderr=theirs, stdin=theirs, env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        seen += data
        if not data:
            break
    os.close(ours)
    assert process.wait() == 0, seen
    text = seen.decode()
    assert "part 3 of 5" in text or "part 2 of 5" in text or "part 4 of 5" in text
    assert "built          bar" in text
    log = (project.result("bar") / "log.txt").read_text()
    assert log.splitlines()[1:] == ["part 5 of 5"]


def test_noop_imports_nothing_heavy(chain: Project) -> None:
    """rich costs 15 to 40 ms, fsspec 28 to 48: a run in which all is fresh imports neither."""
    chain.run()
    code = (
        "import sys, runpy, atexit\n"
        "heavy = {'rich', 'fsspec', 'asyncio', 'pty', 'stages.graph.decide.why', 'stages.graph.show.live'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
        "sys.argv = ['doit']\n"
        f"runpy.run_path({str(Path(__file__).with_name('run_doit.py'))!r}, run_name='__main__')\n"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], cwd=chain.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_reader_that_goes_away_does_not_end_the_build(project: Project) -> None:
    """`doit | head -1`."""
    project.stage("s", "for i in $(seq 2000); do echo a long line of output $i; done; echo > {out}/o.txt")
    process = project.start()
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=HANGS_S)
    wait_until(lambda: (project.build / "shared/.current/s").exists(), what="the result")


STAGE = Stage(name="s", doc="S.", run=("true",), outputs=("o",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a b"}, "stage name 'a b'"),
        ({"outputs": ()}, "declares no outputs"),
        ({"outputs": ("../o",)}, "not a plain relative name"),
        ({"outputs": ("/o",)}, "not a plain relative name"),
        ({"outputs": ("receipt.json",)}, "is reserved"),
        ({"run": ("cp", "{parms}")}, "{parms} in '{parms}' is none of"),
        ({"run": ("cp", "{in.nothing}")}, "{in.nothing}"),
        ({"run": ("cp", "{partial}")}, "{partial}"),
        ({"volatile": ("p",)}, "volatile 'p' is not among its outputs"),
        ({"links": {"x": "y"}}, "link x -> y is not among its outputs"),
    ],
)
def test_declarations_that_cannot_work(fields: dict[str, object], message: str) -> None:
    import dataclasses

    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(STAGE, **fields)  # type: ignore[arg-type]


def test_graphs_that_cannot_work(tmp_path: Path) -> None:
    import dataclasses

    loop = [
        dataclasses.replace(STAGE, name="a", inputs={"x": Output("b", "o")}),
        dataclasses.replace(STAGE, name="b", inputs={"x": Output("a", "o")}),
    ]
    logs = dataclasses.replace(STAGE, outputs=("o", "log"), volatile=("log",))
    only_logs = dataclasses.replace(STAGE, volatile=("o",))
    for stages, message in (
        ([logs, dataclasses.replace(STAGE, name="t", inputs={"x": Output("s", "log")})], "['log'] differ from run to"),
        ([only_logs, dataclasses.replace(STAGE, name="t", inputs={"x": Output("s")})], "all of s: makes []; ['o']"),
        ([STAGE, STAGE], "two stages are called s"),
        (loop, "cycle: a -> b -> a"),
        ([dataclasses.replace(STAGE, inputs={"x": Output("t", "o")})], "no such stage"),
        ([STAGE, dataclasses.replace(STAGE, name="t", inputs={"x": Output("s", "p")})], "p of s: makes ['o']"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            Graph(stages, root=tmp_path, build=tmp_path / "build")


def test_a_path_with_spaces_and_umlauts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "Größe mit 'Leer\u00ad zeichen"
    root.mkdir()
    project = Project(root, capfd.readouterr)
    project.write("ä b.txt", "hello\n")
    project.stage("one", 'cp "ä b.txt" "{out}/o.txt"', sources=(files("ä b.txt"),))
    project.stage("two", 'cp "$IN" "{out}/o.txt"', inputs={"one": Output("one", "o.txt")}, set_env={"IN": "{in.one}"})
    assert project.doit().ran == ["one", "two"]
    assert project.doit().ran == []
    assert (project.result("two") / "o.txt").read_text() == "hello\n"
