"""Provenance: receipts as inputs, and the one JSON that is merged from them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.graph import Output, Stage, files, receipt_of
from stages.graph.keep.receipt import digest_in
from stages.graph.manage.lineage import merge
from tests.graph.project import Project
from tests.graph.test_why import MAY_RUN

ENGINE = Path(__file__).resolve().parents[2] / "stages" / "graph"
MODULES = ("errors", "declare/names", "read/digest", "keep/receipt", "manage/lineage")  # all that the command imports


def with_receipts(project: Project) -> Project:
    """one -> two, and `told`, which copies the receipts of both."""
    project.write("a.txt", "hello\n")
    project.stage(
        "one",
        "sort a.txt > {out}/o.txt; date +%N > {out}/log.txt.1",
        outputs=("o.txt", "log.txt.1"),
        volatile=("log.txt.1",),
        sources=(files("a.txt"),),
    )
    project.stage("two", "cat {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")})
    project.stage(
        "told",
        "cat {in.one} {in.two} > {out}/o.txt",
        inputs={"one": receipt_of("one"), "two": receipt_of("two")},
    )
    return project


def test_receipt_as_an_input(project: Project) -> None:
    """{in.NAME} is the path of the receipt; what ran again to the same ends changes nothing."""
    with_receipts(project)
    assert project.doit().ran == ["one", "two", "told"]
    told = (project.result("told") / "o.txt").read_text()
    assert told == "".join((project.result(name) / "receipt.json").read_text() for name in ("one", "two"))
    assert project.doit().ran == []
    log = (project.result("one") / "log.txt.1").read_text()
    assert project.doit("run", "-a", "-s", "one").ran == ["one"]
    assert (project.result("one") / "log.txt.1").read_text() != log
    assert project.why()["told"][0] == "fresh"
    assert project.doit().ran == []


def test_another_key_with_the_same_result_changes_the_receipt(project: Project) -> None:
    """`two` is cut off, `told` is not: one's receipt now names other sources."""
    with_receipts(project).doit()
    project.write("a.txt", "hello")  # sort ends the line
    states = {name: state for name, (state, _) in project.why().items()}
    assert states == {"one": "will run", "two": MAY_RUN, "told": MAY_RUN}
    assert project.doit().ran == ["one", "told"]


def test_receipts_are_edges(project: Project) -> None:
    project.stage("one", "echo > {out}/o.txt", inputs={"two": receipt_of("two")})
    project.stage("two", "echo > {out}/o.txt", inputs={"one": Output("one", "o.txt")})
    with pytest.raises(ValueError, match="cycle: one -> two -> one"):
        project.graph()
    project.stage("two", "echo > {out}/o.txt", inputs={"x": receipt_of("nowhere")})
    with pytest.raises(ValueError, match=r"receipt.json of nowhere: no such stage"):
        project.graph()
    project.stage("two", "echo > {out}/o.txt", volatile=("o.txt",))
    assert project.graph().plan.order == ["two", "one"], "a stage with nothing to compare has a receipt all the same"
    (task,) = (task for task in project.graph().tasks() if task["basename"] == "one")
    assert task["task_dep"] == ["two"]


def test_receipt_that_was_changed_is_made_again(project: Project) -> None:
    """Components that do not belong to the key would be told as the truth."""
    with_receipts(project).doit()
    path = project.result("one") / "receipt.json"
    receipt = json.loads(path.read_text())
    receipt["components"]["sources"]["a.txt"] = "0" * 64
    path.chmod(0o644)
    path.write_text(json.dumps(receipt))
    reason = project.why()["one"][1][0]
    assert (reason["kind"], reason["new"]) == ("receipt", "does not belong to its key")
    assert project.doit().ran == ["one"]
    assert project.doit().ran == []


# ── The merged JSON ──


def add_provenance(project: Project, *chain: str) -> None:
    """The stage `provenance`, on a copy of the engine's files in the project."""
    names = [f"stages/graph/{name}.py" for name in MODULES]
    for module, name in zip(MODULES, names):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ENGINE / f"{module}.py", project.root / name)
    stages = [project.stages[name] for name in chain]
    project.stages["provenance"] = Stage(
        name="provenance",
        doc="How it was made.",
        run=(
            *("{python}", "-m", "graph.manage.lineage", "--params", "{params}", "--out", "{out}"),
            *(f"{name}={{in.{name}}}" for name in chain),
        ),
        outputs=("provenance.json", "timings.json"),
        volatile=("timings.json",),
        inputs={name: receipt_of(name) for name in chain},
        sources=(files(*names),),
        params={"edges": {each.name: {name: list(made) for name, made in each.inputs.items()} for each in stages}},
        pythonpath=("{snapshot}/stages",),
    )


def a_chain(project: Project) -> None:
    project.write("a.txt", "hello\n")
    project.write("data/b.txt", "b\n")
    project.stage(
        "one",
        'cat a.txt > {out}/o.txt; date +%N > {out}/took; echo "$KIND"',
        outputs=("o.txt", "took"),
        volatile=("took",),
        sources=(files("a.txt"),),
        external={"documents": ("data/b.txt",)},
        params={"one.x": 1},
        env=("KIND",),
        set_env={"WHERE": "{build}/x"},
    )
    project.stage("two", "cat {in.all}/o.txt > {out}/o.txt", inputs={"all": Output("one")})
    add_provenance(project, "one", "two")


