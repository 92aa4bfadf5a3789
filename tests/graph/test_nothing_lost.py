"""What is there is never lost: old results while new ones come, finished ones on odd file systems, files of a person;
and nothing that an earlier run left reaches a later one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.graph import Runner, Setup, files
from stages.graph.keep import store as stores
from stages.graph.read import digest
from tests.graph.project import Project, wait_until
from tests.graph.run_doit import CONFIG


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another file system than the project's."""
    import shutil
    import tempfile

    place = Path("/dev/shm")
    if not place.is_dir() or place.stat().st_dev == tmp_path.stat().st_dev or not os.access(place, os.W_OK):
        pytest.skip("/dev/shm is not a file system of its own here")
    folder = Path(tempfile.mkdtemp(dir=place))
    yield folder
    shutil.rmtree(folder)


def put(project: Project, text: str) -> None:
    """A stage `s` that makes today's text, whatever its key says."""
    project.write("today", text)
    project.stage("s", "cat {root}/today > {out}/o.txt")


# ── An old result and the one that replaces it ──


def test_a_kill_while_a_result_is_replaced_leaves_the_old_or_the_new_one(project: Project) -> None:
    """SIGKILL at each rename that `-a` makes in the store."""
    for kill_at in (1, 2):
        put(project, "old")
        assert project.doit("-a").status == 0
        put(project, "new")
        script = f"""
            import os, signal
            from tests.graph.project import Project
            rename, left = os.rename, [{kill_at}]
            def counted(*words):
                rename(*words)
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            os.rename = counted
            from pathlib import Path
            project = Project(Path({str(project.root)!r}), lambda: None)
            project.stages = {project.stages!r}
            from doit.cmd_base import ModuleTaskLoader
            from doit.doit_cmd import DoitMain
            graph = project.graph()
            space = {{"DOIT_CONFIG": graph.doit_config(), "task_all": lambda: graph.tasks()}}
            DoitMain(task_loader=ModuleTaskLoader(space), config_filenames=(), extra_config={CONFIG!r}).run(["-a"])
        """
        program = project.write("killed.py", "from stages.graph import Stage\n" + textwrap.dedent(script))
        env = {**os.environ, "PYTHONPATH": os.getcwd()}
        killed = subprocess.run([sys.executable, str(program)], capture_output=True, env=env)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        project.ran()
        result = project.doit()
        assert (result.status, result.ran) == (0, []), f"rename {kill_at}: {result.out}{result.err}"
        assert (project.result("s") / "o.txt").read_text() in ("old", "new")
        assert [name for name in os.listdir(project.build / "store") if name.startswith(".")] == []


def test_a_signal_while_a_replaced_result_is_removed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    put(project, "old")
    project.doit()
    put(project, "new")
    remove = stores.remove_tree

    def interrupted(path: str) -> None:
        if stores.REPLACED in path:
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(stores, "remove_tree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.doit("-a")
    monkeypatch.undo()
    assert (project.result("s") / "o.txt").read_text() == "new"
    assert project.why()["s"][0] == "fresh"


# ── Other file systems ──


def test_the_store_on_another_file_system(project: Project, other_file_system: Path) -> None:
    project.build.mkdir()
    (project.build / "store").symlink_to(other_file_system)
    project.write("a.txt", "hello\n")
    project.stage("s", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),), resumable=True)
    for words in ((), ("-a",), ("clean",), ()):
        assert project.doit(*words).status == 0
    assert (other_file_system / project.result("s").name / "o.txt").read_text() == "hello\n"
    (project.build / "partial/old").mkdir(parents=True)
    result = project.doit("gc", "--older-than", "0m")
    assert result.status == 0 and not (project.build / "partial/old").exists(), result.err


def test_rebuild_in_a_folder_that_is_a_link(project: Project, other_file_system: Path) -> None:
    """It is built every time, and nothing else on the larger disk goes."""
    project.stage("s", "echo same > {out}/o.txt")
    project.doit()
    (project.build / "verify").symlink_to(other_file_system)
    (other_file_system / "mine").write_text("mine")
    for _ in range(2):
        result = project.doit("verify", "--rebuild")
        assert result.status == 0 and result.ran == ["s"], result.out
    assert os.listdir(other_file_system) == ["mine"] and (project.build / "verify").is_symlink()
    project.stage("s", "date +%N > {out}/o.txt")
    assert "differs" in project.doit("verify", "--rebuild").out


# ── Files of a person ──


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_what_lies_in_a_link_s_place_is_not_lost(project: Project, make: object) -> None:
    project.stage("s", "echo made > {out}/o.txt", links={"model.bin": "o.txt"})
    (project.build / "shared").mkdir(parents=True)
    mine = project.build / "shared/model.bin"
    make(mine)  # type: ignore[operator]
    (project.build / "shared/model.bin.tmp").write_text("mine too")
    result = project.doit()
    assert (result.status, result.ran) == (1, []), "it must be said before the command runs"
    assert f"{mine} is a {'file' if make is Path.touch else 'folder'} where a link to a result belongs" in result.out
    mine.rename(project.root / "kept")
    assert project.doit().status == 0 and mine.read_text() == "made\n"
    assert (project.build / "shared/model.bin.tmp").read_text() == "mine too"


