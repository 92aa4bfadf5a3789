"""The sharp edges of plain doit that concern what is believed: on each, plain doit does the wrong thing, and we do not.

Each test begins with plain doit, so that the comparison stays true; should a later doit mend an edge, its test says so.
The edges of its commands and its output are in test_sharp_commands.py.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stages.graph import Output, files, python_sources
from stages.graph.read.statcache import StatCache
from tests.graph.project import Project, wait_until
from tests.graph.stock import Stock


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    return Stock(tmp_path / "stock")


def copying(stock: Stock, project: Project, text: str = "old\n") -> None:
    """a.txt, and a stage that copies it, in both; built."""
    stock.write("a.txt", text)
    stock.task("copy", "cat a.txt > copy.txt", deps=("a.txt",))
    project.write("a.txt", text)
    project.stage("copy", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    assert (stock.run().ran, project.doit().ran) == (["copy"], ["copy"])


def keep_time(path: Path, text: str) -> None:
    """Other text of the same length, with the old modification time."""
    before = path.stat()
    assert len(text) == before.st_size
    path.chmod(0o644)
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def made(project: Project, stage: str) -> str:
    return (project.result(stage) / "o.txt").read_text()


COUNT_HASHES = """
import doit.dependency
original = doit.dependency.get_file_md5
def counted(path):
    open("hashed.log", "a").write(f"{path}\\n")
    return original(path)