def test_provenance_says_how_it_was_made(project: Project) -> None:
    a_chain(project)
    assert project.doit().status == 0
    made = json.loads((project.result("provenance") / "provenance.json").read_text())
    one, two = made["stages"]["one"], made["stages"]["two"]
    assert one["key"] == project.receipt("one")["key"]
    assert one["params"] == {"one.x": 1} and one["profile"] is None
    assert list(one["sources"]) == ["a.txt"]
    assert [each["name"] for each in one["external"]["documents"]] == ["data/b.txt"]
    assert one["environment"] == {"KIND": None, "WHERE": "{build}/x"}
    assert list(one["outputs"]) == ["o.txt"] and one["outputs"]["o.txt"]["size_bytes"] == 6
    assert one["command"][-1].endswith('echo "$KIND"') and "{out}" in one["command"][-1]
    assert two["inputs"]["all"] == {
        "stage": "one",
        "output": "",
        "digest": project.receipt("two")["components"]["inputs"]["all"],
    }
    took = json.loads((project.result("provenance") / "timings.json").read_text())
    assert set(took) == {"one", "two"} and set(took["one"]) == {"started", "duration_s", "host"}


def test_two_places_give_the_same_bytes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = []
    for name in ("here", "a/longer/way/there"):
        root = tmp_path / name
        root.mkdir(parents=True)
        project = Project(root, capfd.readouterr)
        a_chain(project)
        assert project.doit().status == 0
        texts.append((project.result("provenance") / "provenance.json").read_text())
        assert str(tmp_path) not in texts[-1] and str(Path.home()) not in texts[-1]
    assert texts[0] == texts[1]


def test_files_from_outside_are_named_without_their_place(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "private" / "letters.txt"
    outside.parent.mkdir()
    outside.write_text("text")
    project.root = tmp_path / "project"
    project.build = project.root / "build"
    a_chain(project)
    project.stage("one", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),), external={"documents": (outside,)})
    add_provenance(project, "one")
    assert project.doit("provenance").status == 0
    text = (project.result("provenance") / "provenance.json").read_text()
    assert '"name": "letters.txt"' in text and "private" not in text


def test_receipts_of_different_builds_are_refused(project: Project) -> None:
    """`-s` builds one stage and leaves what it needs as it is; then the receipts tell of no one build."""
    a_chain(project)
    project.doit()
    project.write("a.txt", "other\n")
    project.doit("run", "-s", "one")
    result = project.doit("run", "-s", "provenance")
    assert result.status == 1
    assert "input all of two is all of one: two was made from" in result.out
    assert project.doit().status == 0


def test_what_was_accepted_is_told(project: Project) -> None:
    """That a person vouched for a result is part of what the receipt is, and of what is made from it."""
    a_chain(project)
    assert project.doit().status == 0
    receipts = {name: project.receipt(name) for name in ("one", "two")}
    edges = {"one": {}, "two": {"all": ("one", "")}}
    before = digest_in(receipts["two"], "receipt.json")
    assert "accepted" not in merge(receipts, edges)["stages"]["two"]
    difference = {"kind": "external", "name": "documents: /home/me/letters.txt", "old": "1", "new": "2"}
    earlier = {"from": "a key", "differences": [difference]}
    receipts["two"]["accepted"] = {"from": "another key", "differences": [difference], "earlier": earlier}
    told = merge(receipts, edges)["stages"]["two"]["accepted"]
    assert told["from"] == "another key" and "/home/me" not in json.dumps(told)
    assert told["earlier"]["differences"][0]["name"] == "documents: letters.txt"
    assert digest_in(receipts["two"], "receipt.json") != before
    receipts["two"]["run"]["duration_s"] += 1
    receipts["two"].pop("accepted")
    assert digest_in(receipts["two"], "receipt.json") == before, "how the run went is no part of it"


def test_receipt_that_is_not_what_its_key_says() -> None:
    receipt: dict[str, Any] = {"stage": "one", "key": "0" * 64, "components": {}, "outputs": {}}
    with pytest.raises(ValueError, match="receipt of one does not belong to its key 0000000000"):
        merge({"one": receipt}, {})


def test_command_says_what_is_wrong(tmp_path: Path) -> None:
    """Run as the stage runs it, without the rest of the engine."""
    for name in MODULES:
        (tmp_path / "graph" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ENGINE / f"{name}.py", tmp_path / "graph" / f"{name}.py")
    (tmp_path / "params.json").write_text('{"params": {"edges": {}}}')
    command = [sys.executable, "-m", "graph.manage.lineage", "--params", "params.json", "--out", "."]
    for text, message in ((None, "No such file"), ("[]", "list indices"), ('{"stage": "one"}', "lacks 'components'")):
        if text is not None:
            (tmp_path / "one.json").write_text(text)
        done = subprocess.run([*command, "one=one.json"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
