"""What makes a stage stale, and what does not. Where stock doit fails, the docstring names its sharp edge (E1 to
E16).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from stages.graph import Output, Tool, files, python_sources
from stages.graph.read import versions
from stages.graph.read.statcache import StatCache
from tests.graph.project import Project, tree_state


def test_second_run_runs_nothing(chain: Project) -> None:
    result = chain.doit()
    assert (result.status, result.ran) == (0, [])
    assert "3 fresh" in result.out


def test_noop_writes_nothing(chain: Project) -> None:
    """Only the lock's file may change: it names the holder."""
    time.sleep(0.05)  # let what was just built settle, so that the stat cache has nothing left to refresh
    chain.doit()
    before = tree_state(chain.build)
    chain.doit()
    chain.doit("why")
    after = tree_state(chain.build)
    before.pop(".lock"), after.pop(".lock")
    assert after == before


def test_touch_runs_nothing_and_is_hashed_once(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """E1: stock doit hashes a touched file again at every start."""
    time.sleep(0.05)
    chain.doit()  # what was just built has settled
    hashed: list[str] = []
    original = StatCache._hash
    monkeypatch.setattr(StatCache, "_hash", lambda self, path: hashed.append(path) or original(self, path))
    os.utime(chain.root / "a.txt")
    time.sleep(0.05)
    assert chain.doit().ran == []
    assert hashed == [str(chain.root / "a.txt")]
    assert chain.doit().ran == []
    assert len(hashed) == 1


def test_edit_runs_and_back_again_comes_from_the_store(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    assert chain.doit().ran == ["one", "two", "three"]
    chain.write("a.txt", "hello\n")
    result = chain.doit()
    assert result.ran == []
    assert "3 from the store" in result.out
    assert (chain.result("three") / "o.txt").read_text() == "HELLO\n"


def test_early_cutoff(chain: Project) -> None:
    """An equal result upstream stops there, within one run."""
    chain.write("a.txt", "hello\nsecond line\n")
    assert chain.doit().ran == ["one", "two"]


def test_edit_that_keeps_size_and_time(chain: Project) -> None:
    """E4: stock doit takes an equal modification time for equal content."""
    path = chain.root / "a.txt"
    old = path.stat()
    path.write_text("HELLO\n")
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert path.stat().st_mtime_ns == old.st_mtime_ns
    assert chain.doit().ran == ["one", "two", "three"]


def test_file_from_the_past(chain: Project) -> None:
    """The clock set back: a new content with an older time is new."""
    path = chain.write("a.txt", "older\n")
    os.utime(path, (1, 1))
    assert chain.doit().ran == ["one", "two", "three"]


def test_parameter(chain: Project) -> None:
    """E9, E12: only the stage that declares a parameter depends on it."""
    chain.stage("two", "head -n 1 {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")}, params={"two.x": 2})
    assert chain.doit().ran == ["two"]  # its output is equal: cut off


def test_command(chain: Project) -> None:
    """E9: stock doit does not see a changed command."""
    chain.stage("three", "cat {in.two} > {out}/o.txt", inputs={"two": Output("two", "o.txt")})
    assert chain.doit().ran == ["three"]
    assert (chain.result("three") / "o.txt").read_text() == "hello\n"


def test_command_sees_exactly_its_parameters(project: Project) -> None:
    project.stage(
        "p",
        "cp {params} {out}/o.txt",
        params={"model.n_layer": 2, "model.d": [1, 2], "seed": 3},
        profile="repro",
        profile_in_key=True,
    )
    project.doit()
    assert json.loads((project.result("p") / "o.txt").read_text()) == {
        "params": {"model": {"n_layer": 2, "d": [1, 2]}, "seed": 3},
        "runtime": {},
        "profile": "repro",
    }


def test_profile_is_in_the_key_only_where_declared(project: Project) -> None:
    for profile, expected in (("fast", ["with", "without"]), ("repro", ["with"])):
        project.stage("with", "echo > {out}/o.txt", profile=profile, profile_in_key=True)
        project.stage("without", "echo > {out}/o.txt", profile=profile)
        assert sorted(project.doit().ran) == expected


