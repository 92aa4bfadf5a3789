"""Volatile outputs: in a folder that is compared, and as inputs of stages that have some themselves."""

from __future__ import annotations

import json
import shutil

import pytest

from stages.graph import Output, files
from tests.graph.project import Project


def a_bundle(project: Project) -> None:
    """one -> bundle, a folder of what `one` made, with its clock beside it."""
    project.write("a.txt", "hello\n")
    project.stage(
        "one",
        "cat a.txt > {out}/o.txt; date +%N > {out}/clock",
        outputs=("o.txt", "clock"),
        volatile=("clock",),
        sources=(files("a.txt"),),
    )
    project.stage(
        "bundle",
        "mkdir {out}/d; cp {in.one} {out}/d/o.txt; cp {in.clock} {out}/d/clock",
        outputs=("d/", "d/clock"),
        volatile=("d/clock",),
        inputs={"one": Output("one", "o.txt"), "clock": Output("one", "clock")},
        links={"d": "d/"},
    )


def test_a_volatile_file_in_a_folder_is_no_part_of_it(project: Project) -> None:
    """The folder has one digest whatever the clock says; the clock is there, and in no key."""
    a_bundle(project)
    assert project.doit().ran == ["one", "bundle"]
    clock = (project.build / "shared" / "d" / "clock").read_text()
    assert clock == (project.result("one") / "clock").read_text()
    before = project.receipt("bundle")
    assert list(before["components"]["inputs"]) == ["one"]
    assert before["outputs"]["d/"]["files"] == 1 and set(before["outputs"]) == {"d/", "d/clock"}

    assert project.doit("run", "-a", "-s", "one").ran == ["one"]
    assert (project.result("one") / "clock").read_text() != clock
    assert project.doit().ran == [], "another clock makes nothing stale"
    assert project.doit("run", "-a", "-s", "bundle").ran == ["bundle"]
    after = project.receipt("bundle")
    assert after["outputs"]["d/clock"] != before["outputs"]["d/clock"]
    assert (after["key"], after["outputs"]["d/"]) == (before["key"], before["outputs"]["d/"])

    project.write("a.txt", "other\n")
    assert project.doit().ran == ["one", "bundle"]
    assert (project.build / "shared" / "d" / "o.txt").read_text() == "other\n"


def test_built_again_it_is_the_same(project: Project) -> None:
    a_bundle(project)
    both = {"outputs": ("d/", "d/t"), "volatile": ("d/t",)}
    project.stage("unlike", "mkdir {out}/d; date +%N > {out}/d/o; date +%N > {out}/d/t", **both)
    project.doit()
    result = project.doit("verify", "--rebuild", "--json")
    rows = {row["stage"]: row for row in json.loads(result.out)["stages"]}
    assert {name: row["rebuilt"] for name, row in rows.items()} == {
        "one": "identical",
        "bundle": "identical",
        "unlike": "differs",
    }
    assert [each["file"] for each in rows["unlike"]["differences"]] == ["d/o"]


@pytest.mark.parametrize("name", ["clock", "o.txt"])
def test_damage_to_either_is_seen(project: Project, name: str) -> None:
    a_bundle(project)
    project.doit()
    path = project.result("bundle") / "d" / name
    path.chmod(0o644)
    path.write_text("damaged\n")
    reasons = project.why()["bundle"][1]
    assert [reason["name"] for reason in reasons] == ["d/clock" if name == "clock" else "d/"]
    assert project.doit("inspect", str(project.build / "shared" / "d")).status == (1 if name == "o.txt" else 0)
    assert project.doit().ran == ["bundle"]


def test_a_copy_of_the_folder_is_known_whatever_its_clock_says(project: Project) -> None:
    a_bundle(project)
    project.doit()
    copied = project.root / "copied"
    shutil.copytree(project.build / "shared" / "d", copied)
    (copied / "clock").chmod(0o644)
    (copied / "clock").write_text("another time\n")
    assert "a copy of d/ of bundle" in project.doit("inspect", str(copied)).out
    (copied / "o.txt").chmod(0o644)
    (copied / "o.txt").write_text("changed\n")
    assert project.doit("inspect", str(copied)).status == 1


def test_what_is_compared_cannot_be_made_from_what_is_not(project: Project) -> None:
    a_bundle(project)
    project.stage("plain", "cp {in.clock} {out}/o.txt", inputs={"clock": Output("one", "clock")})
    with pytest.raises(ValueError, match=r"\['clock'\] differ from run to run and are no input, but of stages"):
        project.graph()
    del project.stages["plain"]
    for path in ("d/", ""):
        project.stage("plain", "cp {in.d}/o.txt {out}/o.txt", inputs={"d": Output("bundle", path)})
        with pytest.raises(ValueError, match=r"\['d/clock'\] differ from run to run"):
            project.graph()


@pytest.mark.parametrize(
    ("outputs", "volatile"), [(("d/", "d/x"), ()), (("d/", "d/x/"), ("d/x/",)), (("d/", "d/e/x"), ("d/",))]
)
def test_only_a_volatile_file_lies_in_another_output(
    project: Project, outputs: tuple[str, ...], volatile: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=r"lies in d/, which covers it; only a volatile file may"):
        project.stage("s", "mkdir -p {out}/d", outputs=outputs, volatile=volatile)
