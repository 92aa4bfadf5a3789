"""Results that were corrupt, lost or never finished are not believed, and are made again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stages.graph import Output, Tool
from stages.graph.keep.store import remove_tree
from tests.graph.project import Project


def overwrite(path: Path, data: str) -> None:
    """Change a read-only file and keep its modification time."""
    before = path.stat()
    path.chmod(0o644)
    path.write_text(data)
    path.chmod(stat.S_IMODE(before.st_mode))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_output_corrupted_with_its_times_kept(chain: Project) -> None:
    """E5: stock doit never looks at what a target holds. Here neither size nor time tells."""
    overwrite(chain.result("two") / "o.txt", "jello\n")
    state, reasons = chain.why()["two"]
    assert state == "will run" and [(r["kind"], r["name"]) for r in reasons] == [("output", "o.txt")]
    assert chain.doit().ran == ["two"]
    assert (chain.result("two") / "o.txt").read_text() == "hello\n"
    assert chain.doit().ran == []


def test_corrupted_result_in_the_store_is_no_hit(chain: Project) -> None:
    old = chain.result("one")
    chain.write("a.txt", "other\n")
    chain.doit()
    overwrite(old / "o.txt", "jello\n")
    chain.write("a.txt", "hello\n")
    assert chain.why()["one"][0] == "will run"
    assert chain.doit().ran == ["one"]
    assert (chain.result("one") / "o.txt").read_text() == "hello\n"


@pytest.mark.parametrize("stage", ["one", "two", "three"])
def test_output_deleted(chain: Project, stage: str) -> None:
    (chain.result(stage) / "o.txt").unlink()
    assert chain.doit().ran == [stage]
    assert chain.doit().ran == []


def test_store_entry_deleted(chain: Project) -> None:
    import shutil

    shutil.rmtree(chain.result("two"))
    assert chain.doit().ran == ["two"]


@pytest.mark.parametrize("damage", ["", "{", '{"version": 1}', "null", "[]"])
def test_receipt_corrupt(chain: Project, damage: str) -> None:
    """E14: stock doit ends in a traceback where its database is cut off."""
    receipt = chain.result("two") / "receipt.json"
    receipt.chmod(0o644)
    receipt.write_text(damage)
    assert chain.why()["two"][1][0]["kind"] == "receipt"
    assert chain.doit().ran == ["two"]
    assert chain.doit().ran == []


def test_receipt_lost(chain: Project) -> None:
    (chain.result("two") / "receipt.json").unlink()
    assert chain.doit().ran == ["two"]


def test_receipt_of_another_key(chain: Project) -> None:
    """A folder that was copied to the wrong name is not believed, though all in it fits together."""
    import shutil

    chain.write("a.txt", "other\n")
    entry = chain.result("one")
    key = chain.graph().look.state(chain.stages["one"]).key
    shutil.copytree(entry, entry.parent / str(key))
    assert chain.doit().ran == ["one", "two", "three"]


def test_public_link_deleted_comes_back_without_a_run(project: Project) -> None:
    project.stage(
        "s",
        "echo hi > {out}/o.txt; mkdir {out}/d; echo 1 > {out}/d/x",
        outputs=("o.txt", "d/"),
        scope="p",
        links={"o.txt": "o.txt", "web": "d/"},
    )
    project.doit()
    assert (project.build / "p/o.txt").read_text() == "hi\n"
    assert (project.build / "p/web/x").read_text() == "1\n"
    (project.build / "p/o.txt").unlink()
    assert project.why()["s"] == (
        "comes from the store",
        [{"kind": "link", "name": "p/o.txt", "old": "a link to this result", "new": "missing or changed"}],
    )
    assert project.doit().ran == []
    assert (project.build / "p/o.txt").read_text() == "hi\n"


def test_links_move_together(project: Project) -> None:
    """Several outputs change in one step: every public link goes through the one link of the stage."""
    project.stage("s", "echo > {out}/a; echo > {out}/b", outputs=("a", "b"), scope="p", links={"a": "a", "sub/b": "b"})
    project.doit()
    assert os.readlink(project.build / "p/a") == ".current/s/a"
    assert (project.build / "p/sub/b").exists()
    assert os.readlink(project.build / "p/.current/s").startswith("../../store/")


def test_stat_cache_corrupt(chain: Project) -> None:
    for damage in ("", "{", "[]", '{"version": 1}'):
        (chain.build / ".stat-cache.json").write_text(damage)
        result = chain.doit()
        assert (result.status, result.ran) == (0, [])


def test_command_that_does_not_make_its_output(project: Project) -> None:
    """E11: stock doit ends well, and runs the task again for ever."""
    project.stage("s", "echo > {out}/other.txt", outputs=("o.txt",))
    result = project.doit()
    assert result.status == 1
    assert "did not make its output o.txt (it made: other.txt)" in result.out
    assert not (project.build / "shared").exists()
    assert list((project.build / "store").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "outputs", "message"),
    [
        ("mkdir {out}/o", ("o",), "output o is a folder; declare it as o/"),
        ("echo > {out}/o", ("o/",), "output o/ is not a folder"),
        ("ln -s /etc/passwd {out}/o", ("o",), "o is a symbolic link"),
        ("mkdir {out}/d; ln -s /etc {out}/d/o", ("d/",), "d/o is a symbolic link"),
        ("mkfifo {out}/o", ("o",), "o is not a plain file"),
    ],
)
def test_output_of_the_wrong_kind(project: Project, command: str, outputs: tuple[str, ...], message: str) -> None:
    project.stage("s", command, outputs=outputs)
    result = project.doit()
    assert result.status == 1 and message in result.out


def test_failed_command(project: Project) -> None:
    """A failure ends with the stage, the command, its last 30 lines and the log; what was half written is gone."""
    project.stage("s", "echo half > {out}/o.txt; for i in $(seq 100); do echo line $i; done; exit 3")
    project.stage("t", "cat {in.s}", inputs={"s": Output("s", "o.txt")})
    result = project.doit()
    assert result.status == 1
    tail = result.out[result.out.index("stage s ended with status 3") :]
    assert "command: sh -ec" in tail
    assert "line 71\n" in tail and "line 100\n" in tail and "line 70\n" not in tail
    log = project.build / "run/s/log.txt"
    assert tail.rstrip().endswith(f"log: {log}")
    assert "line 1\n" in log.read_text()
    assert list((project.build / "store").iterdir()) == []
    assert project.why()["s"][0] == "will run"


def test_command_that_cannot_be_started(project: Project) -> None:
    from stages.graph import Stage

    project.stages["s"] = Stage(name="s", doc="No such program.", run=("no-such-program",), outputs=("o",))
    result = project.doit()
    assert result.status == 1
    assert "could not be started" in result.out
    assert "cannot start no-such-program: No such file or directory" in result.out


def test_results_are_read_only_and_their_log_is_kept(project: Project) -> None:
    project.stage(
        "s",
        "echo said; cd {out}; echo 1 > o.txt; mkdir d; echo 1 > d/run; chmod +x d/run; echo > extra",
        outputs=("o.txt", "d/"),
    )
    project.doit()
    result = project.result("s")
    assert {p.name for p in result.iterdir()} == {"o.txt", "d", "receipt.json", "log.txt"}
    for path in result.rglob("*"):
        if path.is_file():
            assert not path.stat().st_mode & 0o222, path
    assert os.access(result / "d/run", os.X_OK)
    assert "said" in (result / "log.txt").read_text()


def test_importing_from_a_result_does_not_damage_it(project: Project) -> None:
    """Python writes bytecode beside the modules that it imports; a result has none, and stays fresh if some appears."""
    make = "mkdir -p {out}/lib/__pycache__; echo x = 1 > {out}/lib/m.py; echo > {out}/lib/__pycache__/m.pyc"
    project.stage("s", make, outputs=("lib/",))
    project.doit()
    assert [path.name for path in (project.result("s") / "lib").iterdir()] == ["m.py"]
    (project.result("s") / "lib/__pycache__").mkdir()
    (project.result("s") / "lib/__pycache__/m.pyc").write_text("")
    assert project.doit().ran == []
    (project.result("s") / "lib/n.py").write_text("")
    assert project.doit().ran == ["s"]


def test_hard_linked_output_gets_an_inode_of_its_own(project: Project) -> None:
    """What a command links out of its own cache could still be written through the other name."""
    project.stage("s", "echo 1 > mine; ln mine {out}/o.txt")
    project.doit()
    mine = project.build / "run/s/src/mine"
    mine.write_text("2\n")
    assert (project.result("s") / "o.txt").read_text() == "1\n"
    assert mine.stat().st_mode & 0o200


def test_receipt_holds_what_the_key_was_made_from(chain: Project) -> None:
    from stages.graph.keep.receipt import key_of

    receipt = chain.receipt("two")
    assert key_of(receipt["components"]) == receipt["key"] == chain.result("two").name
    assert receipt["components"]["params"] == {"two.x": 1}
    assert receipt["outputs"]["o.txt"]["size_bytes"] == 6
    assert receipt["run"]["duration_s"] > 0


def test_full_disk_is_a_message(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operating-system error while publishing names what happened and leaves nothing behind."""
    import errno

    from stages.graph.keep.store import Store

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    project.stage("s", "echo > {out}/o.txt")
    monkeypatch.setattr(Store, "publish", full)
    result = project.doit()
    assert result.status == 1 and "No space left on device" in result.out and "Traceback" not in result.out
    assert list((project.build / "store").iterdir()) == []