def test_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A declared variable reaches the command and the key; an undeclared one neither."""
    project.stage("e", 'echo "$WANTED-$HIDDEN-$LC_ALL" > {out}/o.txt', env=("WANTED",), set_env={"LC_ALL": "C"})
    monkeypatch.setenv("WANTED", "1")
    monkeypatch.setenv("HIDDEN", "1")
    assert project.doit().ran == ["e"]
    assert (project.result("e") / "o.txt").read_text() == "1--C\n"
    monkeypatch.setenv("HIDDEN", "2")
    assert project.doit().ran == []
    monkeypatch.setenv("WANTED", "2")
    assert project.doit().ran == ["e"]
    monkeypatch.delenv("WANTED")
    assert project.doit().ran == ["e"]


def test_tool_version(project: Project) -> None:
    tool = project.write("bin/tool", "#!/bin/sh\necho version 1\n")
    tool.chmod(0o755)
    project.stage("t", "echo > {out}/o.txt", tools=(Tool("tool", argv=(str(tool),)),))
    assert project.doit().ran == ["t"]
    assert project.doit().ran == []
    tool.write_text("#!/bin/sh\necho version 2\n")
    state, reasons = project.why()["t"]
    assert (state, reasons) == ("will run", [{"kind": "tool", "name": "tool", "old": "version 1", "new": "version 2"}])
    assert project.doit().ran == ["t"]


def test_tool_is_asked_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    ask = versions._ask
    monkeypatch.setattr(versions, "_ask", lambda argv, *rest: asked.append(argv) or ask(argv, *rest))
    compiled = str(Path(sys.executable).resolve())
    project.stage("t", "echo > {out}/o.txt", tools=(Tool("tool", argv=(compiled, "--version")),))
    for _ in range(3):
        project.doit()
    assert asked == [[compiled, "--version"]]


def test_missing_tool_leaves_a_result_fresh(project: Project) -> None:
    """Neither the linked result nor one that comes back from the store needs the tool that made it."""
    tool = project.write("bin/tool", "#!/bin/sh\necho 1\n")
    tool.chmod(0o755)
    project.write("a.txt", "1")
    project.stage("t", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),), tools=(Tool("tool", argv=(str(tool),)),))
    project.doit()
    project.write("a.txt", "2")
    project.doit()
    tool.unlink()
    assert project.doit().ran == []
    project.write("a.txt", "1")
    assert project.why()["t"][0] == "comes from the store"
    result = project.doit()
    assert (result.status, result.ran) == (0, [])
    project.write("a.txt", "3")
    result = project.doit()
    assert (result.status, result.ran) == (1, [])
    assert "not found on PATH: tool" in result.out


def test_external_file(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "corpus.txt"
    outside.write_text("one")
    project.stage("x", f"cat {outside} > {{out}}/o.txt", external={"corpus": [outside]})
    assert project.doit().ran == ["x"]
    outside.write_text("two")
    assert project.doit().ran == ["x"]
    outside.unlink()
    result = project.doit()
    assert result.status == 1 and str(outside) in result.out


def test_external_file_changed_while_the_command_ran(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its content could not be snapshot: nothing is published."""
    outside = tmp_path_factory.mktemp("outside") / "corpus.txt"
    outside.write_text("one")
    project.stage("x", f"cat {outside} > {{out}}/o.txt; echo two > {outside}", external={"corpus": [outside]})
    result = project.doit()
    assert result.status == 1 and "changed while the command ran" in result.out
    assert not (project.build / "shared").exists()


def test_python_comment_and_docstring_are_no_change(project: Project) -> None:
    project.write("pkg/__init__.py", "")
    project.write("pkg/used.py", 'def f():\n    """Old."""\n    return 1\n')
    project.write("pkg/unused.py", "x = 1\n")
    project.write("pkg/main.py", "from pkg import used\nimport sys\nopen(sys.argv[1], 'w').write(str(used.f()))\n")
    project.stage(
        "m", "{python} -m pkg.main {out}/o.txt", sources=(python_sources("pkg.main"),), pythonpath=("{snapshot}",)
    )
    assert project.doit().ran == ["m"]
    assert (project.result("m") / "o.txt").read_text() == "1"
    project.write("pkg/used.py", 'def f():  # why\n    """New words."""\n\n    return 1\n')
    project.write("pkg/unused.py", "x = 2\n")
    assert project.doit().ran == []
    project.write("pkg/used.py", "def f():\n    return 2\n")
    assert project.doit().ran == ["m"]
    assert (project.result("m") / "o.txt").read_text() == "2"


def test_quick_edit_runs_the_new_python(project: Project) -> None:
    """Bytecode is matched by whole seconds and size: the second edit within one second would run the first one's."""
    project.write("m.py", "")
    project.stage("m", "{python} -m m {out}/o.txt", sources=(python_sources("m"),), pythonpath=("{snapshot}",))
    for value in ("1", "2", "3"):
        project.write("m.py", "import sys, n\nopen(sys.argv[1], 'w').write(n.x)\n")
        project.write("n.py", f"x = '{value}'\n")
        project.doit()
        assert (project.result("m") / "o.txt").read_text() == value


def test_source_added_to_a_folder(project: Project) -> None:
    project.write("src/a", "1")
    project.stage("s", "ls src > {out}/o.txt", sources=(files("src"),))
    assert project.doit().ran == ["s"]
    project.write("src/b", "1")
    project.write("src/.b.swp", "editor")
    assert project.doit().ran == ["s"]
    assert (project.result("s") / "o.txt").read_text() == "a\nb\n"
    (project.root / "src" / "b").unlink()
    assert project.doit().ran == []  # from the store
    assert (project.result("s") / "o.txt").read_text() == "a\n"