doit.dependency.get_file_md5 = counted
"""


def test_e1_touched_input_is_hashed_at_every_start(
    stock: Stock, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying(stock, project)
    stock.head = COUNT_HASHES
    os.utime(stock.root / "a.txt", (1, 1))
    for _ in range(3):
        assert stock.run().ran == []
    assert stock.read("hashed.log").split() == ["a.txt"] * 3  # plain doit: 0.8 s each for 500 MB

    hashed: list[str] = []
    original = StatCache._hash
    monkeypatch.setattr(StatCache, "_hash", lambda self, path: hashed.append(Path(path).name) or original(self, path))
    time.sleep(0.05)
    project.doit()
    hashed.clear()
    os.utime(project.root / "a.txt", (1, 1))
    time.sleep(0.05)
    for _ in range(3):
        assert project.doit().ran == []
    assert hashed == ["a.txt"]


def test_e2_kill_forgets_what_was_finished(stock: Stock, project: Project) -> None:
    slow = "touch started; sleep 30"
    stock.write("a.txt", "1\n")
    stock.task("quick", "cat a.txt > quick.txt", deps=("a.txt",))
    stock.task("slow", slow)
    process = stock.start()
    wait_until(lambda: (stock.root / "started").exists())
    stock.kill(process)
    stock.task("slow", "echo > slow.txt")
    assert stock.run().ran == ["quick", "slow", "quick", "slow"]  # plain doit: quick was done

    project.stage("quick", "echo 1 > {out}/o.txt")
    project.stage("slow", f"cd '{project.root}'; {slow}")
    running = project.start()
    wait_until(lambda: (project.root / "started").exists())
    running.kill()
    running.communicate()
    project.stage("slow", "echo > {out}/o.txt")
    assert project.doit().ran == ["quick", "slow", "slow"]


def test_e3_edit_while_the_command_runs_is_lost(stock: Stock, project: Project) -> None:
    stock.write("a.txt", "old\n")
    stock.task("copy", "cat a.txt > copy.txt; [ -e edited ] || echo new > a.txt; touch edited", deps=("a.txt",))
    stock.run()
    assert (stock.run().ran, stock.read("a.txt"), stock.read("copy.txt")) == ([], "new\n", "old\n")

    source = project.write("a.txt", "old\n")
    edit = f"[ -e '{project.root}/edited' ] || echo new > '{source}'; touch '{project.root}/edited'"
    project.stage("copy", f"cat a.txt > {{out}}/o.txt; {edit}", sources=(files("a.txt"),))
    assert project.doit().ran == ["copy"] and made(project, "copy") == "old\n"
    assert project.doit().ran == ["copy"] and made(project, "copy") == "new\n"


def test_e4_edit_that_keeps_its_time_is_not_seen(stock: Stock, project: Project) -> None:
    copying(stock, project)
    keep_time(stock.root / "a.txt", "new\n")
    assert (stock.run().ran, stock.read("copy.txt")) == ([], "old\n")

    keep_time(project.root / "a.txt", "new\n")
    assert project.doit().ran == ["copy"] and made(project, "copy") == "new\n"


@pytest.mark.parametrize("time_is", ["kept", "new"])
def test_e5_corrupted_output_is_believed(stock: Stock, project: Project, time_is: str) -> None:
    copying(stock, project)
    damage = keep_time if time_is == "kept" else lambda path, text: (path.chmod(0o644), path.write_text(text))
    damage(stock.root / "copy.txt", "bad\n")
    assert (stock.run().ran, stock.read("copy.txt")) == ([], "bad\n")

    damage(project.result("copy") / "o.txt", "bad\n")
    assert project.doit().ran == ["copy"] and made(project, "copy") == "old\n"


def test_e6_folders_are_no_inputs_and_hardly_outputs(stock: Stock, project: Project) -> None:
    stock.write("src/a", "1")
    stock.task("list", "ls src > list.txt", deps=("src",))
    assert "IsADirectoryError" in stock.run().out
    stock.task("list", "mkdir -p made; ls src > made/list.txt", deps=("src/a",), target="made")
    assert stock.run().ran == ["list"]
    (stock.root / "made/list.txt").unlink()
    assert stock.run().ran == []  # plain doit: the folder is there, whatever is in it
    stock.write("made/list.txt", "")
    stock.run("clean", "list")
    assert (stock.root / "made/list.txt").exists()

    project.write("src/a", "1")
    project.stage("list", "mkdir {out}/made; ls src > {out}/made/list.txt", outputs=("made/",), sources=(files("src"),))
    project.doit()
    (project.result("list") / "made/list.txt").unlink()
    assert project.doit().ran == ["list"]
    project.write("src/b", "1")
    assert project.doit().ran == ["list"]
    entry = project.result("list")
    project.doit("clean", "list")
    assert not entry.exists()


def test_e7_two_runs_at_once_both_run(stock: Stock, project: Project) -> None:
    wait = "touch started; for i in $(seq 200); do [ ! -e {0}/go ] || break; sleep 0.05; done"
    stock.task("slow", f"{wait.format('.')}; echo >> slow.txt")
    first = stock.start()
    wait_until(lambda: (stock.root / "started").exists())
    (stock.root / "started").unlink()
    second = stock.start()
    wait_until(lambda: (stock.root / "started").exists())  # plain doit: the second is in the same command
    stock.write("go", "")
    assert [stock.finish(process).status for process in (first, second)] == [0, 0]
    assert stock.read("ran.log").split() == ["slow", "slow"]

    project.stage("slow", f"cd '{project.root}'; {wait.format('.')}; echo > {{out}}/o.txt")
    running = project.start()
    wait_until(lambda: (project.root / "started").exists())
    refused = project.run()
    assert refused.status == 75 and f"another run (PID {running.pid}) holds" in refused.err
    project.write("go", "")
    assert project.finish(running).status == 0
    assert (project.root / "ran.log").read_text().split() == ["slow"]


def test_e8_half_an_output_is_believed_once_its_source_is_as_before(stock: Stock, project: Project) -> None:
    half = "touch started; sleep 30"
    copying(stock, project)
    stock.write("a.txt", "a new text\n")
    stock.task("copy", f"head -c 2 a.txt > copy.txt; {half}", deps=("a.txt",))
    process = stock.start()
    wait_until(lambda: (stock.root / "started").exists())
    stock.kill(process)
    stock.task("copy", "cat a.txt > copy.txt", deps=("a.txt",))
    stock.write("a.txt", "old\n")
    stock.ran()
    assert (stock.run().ran, stock.read("copy.txt")) == ([], "a ")

    project.write("a.txt", "a new text\n")
    command = f"head -c 2 a.txt > {{out}}/o.txt; cd '{project.root}'; {half}"
    project.stage("copy", command, sources=(files("a.txt"),))
    running = project.start()
    wait_until(lambda: (project.root / "started").exists())
    running.kill()
    running.communicate()
    project.write("a.txt", "old\n")
    project.stage("copy", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    project.ran()
    assert project.doit().ran == [] and made(project, "copy") == "old\n"
    project.write("a.txt", "a new text\n")
    assert project.doit().ran == ["copy"] and made(project, "copy") == "a new text\n"


def test_e9_changed_command_is_not_seen(stock: Stock, project: Project) -> None:
    copying(stock, project)
    stock.task("copy", "tr a-z A-Z < a.txt > copy.txt", deps=("a.txt",))
    assert (stock.run().ran, stock.read("copy.txt")) == ([], "old\n")

    project.stage("copy", "tr a-z A-Z < a.txt > {out}/o.txt", sources=(files("a.txt"),))
    assert project.doit().ran == ["copy"] and made(project, "copy") == "OLD\n"


def test_e9_changed_python_is_not_seen(stock: Stock, project: Project) -> None:
    """Neither the command's own module nor one that it imports."""
    for root in (stock.root, project.root):
        (root / "step.py").write_text("import sys, part\nopen(sys.argv[1], 'w').write(part.word())\n")
        (root / "part.py").write_text("def word():\n    return 'old'\n")
    stock.task("step", "python3 -B step.py step.txt", deps=("step.py",))
    project.stage("step", "{python} -m step {out}/o.txt", sources=(python_sources("step"),), pythonpath=("{snapshot}",))
    stock.run(), project.doit()
    for root in (stock.root, project.root):
        (root / "part.py").write_text("def word():\n    return 'new'\n")
    stock.ran(), project.ran()
    assert (stock.run().ran, stock.read("step.txt")) == ([], "old")
    assert project.doit().ran == ["step"] and made(project, "step") == "new"