@pytest.mark.parametrize("name", sorted(digest.FOREIGN))
def test_what_a_file_manager_leaves_in_a_result_changes_nothing(project: Project, name: str) -> None:
    project.stage(
        "s",
        f"mkdir {{out}}/web; echo > {{out}}/web/i; echo > {{out}}/web/{name}",
        outputs=("web/",),
        links={"w": "web"},
    )
    assert project.doit().status == 0
    assert os.listdir(project.build / "shared/w") == ["i"], "a command's own are not kept either"
    (project.build / "shared/w" / name).write_text("x")
    assert project.why()["s"] == ("fresh", [])
    assert project.doit().ran == []
    assert project.doit("verify").status == 0


# ── What an earlier run left ──


def test_what_a_command_leaves_in_its_snapshot_is_gone_at_the_next_run(project: Project) -> None:
    project.write("a.txt", "1")
    project.write("d/e/b.txt", "1")
    seen = "find . -type f -o -type l | LC_ALL=C sort | tr '\\n' ' '"
    leave = "mkdir -p f/g target d/node_modules; touch seen d/seen f/g/x target/x d/node_modules/x; ln -s a.txt l"
    project.stage("s", f"({seen}) > {{out}}/o.txt; {leave}", sources=(files("a.txt", "d"),))
    project.doit()
    project.doit("-a")
    kept = "./a.txt ./d/e/b.txt ./d/node_modules/x ./target/x "
    assert (project.result("s") / "o.txt").read_text() == kept, "cargo's and npm's folders stay"
    (project.root / "d/e/b.txt").unlink()
    (project.root / "d/e").rmdir()
    project.write("d/e", "a file now")
    project.doit()
    assert (project.result("s") / "o.txt").read_text() == kept.replace("d/e/b.txt", "d/e")


# ── The store that several build folders share ──


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETLM_STORE", str(tmp_path / "shared"))
    return tmp_path / "shared"


def test_an_empty_folder_can_be_shared(here: Project, there: Project, shared: Path) -> None:
    for project in (here, there):
        project.stages.clear()
        project.stage("s", "mkdir {out}/d", outputs=("d/",))
    assert "could not be copied" not in here.doit().out
    assert there.doit().ran == []
    assert (there.result("s") / "d").is_dir()


def test_left_overs_in_a_shared_store_are_swept_unless_they_are_in_use(project: Project, shared: Path) -> None:
    project.stage("s", "echo > {out}/o.txt")
    left = shared / ".tmp-left-9"
    (left / "d").mkdir(parents=True)
    with stores.Store(str(shared), project.graph().look.cache)._in_use():
        project.doit()
        assert left.is_dir()
    project.doit()
    assert not left.exists()


def test_a_home_folder_as_shared_store(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("POCKETLM_STORE", "~/results")
    monkeypatch.chdir(project.root)
    project.stage("s", "echo > {out}/o.txt")
    project.doit()
    assert len(os.listdir(tmp_path / "home/results")) == 1 and not Path("~").exists()


def test_a_file_that_becomes_a_link_is_never_written_through(
    here: Project, there: Project, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.doit()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o600)
    walk = stores.walk

    def swapping(folder: str) -> Iterator[digest.Found]:
        for file in walk(folder):
            if file.path.startswith(str(shared)) and file.name == "o.txt":
                os.remove(file.path)
                os.symlink(victim, file.path)
            yield file

    monkeypatch.setattr(stores, "walk", swapping)
    assert there.doit().ran == ["one", "two", "three"]
    assert victim.stat().st_mode & 0o777 == 0o600 and victim.read_text() == "mine"


# ── Two runs ──


def test_installers_of_two_build_folders_wait_for_each_other(project: Project) -> None:
    """Both install in one .venv: never at the same time, and the second finds the work done."""
    (project.root / ".venv").mkdir()
    log = project.write("log", "")

    def install(run: Runner) -> None:
        run(["sh", "-c", f"echo begin >> {log}; sleep 0.5; echo end >> {log}; touch {project.root}/ready"])

    setup = Setup("torch", "PyTorch.", (project.root / "ready").exists, install, exclusive=".venv")
    from stages.graph.run.setup import ensure

    graphs = [project.graph(), project.graph()]
    graphs[1].session.plan.build = str(project.root / "build2")
    threads = [threading.Thread(target=ensure, args=(graph.session, setup)) for graph in graphs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text().split() == ["begin", "end"]


def test_verify_reads_nothing_while_another_run_is_at_work(project: Project) -> None:
    """Results that change while they are read would be called corrupt: it takes the lock."""
    project.stage("s", "touch {root}/began; sleep 30; echo > {out}/o.txt")
    process = project.start("run")
    wait_until((project.root / "began").exists, what="the command")
    result = project.doit("verify")
    assert result.status == 75 and f"another run (PID {process.pid})" in result.err
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