def test_edit_while_the_command_runs(project: Project) -> None:
    """E3: the result is filed under the source that was read; the edit is stale afterwards. Stock doit, DVC,
    Snakemake and make lose it.
    """
    source = project.write("a.txt", "old")
    project.stage("s", f"echo new > {source}; cat a.txt > {{out}}/o.txt", sources=(files("a.txt"),))
    assert project.doit().ran == ["s"]
    assert (project.result("s") / "o.txt").read_text() == "old"
    state, reasons = project.why()["s"]
    assert state == "will run" and [(r["kind"], r["name"]) for r in reasons] == [("source", "a.txt")]
    source.write_text("old")
    assert project.doit().ran == []


def test_command_that_changes_its_own_sources(project: Project) -> None:
    """Such as cargo without --locked: what was built is not what the key says."""
    project.write("a.txt", "old")
    project.stage("s", "echo new > a.txt; cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    result = project.doit()
    assert result.status == 1 and "changed its own sources: a.txt" in result.out


def test_what_a_command_keeps_beside_its_sources_stays(project: Project) -> None:
    """Cargo's target folder survives in the snapshot; a source that was removed does not."""
    project.write("src/a", "1")
    project.write("src/b", "1")
    project.stage(
        "s", "mkdir -p src/target; echo x >> src/target/x; ls src | tr '\\n' ' ' > {out}/o.txt", sources=(files("src"),)
    )
    project.doit()
    (project.root / "src" / "b").unlink()
    project.doit()
    assert (project.result("s") / "o.txt").read_text() == "a target "
    assert (project.build / "run/s/src/src/target/x").read_text() == "x\nx\n"


def test_changed_source_in_the_snapshot_has_a_fresh_time(project: Project) -> None:
    """Cargo trusts times: an edit that keeps its time must still look new to it, and what is equal must not."""
    for name in ("a", "b"):
        os.utime(project.write(f"src/{name}", "1"), (1_000_000_000, 1_000_000_000))
    project.stage("s", "cat src/a > {out}/o.txt", sources=(files("src"),))
    project.doit()
    copy = project.build / "run/s/src/src"
    times = {name: (copy / name).stat().st_mtime_ns for name in "ab"}
    os.utime(project.write("src/a", "2"), (1_000_000_000, 1_000_000_000))
    time.sleep(0.02)
    project.doit()
    assert (copy / "a").stat().st_mtime_ns > times["a"]
    assert (copy / "b").stat().st_mtime_ns == times["b"]


def test_missing_source_is_an_error_that_names_it(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt", sources=(files("nowhere.txt"),))
    result = project.doit()
    assert result.status == 1 and "source nowhere.txt matches no file" in result.out


def test_whole_stage_as_input(project: Project) -> None:
    """Output("one") without a path is all that it makes."""
    project.stage("one", "echo 1 > {out}/a; mkdir {out}/d; echo 2 > {out}/d/b", outputs=("a", "d/"))
    project.stage("two", "cat {in.one}/a {in.one}/d/b > {out}/o.txt", inputs={"one": Output("one")})
    project.doit()
    assert (project.result("two") / "o.txt").read_text() == "1\n2\n"
    project.stage("one", "echo 1 > {out}/a; mkdir {out}/d; echo 3 > {out}/d/b", outputs=("a", "d/"))
    assert project.doit().ran == ["one", "two"]


def test_volatile_output_cuts_off_what_comes_after(project: Project) -> None:
    """Made anew with another log, the rest equal: nothing after it runs. The log is still checked for damage."""
    inputs = {"one": Output("one")}
    project.write("took.txt", "1 s\n")
    made = {"outputs": ("o.txt", "log.jsonl"), "volatile": ("log.jsonl",)}
    project.stage("one", 'echo 1 > {out}/o.txt; cp "{root}/took.txt" {out}/log.jsonl', **made)
    project.stage("two", "cat {in.one}/o.txt > {out}/o.txt", inputs=inputs)
    project.doit()
    before = project.receipt("one")
    project.write("took.txt", "2 s\n")
    assert project.doit("run", "-a", "-s", "one").ran == ["one"]
    after = project.receipt("one")
    assert before["outputs"]["log.jsonl"] != after["outputs"]["log.jsonl"] and before["key"] == after["key"]
    assert after["components"]["volatile"] == ["log.jsonl"]
    assert project.doit().ran == []
    log = project.result("one") / "log.jsonl"
    log.chmod(0o644)
    log.write_text("3 s\n")
    assert project.why()["one"][0] == "will run"
    assert project.doit().ran == ["one"]
    project.stage("one", 'echo 1 > {out}/o.txt; cp "{root}/took.txt" {out}/log.jsonl', outputs=made["outputs"])
    assert project.doit().ran == ["one", "two"], "what is compared is part of the key"


def test_two_scopes_share_results(project: Project) -> None:
    """Presets switched back and forth: links move, nothing runs again."""
    for _ in range(2):
        for scope, value in (("big", 1), ("small", 2)):
            project.stage("s", "echo > {out}/o.txt", scope=scope, params={"x": value}, links={"o.txt": "o.txt"})
            project.doit()
    assert project.ran() == []
    assert Path(project.root / "ran.log").read_text().split() == ["s", "s"]
    assert {p.name for p in project.build.iterdir()} >= {"big", "small"}