def test_e11_command_that_never_makes_its_output_ends_well(stock: Stock, project: Project) -> None:
    stock.task("s", "true")
    for _ in range(2):
        done = stock.run()
        assert (done.status, done.ran) == (0, ["s"])

    project.stage("s", "true")
    result = project.doit()
    assert result.status == 1 and "did not make its output o.txt" in result.out


TWO_PARAMETERS = """
from doit.tools import config_changed
TASKS["s"][1]["uptodate"] = [config_changed({"lr": 1}), config_changed({"seed": 2})]
"""


def test_e12_two_parameters_make_a_task_stale_for_ever(stock: Stock, project: Project) -> None:
    stock.task("s", "echo > s.txt")
    stock.tail = TWO_PARAMETERS
    assert [stock.run().ran for _ in range(3)] == [["s"]] * 3

    project.stage("s", "echo > {out}/o.txt", params={"lr": 1, "seed": 2})
    assert [project.doit().ran for _ in range(3)] == [["s"], [], []]


def test_e14_truncated_record_ends_every_run(stock: Stock, project: Project) -> None:
    copying(stock, project)
    database = stock.root / stock.dep_file
    database.write_text(database.read_text()[:-10])
    done = stock.run()
    assert done.status != 0 and "Traceback" in done.out

    receipt = project.result("copy") / "receipt.json"
    receipt.chmod(0o644)
    receipt.write_text(receipt.read_text()[:-10])
    result = project.doit()
    assert (result.status, result.ran) == (0, ["copy"])
    assert project.doit().ran == []


def test_lost_record_makes_all_stale(stock: Stock, project: Project) -> None:
    """Plain doit's record of all tasks is one file. A receipt is beside its result, and the stat cache costs time
    only.
    """
    for name in ("one", "two"):
        stock.write(f"{name}.in", "x")
        stock.task(name, f"cat {name}.in > {name}.txt", deps=(f"{name}.in",))
        project.write(f"{name}.in", "x")
        project.stage(name, f"cat {name}.in > {{out}}/o.txt", sources=(files(f"{name}.in"),))
    stock.run(), project.doit()
    (stock.root / stock.dep_file).unlink()
    assert stock.run().ran == ["one", "two"]

    (project.build / ".stat-cache.json").unlink()
    assert project.doit().ran == []
    (project.result("one") / "receipt.json").unlink()
    assert project.doit().ran == ["one"]


def test_change_back_runs_again(stock: Stock, project: Project) -> None:
    """Plain doit remembers the last run alone: there and back is two more runs."""
    copying(stock, project)
    for text, ours in (("new\n", ["copy"]), ("old\n", []), ("new\n", [])):
        stock.write("a.txt", text)
        project.write("a.txt", text)
        assert (stock.run().ran, project.doit().ran) == (["copy"], ours)
        assert made(project, "copy") == stock.read("copy.txt") == text


def test_equal_result_upstream_stops_there_in_both(stock: Stock, project: Project) -> None:
    """What plain doit does well stays."""
    stock.write("a.txt", "one\ntwo\n")
    stock.task("head", "head -n 1 a.txt > head.txt", deps=("a.txt",))
    stock.task("copy", "cat head.txt > copy.txt", deps=("head.txt",))
    project.write("a.txt", "one\ntwo\n")
    project.stage("head", "head -n 1 a.txt > {out}/o.txt", sources=(files("a.txt"),))
    project.stage("copy", "cat {in.head} > {out}/o.txt", inputs={"head": Output("head", "o.txt")})
    stock.run(), project.doit()
    for root in (stock.root, project.root):
        (root / "a.txt").write_text("one\nthree\n")
    assert stock.run().ran == project.doit().ran == ["head"]
