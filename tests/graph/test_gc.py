"""`doit gc`: the results that are needed least go, and never one that a link needs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stages.graph import Output, UsageError
from stages.graph.show.units import parse_age, parse_size, size_text
from tests.graph.project import Project


def keys(project: Project) -> set[str]:
    return {path.name for path in (project.build / "store").iterdir() if not path.name.startswith(".")}


def linked(project: Project) -> set[str]:
    return {path.resolve().name for path in project.build.glob("*/.current/*")}


def versions(project: Project, *texts: str) -> list[str]:
    """Build stage `s` with each text in turn; the keys. Each has 100,000 bytes."""
    found = []
    for text in texts:
        project.stage("s", f"head -c 100000 /dev/zero > {{out}}/o.txt; echo {text} > {{out}}/p.txt", ("o.txt", "p.txt"))
        project.doit()
        found.append(project.result("s").name)
    return found


def age(project: Project, key: str, days: float) -> None:
    when = time.time() - days * 86_400
    os.utime(project.build / "store" / key, (when, when))


def test_nothing_that_is_linked_goes(chain: Project) -> None:
    """Of three states of the chain the linked one stays, whatever the size."""
    for text in ("other\n", "third\n"):
        chain.write("a.txt", text)
        chain.doit()
    assert len(keys(chain)) == 9
    result = chain.doit("gc", "--keep", "0")
    assert result.status == 0, result.err
    assert keys(chain) == linked(chain) and len(keys(chain)) == 3
    assert "removed 6 (" in result.out and "3 results stay" in result.out
    assert chain.doit().ran == []
    assert "removed 0 (0 B); 3 results stay" in chain.doit("gc", "--keep", "0").out


def test_links_of_every_scope_count(project: Project) -> None:
    for scope in ("tiny", "large"):
        project.stage("s", f"echo {scope} > {{out}}/o.txt", scope=scope)
        project.doit()
    project.doit("gc", "--keep", "0")
    assert len(keys(project)) == 2
    project.stage("s", "echo tiny > {out}/o.txt", scope="tiny")
    assert project.why()["s"][0] == "fresh"


def test_what_a_linked_result_was_made_from_stays(chain: Project) -> None:
    """Only the last stage is linked; what it was made from is found by the receipts, so that one can walk up."""
    chain_keys = keys(chain)
    for stage in ("one", "two"):
        (chain.build / "shared/.current" / stage).unlink()
    chain.doit("gc", "--keep", "0")
    assert keys(chain) == chain_keys


def test_the_last_used_stay(project: Project) -> None:
    """A result that was taken from the store again counts as used then; so does one that a link left."""
    a, b, c = versions(project, "a", "b", "c")
    for days, key in ((3, a), (2, b), (1, c)):
        age(project, key, days)
    versions(project, "a", "d")  # a is used again, then left for d
    project.doit("gc", "--keep", "350kB")
    assert keys(project) - linked(project) == {a, c}
    project.doit("gc", "--keep", "250kB")
    assert keys(project) - linked(project) == {a}


def test_older_than(project: Project) -> None:
    a, b, c = versions(project, "a", "b", "c")
    for days, key in ((40, a), (20, b), (60, c)):
        age(project, key, days)
    result = project.doit("gc", "--older-than", "30d")
    assert keys(project) == {b, c} and f"removed s {a[:10]}" in result.out


def test_dry_run_removes_nothing(project: Project) -> None:
    a, _ = versions(project, "a", "b")
    before = keys(project)
    result = project.doit("gc", "--keep", "0", "--dry-run")
    assert f"would remove s {a[:10]}" in result.out and keys(project) == before


def test_files_that_results_share_count_once(project: Project) -> None:
    (a,) = versions(project, "a")
    project.stage(
        "s", "head -c 100000 /dev/zero > {out}/o.txt; echo b > {out}/p.txt", outputs=("o.txt", "p.txt"), params={"x": 1}
    )
    assert project.doit("accept", "s").status == 0
    result = project.doit("gc", "--keep", "150kB", "--dry-run")
    assert "would remove 0 (0 B); 2 results stay" in result.out
    result = project.doit("gc", "--keep", "0")
    assert f"removed s {a[:10]}" in result.out and "100" not in result.out.split("; 1 results")[0]
    assert (project.result("s") / "p.txt").read_text() == "a\n"


def test_unreadable_entries_go_first(project: Project) -> None:
    a, b, _ = versions(project, "a", "b", "c")
    receipt = project.build / "store" / b / "receipt.json"
    receipt.chmod(0o644)
    receipt.write_text("{")
    result = project.doit("gc", "--keep", "10GB")
    assert f"removed corrupt {b[:10]}" in result.out and a in keys(project)


def test_what_stopped_stages_left(project: Project) -> None:
    """Old ones go, but not those of today's keys: they are what the next run resumes from."""
    project.stage("s", "echo > {out}/o.txt; ls {partial}", resumable=True)
    today = str(project.graph().look.state(project.stages["s"]).key)
    old = time.time() - 10 * 86_400
    for key, changed in ((today, old), ("0" * 64, old), ("1" * 64, time.time())):
        file = project.write(f"build/partial/{key}/checkpoint", "x" * 1000)
        os.utime(file, (changed, changed))
        os.utime(file.parent, (changed, changed))
    result = project.doit("gc", "--keep", "10GB")
    assert {path.name for path in (project.build / "partial").iterdir()} == {today, "1" * 64}
    assert "1.0 kB" in result.out


