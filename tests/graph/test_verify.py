"""`doit verify`: results against their receipts, artifacts.lock and a second build."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from stages.graph import Output, Tool
from stages.graph.keep.receipt import key_of
from stages.graph.manage.artifacts import ArtifactsLock, host_class
from stages.graph.manage.compare import first_difference
from tests.graph.project import Project, is_alive, tree_state, wait_until

Rows = dict[str, dict[str, Any]]


def verify(project: Project, *words: str, status: int = 0) -> Rows:
    """doit verify --json as {stage: its row}."""
    return verify_and_ran(project, *words, status=status)[0]


def verify_and_ran(project: Project, *words: str, status: int = 0) -> tuple[Rows, list[str]]:
    """The same, and the stages whose command ran."""
    result = project.doit("verify", "--json", *words)
    assert result.status == status, result.out + result.err
    report = json.loads(result.out)
    assert report["ok"] == (status == 0) and report["host"] == host_class()
    return {row["stage"]: row for row in report["stages"]}, result.ran


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def flip_unseen(project: Project, path: Path) -> None:
    """Flip a bit so that no stat tells: size and times stay, and the stat cache holds what the file has now.

    The time of the inode's change cannot be set, so the cache's entry is brought up to it by hand, as a disk that
    goes bad would leave them.
    """
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    rewrite(path, bytes(data))
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    cache = project.build / ".stat-cache.json"
    content = json.loads(cache.read_text())
    content["files"][str(path)][2] = path.stat().st_ctime_ns
    content["files"][str(path)][4] = path.stat().st_ctime_ns + 10**10
    cache.write_text(json.dumps(content))


def test_all_is_well(chain: Project) -> None:
    rows = verify(chain)
    assert [(name, row["result"], row["lock"]) for name, row in rows.items()] == [
        (name, "verified", "no entry") for name in ("one", "two", "three")
    ]
    assert list(verify(chain, "two")) == ["one", "two"]
    result = chain.doit("verify")
    assert result.out.splitlines()[-1] == f"3 verified, 0 failed; artifacts.lock for {host_class()}: 3 no entry"
    assert result.ran == []


def test_flipped_byte_that_no_stat_tells(chain: Project) -> None:
    """A run believes the stat cache; verify reads, and what it read the next run knows."""
    output = chain.result("two") / "o.txt"
    chain.doit()
    flip_unseen(chain, output)
    assert chain.doit().ran == []
    row = verify(chain, status=1)["two"]
    assert (row["result"], [(r["kind"], r["name"]) for r in row["reasons"]]) == ("corrupt", [("output", "o.txt")])
    text = chain.doit("verify", "two")
    assert text.status == 1 and "`doit two` makes it again" in text.out
    assert chain.doit().ran == ["two"]
    verify(chain)


@pytest.mark.parametrize("damage", ["lost", "truncated", "another key", "other components", "other stage", "NaN"])
def test_receipt_that_proves_nothing(chain: Project, damage: str) -> None:
    path = chain.result("two") / "receipt.json"
    receipt = json.loads(path.read_text())
    match damage:
        case "lost":
            path.unlink()
        case "truncated":
            rewrite(path, path.read_bytes()[:-20])
        case "another key":
            rewrite(path, json.dumps({**receipt, "key": "0" * 64}).encode())
        case "other components":
            receipt["components"]["params"]["two.x"] = 2
            rewrite(path, json.dumps(receipt).encode())
        case "NaN":
            receipt["components"]["params"]["two.x"] = float("nan")
            rewrite(path, json.dumps(receipt).encode())
        case "other stage":
            rewrite(path, json.dumps({**receipt, "stage": "one"}).encode())
    row = verify(chain, status=1)["two"]
    assert row["result"] == "corrupt" and {r["kind"] for r in row["reasons"]} >= {"receipt"}


def test_stale_results_fail_and_say_what_to_type(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    rows = verify(chain, status=1)
    assert {name: row["result"] for name, row in rows.items()} == {
        "one": "stale",
        "two": "verified",
        "three": "verified",
    }
    result = chain.doit("verify")
    assert "`doit one` brings it up to date" in result.out and result.ran == []


def test_what_was_not_built_fails_only_where_it_is_needed(chain: Project) -> None:
    chain.stage("extra", "echo > {out}/o.txt")
    assert verify(chain)["extra"]["result"] == "not built"
    assert chain.doit("verify", "extra").status == 1
    (chain.build / "shared/.current/one").unlink()
    rows = verify(chain, status=1)
    assert (rows["one"]["result"], rows["one"]["ok"], rows["extra"]["ok"]) == ("not built", False, True)


def test_nothing_built_is_no_success(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt")
    result = project.doit("verify")
    assert result.status == 1 and "nothing is built" in result.err


def test_public_link_that_points_elsewhere(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt", links={"o.txt": "o.txt"})
    project.doit()
    verify(project)
    (project.build / "shared/o.txt").unlink()
    (project.build / "shared/o.txt").symlink_to("/etc/passwd")
    assert verify(project, status=1)["s"]["reasons"][0]["kind"] == "link"


@pytest.mark.parametrize("words", [["tow"], ["--keep"], ["--no-such-option"]])
def test_wrong_arguments(chain: Project, words: list[str]) -> None:
    result = chain.doit("verify", *words)
    assert result.status == 2 and result.err.startswith("doit: ")


# ── Built again ──


def test_rebuild_is_cold_and_leaves_nothing(chain: Project) -> None:
    before = sorted(os.listdir(chain.build))
    rows, ran = verify_and_ran(chain, "--rebuild")
    assert ran == ["one", "two", "three"]
    assert {row["rebuilt"] for row in rows.values()} == {"identical"}
    assert sorted(os.listdir(chain.build)) == before
    rows, ran = verify_and_ran(chain, "two", "--rebuild")
    assert list(rows) == ran == ["one", "two"]


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["folder", "remote"])
def test_rebuild_takes_nothing_from_a_shared_store(
    chain: Project, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    shared = chain.root / "shared-store"
    monkeypatch.setenv("POCKETLM_STORE", f"{scheme}{shared}")
    chain.doit("-a")
    kept = tree_state(shared)
    assert len(os.listdir(shared)) == 3
    assert verify_and_ran(chain, "--rebuild")[1] == ["one", "two", "three"]
    assert tree_state(shared) == kept


def test_rebuild_brings_up_to_date_first(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    assert verify_and_ran(chain, "--rebuild")[1] == ["one", "two", "three", "one", "two", "three"]
    assert (chain.result("three") / "o.txt").read_text() == "OTHER\n"


def test_rebuild_names_what_differs_and_where(project: Project) -> None:
    unstable = "mkdir {out}/d; echo same > {out}/d/same; printf 'abc %s' {out} > {out}/d/path; date +%N > {out}/t"
    project.stage("s", unstable, outputs=("d/", "t"), volatile=("t",))
    project.stage("after", "cat {in.s}/path > {out}/o.txt", inputs={"s": Output("s", "d/")})
    project.stage("apart", "echo > {out}/o.txt")
    project.doit()
    rows = verify(project, "--rebuild", status=1)
    (difference,) = rows["s"]["differences"]
    assert difference["file"] == "d/path" and difference["old"] != difference["new"]
    assert difference["offset"] == len(f"abc {project.build}/")  # store/... and verify/store/...
    assert {name: row["rebuilt"] for name, row in rows.items()} == {
        "s": "differs",
        "after": "differs",
        "apart": "identical",
    }
    out = project.doit("verify", "--rebuild").out
    assert f"built again d/path: {difference['old'][:10]} → " in out and "its input s came out different" in out
    assert not (project.build / "verify").exists()


def test_rebuild_reports_files_that_are_there_once(project: Project) -> None:
    project.stage("s", "mkdir {out}/d; case {out} in *verify*) touch {out}/d/b;; *) touch {out}/d/a;; esac", ("d/",))
    found = verify(project, "--rebuild", status=1)["s"]["differences"]
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [(d["file"], d["old"], d["new"], d["offset"]) for d in found] == [
        ("d/a", empty, "missing", None),
        ("d/b", "missing", empty, None),
    ]


def test_keep_leaves_the_folder(chain: Project) -> None:
    verify(chain, "--rebuild", "--keep")
    kept = chain.build / "verify/again/shared/.current/three/o.txt"
    assert kept.read_text() == "HELLO\n"
    verify(chain, "--rebuild")
    assert not (chain.build / "verify").exists()


def test_what_differs_by_declaration_is_neither_built_again_nor_compared(project: Project) -> None:
    project.stage("a", "echo 1 > {out}/o.txt")
    project.stage("s", "date +%N > {out}/o.txt", inputs={"a": Output("a", "o.txt")}, reproducible=False)
    project.stage("after", "cp {in.s} {out}/o.txt", inputs={"s": Output("s", "o.txt")})
    project.doit()
    rows, ran = verify_and_ran(project, "--rebuild", "--update-lock")
    assert ran == ["a"]
    assert {name: (row["rebuilt"], row["lock"]) for name, row in rows.items()} == {
        "a": ("identical", "same"),
        "s": ("not rebuilt: differs from run to run", None),
        "after": ("not rebuilt: s: differs from run to run", None),
    }


def test_accepted_results_are_used_as_they_are(chain: Project) -> None:
    chain.stage(
        "two",
        "head -n 1 {in.one} > {out}/o.txt # said better",
        inputs={"one": Output("one", "o.txt")},
        params={"two.x": 1},
    )
    assert chain.doit("accept", "two").status == 0
    rows, ran = verify_and_ran(chain, "--rebuild", "--update-lock")
    assert ran == ["one"]
    assert [row["accepted"] for row in rows.values()] == [False, True, False]
    assert {name: (row["rebuilt"], row["lock"]) for name, row in rows.items()} == {
        "one": ("identical", "same"),
        "two": ("not rebuilt: accepted", None),
        "three": ("not rebuilt: two: accepted", None),
    }
    assert "verified, accepted" in chain.doit("verify").out


def test_rebuild_that_fails_is_a_failure(project: Project) -> None:
    project.stage("s", "case {out} in *verify*) echo no such luck; exit 3;; esac; echo > {out}/o.txt")
    result = project.doit("verify", "--rebuild")
    assert result.status == 1 and "no such luck" in result.out and "3" in result.out
    assert not (project.build / "verify").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_during_rebuild_leaves_nothing(project: Project, number: signal.Signals, status: int) -> None:
    slow = 'case {out} in *verify*) echo $$ > "{root}/child"; sleep 30;; esac; echo > {out}/o.txt'
    project.stage("s", slow)
    project.doit()
    process = project.start("verify", "--rebuild")
    child = project.root / "child"
    wait_until(lambda: child.exists() and child.read_text().strip())
    held = project.doit("s")
    assert held.status == 75 and str(process.pid) in held.err  # nothing that is compared may move
    process.send_signal(number)
    assert project.finish(process).status == status
    assert not is_alive(int(child.read_text())) and not (project.build / "verify").exists()
    assert project.doit("s").ran == []


def test_what_a_killed_rebuild_left_goes_with_the_next(project: Project) -> None:
    project.stage(
        "s",
        'case {out} in *verify*) echo $$ > "{root}/child"; test -e "{root}/go" || sleep 30;; esac; echo > {out}/o.txt',
    )
    project.doit()
    process = project.start("verify", "--rebuild")
    wait_until(lambda: (project.root / "child").exists())
    process.kill()
    process.communicate()
    assert (project.build / "verify").exists()
    project.write("go", "")
    verify(project, "--rebuild")
    assert not (project.build / "verify").exists()


# ── artifacts.lock ──


def entry(project: Project, place: str) -> dict[str, Any]:
    """The only entry of a stage on this host."""
    (found,) = json.loads((project.root / "artifacts.lock").read_text())["hosts"][host_class()][place]
    return dict(found)


def test_lock_is_written_once_and_agreed_with(chain: Project) -> None:
    assert verify(chain, "--update-lock")["two"]["lock"] == "same"
    lock = chain.root / "artifacts.lock"
    before = lock.stat()
    assert entry(chain, "shared/two")["outputs"] == {"o.txt": chain.receipt("two")["outputs"]["o.txt"]["digest"]}
    assert "is as it was" in chain.doit("verify", "--update-lock").err
    assert (lock.stat().st_ino, lock.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "3 same" in chain.doit("verify").out


def test_lock_that_says_other_bytes_is_a_failure(chain: Project) -> None:
    chain.doit("verify", "--update-lock")
    lock = chain.root / "artifacts.lock"
    digest = chain.receipt("two")["outputs"]["o.txt"]["digest"]
    lock.write_text(lock.read_text().replace(digest, "0" * 64))
    rows = verify(chain, status=1)
    assert (rows["two"]["lock"], rows["two"]["ok"]) == ("differs", False)
    assert rows["two"]["locked"] == [{"name": "o.txt", "old": "0" * 64, "new": digest}]
    assert "artifacts.lock output o.txt: 0000000000 → " in chain.doit("verify").out
    verify(chain, "--update-lock")
    verify(chain)


def test_lock_of_other_sources_is_a_note(chain: Project) -> None:
    """The bytes of `two` and `three` stay, and still the lock has no say: their sources moved upstream."""
    chain.doit("verify", "--update-lock")
    chain.write("a.txt", "hello\nmore\n")
    chain.doit()
    assert {row["lock"] for row in verify(chain).values()} == {"other sources"}
    assert "3 other sources" in chain.doit("verify").out
    chain.write("a.txt", "hello\n")
    chain.doit()
    assert {row["lock"] for row in verify(chain).values()} == {"same"}


def test_stages_behind_a_differing_one_are_still_compared(project: Project) -> None:
    """`two` drops what differs in `one`: a difference upstream does not make it incomparable."""
    project.stage("one", "echo hi; (echo hi; cat '{root}/hidden') > {out}/o.txt")
    project.stage("two", "head -n 1 {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")})
    project.write("hidden", "1\n")
    project.doit()
    project.doit("verify", "--update-lock")
    project.write("hidden", "2\n")
    project.doit("-a")
    rows = verify(project, status=1)
    assert (rows["one"]["lock"], rows["two"]["lock"]) == ("differs", "same")


def test_lock_speaks_of_one_set_of_tools(project: Project) -> None:
    def with_tool(version: str) -> None:
        project.stage("s", "echo 1 > {out}/o.txt", tools=(Tool("cc", version=version),))
        project.stage("after", "cp {in.s} {out}/o.txt", inputs={"s": Output("s", "o.txt")})
        project.doit()

    with_tool("1\nbuilt with love")
    project.doit("verify", "--update-lock")
    assert entry(project, "shared/after")["tools"] == {"cc": "1"}
    with_tool("2")
    assert {row["lock"] for row in verify(project).values()} == {"other tools"}
    project.doit("verify", "--update-lock")
    assert {row["lock"] for row in verify(project).values()} == {"same"}
    with_tool("1\nbuilt with love")
    assert {row["lock"] for row in verify(project).values()} == {"same"}


def test_lock_of_another_host_says_nothing(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.doit("verify", "--update-lock")
    lock = chain.root / "artifacts.lock"
    lock.write_text(lock.read_text().replace(host_class(), "plan9-mips"))
    assert {row["lock"] for row in verify(chain).values()} == {"no entry"}
    chain.doit("verify", "--update-lock")
    assert list(json.loads(lock.read_text())["hosts"]) == [host_class(), "plan9-mips"]


def test_lock_holds_a_profile_of_its_own(project: Project) -> None:
    def with_profile(profile: str) -> None:
        project.stage("s", f"echo {profile} > {{out}}/o.txt", profile=profile, profile_in_key=True)
        project.doit()

    with_profile("fast")
    project.doit("verify", "--update-lock")
    with_profile("repro")
    assert verify(project)["s"]["lock"] == "no entry"
    project.doit("verify", "--update-lock")
    with_profile("fast")
    assert verify(project)["s"]["lock"] == "same"


def test_failing_results_are_not_locked(chain: Project) -> None:
    rewrite(chain.result("three") / "o.txt", b"x")
    result = chain.doit("verify", "--update-lock")
    assert result.status == 1 and "was not written" in result.err
    assert not (chain.root / "artifacts.lock").exists()


@pytest.mark.parametrize(
    "text", ["", "<<<<<<< ours\n", "[]", '{"version": 2}', '{"version": 1, "hosts": {"a": {"b": [{}]}}}']
)
def test_lock_that_cannot_be_read_is_an_error(chain: Project, text: str) -> None:
    chain.write("artifacts.lock", text)
    result = chain.doit("verify")
    assert result.status == 1 and "run `doit verify --update-lock`" in result.err and "Traceback" not in result.err


def test_recipes_hold_all_that_a_key_holds(chain: Project) -> None:
    """Without inputs a recipe is the key: nothing that makes a stage stale is left out."""
    from stages.graph.manage.verification import recipes_of

    made = recipes_of(chain.graph().look, ["one", "two", "three"])
    assert made["one"].digest == chain.receipt("one")["key"] == key_of(chain.receipt("one")["components"])
    assert len({recipe.digest for recipe in made.values()}) == 3


def test_first_difference(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    for left, right, offset in (
        (b"", b"", None),
        (b"abc", b"abd", 2),
        (b"abc", b"abcd", 3),
        (b"x" * (1 << 20) + b"a", b"x" * (1 << 20) + b"b", 1 << 20),
        (b"x" * (1 << 20), b"x" * ((1 << 20) + 1), 1 << 20),
    ):
        one.write_bytes(left)
        two.write_bytes(right)
        assert first_difference(str(one), str(two)) == first_difference(str(two), str(one)) == offset


def test_lock_is_written_whole_or_not_at_all(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.doit("verify", "--update-lock")
    lock = ArtifactsLock(str(chain.root))
    before = (chain.root / "artifacts.lock").read_text()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    lock._hosts.clear()
    with pytest.raises(OSError, match="No space"):
        lock.save()
    assert (chain.root / "artifacts.lock").read_text() == before
    assert [name for name in os.listdir(chain.root) if name.endswith(".tmp")] == []