# ── A store that several build folders share ──


@pytest.fixture
def shared(chain: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """POCKETLM_STORE=DIR, filled by one build; the project's own build folder is gone."""
    folder = tmp_path_factory.mktemp("shared")
    monkeypatch.setenv("POCKETLM_STORE", str(folder))
    assert chain.doit("-a").ran == ["one", "two", "three"]
    assert len(list(folder.iterdir())) == 3
    remove_tree(str(chain.build))
    return folder


def test_shared_store_gives_results_to_another_build_folder(chain: Project, shared: Path) -> None:
    assert {state for state, _ in chain.why().values()} == {"comes from the store"}
    assert chain.doit().ran == []
    assert (chain.result("three") / "o.txt").read_text() == "HELLO\n"
    assert chain.result("three").is_relative_to(chain.build)


def test_shared_store_serves_a_machine_that_lacks_the_tool(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tool = project.write("bin/tool", "#!/bin/sh\necho 1\n")
    tool.chmod(0o755)
    project.stage("t", "echo made > {out}/o.txt", tools=(Tool("tool", argv=(str(tool),)),))
    monkeypatch.setenv("POCKETLM_STORE", str(tmp_path_factory.mktemp("shared")))
    assert project.doit().ran == ["t"]
    remove_tree(str(project.build))
    tool.unlink()
    assert project.why()["t"][0] == "comes from the store"
    result = project.doit()
    assert (result.status, result.ran) == (0, [])


@pytest.mark.parametrize("harm", ["cut", "corrupt", "receipt", "link", "escape", "not-json", "extra"])
def test_harmful_entry_of_a_shared_store_is_a_miss(chain: Project, shared: Path, harm: str) -> None:
    """Never an error, never an artifact."""
    import json

    for entry in shared.iterdir():
        output, receipt_path = entry / "o.txt", entry / "receipt.json"
        receipt = json.loads(receipt_path.read_text())
        output.chmod(0o644), receipt_path.chmod(0o644)
        if harm == "cut":
            output.write_text("")
        elif harm == "corrupt":
            overwrite(output, output.read_text().swapcase())
        elif harm == "receipt":
            receipt_path.write_text(receipt_path.read_text()[:100])
        elif harm == "link":
            output.unlink()
            output.symlink_to("/etc/hostname")
        elif harm == "escape":
            receipt["outputs"]["../../stolen"] = receipt["outputs"]["o.txt"]
            receipt_path.write_text(json.dumps(receipt))
        elif harm == "not-json":
            receipt["outputs"] = {"o.txt": "x"}
            receipt_path.write_text(json.dumps(receipt))
        elif harm == "extra":
            receipt["components"]["params"] = {"other": 1}
            receipt_path.write_text(json.dumps(receipt))
    result = chain.doit()
    assert (result.status, result.ran) == (0, ["one", "two", "three"])
    assert (chain.result("three") / "o.txt").read_text() == "HELLO\n"


def test_shared_store_that_cannot_be_written_is_a_line(
    chain: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    monkeypatch.setenv("POCKETLM_STORE", str(blocked))
    result = chain.doit("-a", "-s", "one")
    assert (result.status, result.ran) == (0, ["one"])
    assert f"one: could not be copied to {blocked}" in result.out


def test_store_that_is_no_folder_and_no_url_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.graph import UsageError

    monkeypatch.setenv("POCKETLM_STORE", "s3:bucket/x")
    with pytest.raises(UsageError, match="neither off, a folder nor a URL; as a URL: s3://bucket/x"):
        project.graph()