def test_scratch_folders_of_stages_that_are_gone(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt")
    project.doit()
    old = time.time() - 10 * 86_400
    for name in ("gone", "cargo"):
        project.write(f"build/run/{name}/src/x", "x")
    project.write("build/run/gone/params.json", "{}")
    for path in [*(project.build / "run").rglob("*")]:
        os.utime(path, (old, old))
    project.doit("gc", "--keep", "10GB")
    assert {path.name for path in (project.build / "run").iterdir()} == {"s", "cargo"}


def test_kill_in_the_middle_leaves_whole_entries(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes by a rename: what a kill leaves are whole entries, and left-overs that the next run sweeps."""
    from stages.graph.keep import store

    versions(project, "a", "b", "c")

    class Killed(BaseException):
        pass

    def kill(path: str) -> None:
        (Path(path) / "p.txt").unlink()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(store, "remove_tree", kill)
        with pytest.raises(Killed):
            project.doit("gc", "--keep", "0")
    assert all((project.build / "store" / key / "p.txt").exists() for key in keys(project))
    assert len(keys(project)) == 2 and list((project.build / "store").glob(".tmp-*"))
    assert project.doit("gc", "--keep", "10GB").status == 0
    assert not list((project.build / "store").glob(".tmp-*"))


def test_an_origin_that_is_gone_is_no_error(project: Project) -> None:
    from stages.graph.keep.store import remove_tree

    project.stage("a", "echo > {out}/o.txt")
    project.stage("b", "cp {in.a} {out}/o.txt", inputs={"a": Output("a", "o.txt")})
    project.doit()
    remove_tree(str(project.result("a")))
    (project.build / "shared/.current/a").unlink()
    assert project.doit("gc", "--keep", "0").status == 0
    assert keys(project) == {project.result("b").name}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say what may go"),
        (("--keep", "10XB"), "'10XB' is not a size; write 10GB"),
        (("--keep", "-1"), "is not a size"),
        (("--older-than", "30"), "'30' is not an age; write 30d"),
        (("--keep", "0", "s"), "gc takes no stage ('s')"),
    ],
)
def test_wrong_arguments(project: Project, words: tuple[str, ...], message: str) -> None:
    project.stage("s", "echo > {out}/o.txt")
    result = project.doit("gc", *words)
    assert result.status == 2 and message in result.err


def test_units() -> None:
    sizes = {"0": 0, "10GB": 10**10, "10 gib": 10 * 2**30, "1.5MB": 1_500_000, "500kB": 500_000, "7": 7, "7B": 7}
    assert {text: parse_size(text) for text in sizes} == sizes
    assert (parse_age("30d"), parse_age("12h"), parse_age("2w")) == (2_592_000, 43_200, 1_209_600)
    for wrong in ("", "GB", "1e9", "10G", "ten", "1.GB", "--"):
        with pytest.raises(UsageError, match="not a size"):
            parse_size(wrong)
    assert [size_text(n) for n in (0, 999, 12_345, 4_000_000_000)] == ["0 B", "999 B", "12.3 kB", "4.0 GB"]


def logs(project: Project, name: str, days: float, size: int = 50_000) -> Path:
    """What a run of the stage has left, so many days ago."""
    folder = project.build / "logs" / name
    file = folder / "deep" / "events"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * size)
    when = time.time() - days * 86_400
    for path in (file, file.parent, folder):
        os.utime(path, (when, when))
    return folder


def test_logs_go_by_age(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt", leaves=("{build}/logs",))
    project.doit()
    old, new = logs(project, "old", days=40), logs(project, "new", days=2)
    project.doit("gc", "--keep", "1GB")
    assert old.exists() and new.exists(), "only with --older-than does age decide"
    said = project.doit("gc", "--older-than", "30d", "--dry-run").out
    assert f"would remove {old}  50.0 kB" in said and old.exists()
    project.doit("gc", "--older-than", "30d")
    assert not old.exists() and new.exists()


def test_logs_and_results_share_the_size(project: Project) -> None:
    """What was used longest ago goes first, whichever it is."""
    first, second, third = versions(project, "1", "2", "3")
    project.stage("s", "echo > {out}/o.txt", leaves=("{build}/logs",))
    project.doit()
    age(project, first, 3)
    age(project, second, 1)
    older, newer = logs(project, "older", days=4), logs(project, "newer", days=2)
    project.doit("gc", "--keep", "270kB")  # 400 kB are there
    assert not older.exists() and first not in keys(project)
    assert newer.exists() and {second, third} <= keys(project)
    project.doit("gc", "--keep", "0")
    assert not newer.exists()


def test_logs_that_no_stage_leaves_stay(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt")
    project.doit()
    folder = logs(project, "mine", days=400)
    project.doit("gc", "--keep", "0", "--older-than", "1d")
    assert folder.exists()
