"""`doit accept`: yesterday's result stays after a change that a person vouches for, and it is told for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stages.graph import Output
from tests.graph.conftest import declare_chain
from tests.graph.project import Project
from tests.graph.test_damage import overwrite


def change(project: Project, x: int) -> None:
    """Another parameter of `two`."""
    old = project.stages["two"]
    project.stage("two", "head -n 1 {in.one} > {out}/o.txt", inputs=old.inputs, params={"two.x": x})


def test_the_result_stays_and_says_so(chain: Project) -> None:
    old, before = chain.result("two").name, chain.receipt("two")
    change(chain, 2)
    result = chain.doit("accept", "two", "--reason", "only the name changed")
    assert (result.status, result.ran) == (0, []), result.err
    assert "parameter two.x: 1 → 2" in result.out
    assert chain.doit().ran == []
    receipt = chain.receipt("two")
    assert chain.result("two").name == receipt["key"] != old
    assert receipt["outputs"] == before["outputs"] and receipt["run"] == before["run"]
    assert receipt["components"]["params"] == {"two.x": 2}
    accepted = receipt["accepted"]
    assert accepted.pop("when").endswith("Z")
    assert accepted == {
        "from": old,
        "differences": [{"kind": "parameter", "name": "two.x", "old": 1, "new": 2}],
        "reason": "only the name changed",
    }
    state, reasons = chain.why()["two"]
    note = {"kind": "accepted", "name": "only the name changed", "old": old, "new": receipt["key"]}
    assert (state, reasons) == ("fresh", [note])
    assert "accepted only the name changed" in chain.doit("info", "two").out
    assert chain.why()["three"] == ("fresh", [])
    change(chain, 1)  # and back: the old result is as it was
    assert chain.doit().ran == []
    assert chain.receipt("two") == before and chain.why()["two"] == ("fresh", [])


def test_accepted_again_keeps_what_was_said(chain: Project) -> None:
    keys = [chain.result("two").name]
    for x, words in ((2, ["--reason", "first"]), (3, [])):
        change(chain, x)
        assert chain.doit("accept", *words, "two").status == 0
        keys.append(chain.result("two").name)
    assert chain.receipt("two")["accepted"]["earlier"]["reason"] == "first"
    reasons = chain.why()["two"][1]
    assert [(r["name"], r["old"], r["new"]) for r in reasons] == [
        ("first", keys[0], keys[1]),
        ("no reason given", keys[1], keys[2]),
    ]


def test_always_really_builds(chain: Project) -> None:
    change(chain, 2)
    assert chain.doit("accept", "two").status == 0
    assert chain.doit("run", "-a", "-s", "two").ran == ["two"]
    assert "accepted" not in chain.receipt("two") and chain.why()["two"] == ("fresh", [])


def test_files_are_shared_and_read_only(chain: Project) -> None:
    old = chain.result("two")
    change(chain, 2)
    chain.doit("accept", "two")
    new = chain.result("two")
    assert os.path.samefile(old / "o.txt", new / "o.txt")
    assert not (new / "o.txt").stat().st_mode & 0o222
    assert {path.name for path in new.iterdir()} == {path.name for path in old.iterdir()}
    chain.doit("clean", "two")
    assert (old / "o.txt").read_text() == "hello\n"


def test_folders_stay(project: Project) -> None:
    def declare(x: int) -> None:
        project.stage("s", "mkdir {out}/d {out}/empty; echo 1 > {out}/d/x", outputs=("d/", "empty/"), params={"x": x})

    declare(1)
    project.doit()
    declare(2)
    assert project.doit("accept", "s").status == 0
    assert project.doit().ran == []
    assert (project.result("s") / "d/x").read_text() == "1\n" and (project.result("s") / "empty").is_dir()


def test_an_accepted_result_stays_accepted_on_another_machine(
    chain: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = f"file://{tmp_path_factory.mktemp('remote')}"
    change(chain, 2)
    chain.doit("accept", "two", "--reason", "vouched")
    assert chain.doit("push", "--to", url).status == 0
    there = Project(tmp_path_factory.mktemp("there"), chain._read_output)
    declare_chain(there)
    change(there, 2)
    there.remote = url
    assert there.doit().ran == []
    assert there.receipt("two") == chain.receipt("two")
    assert there.why()["two"][1][0]["name"] == "vouched"


def refused(project: Project, stage: str) -> str:
    before = {path.name for path in (project.build / "store").iterdir()} if project.build.exists() else set()
    result = project.doit("accept", stage)
    assert (result.status, result.ran) == (1, [])
    after = {path.name for path in (project.build / "store").iterdir()} if (project.build / "store").exists() else set()
    assert after == before
    return result.err


def test_refused_where_there_is_nothing_to_accept(chain: Project) -> None:
    assert "two is fresh: there is nothing to accept" in refused(chain, "two")
    chain.stage("four", "echo > {out}/o.txt")
    assert "four was never built" in refused(chain, "four")
    change(chain, 2)
    chain.doit()
    change(chain, 1)
    assert "the store has today's result of two; run `doit two`" in refused(chain, "two")


def test_refused_where_the_result_is_corrupt(chain: Project) -> None:
    change(chain, 2)
    overwrite(chain.result("two") / "o.txt", "jello\n")
    assert "the result of two is corrupt; run `doit two`" in refused(chain, "two")


def test_refused_where_what_it_is_made_from_is_stale(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    message = refused(chain, "three")
    assert "made from one, two, not fresh; run `doit one` and `doit two`, or accept that first" in message


def test_refused_where_other_outputs_are_declared(chain: Project) -> None:
    chain.stage("three", "echo > {out}/p.txt", outputs=("p.txt",), inputs={"two": Output("two", "o.txt")})
    assert "three makes p.txt today, the result to accept has o.txt" in refused(chain, "three")


def test_refused_without_one_stage(chain: Project) -> None:
    for words in ((), ("one", "two"), ("none",)):
        assert chain.doit("accept", *words).status == 2


def test_another_input_can_be_accepted(chain: Project) -> None:
    """The usual case: what is upstream was built again and differs in a way that does not matter."""
    chain.write("a.txt", "hello \n")
    assert chain.doit("two").ran == ["one", "two"]
    assert chain.doit("accept", "three").status == 0
    assert chain.doit().ran == []
    assert Path(chain.result("three") / "o.txt").read_text() == "HELLO\n"
    (difference,) = chain.receipt("three")["accepted"]["differences"]
    assert (difference["kind"], difference["name"]) == ("input", "two")
