"""What a command is told, or is made of, that is in no key; and what a run may go on from."""

from __future__ import annotations

import json
import os
import time

import pytest

from stages.graph import Stage, python_sources
from tests.graph.project import Project

TELL = "cat {params} > {out}/told.json; echo > {out}/o.txt"


def told(project: Project) -> dict[str, object]:
    return dict(json.loads((project.result("s") / "told.json").read_text()))


def declare(project: Project, every: int, size: int = 1) -> None:
    project.stage(
        "s",
        TELL,
        outputs=("o.txt", "told.json"),
        volatile=("told.json",),
        params={"model.size": size},
        runtime={"model.save_every": every, "sample.prompts": ["a"]},
    )


def test_a_runtime_value_reaches_the_command_and_makes_nothing_stale(project: Project) -> None:
    declare(project, every=5)
    assert project.doit().ran == ["s"]
    assert told(project)["params"] == {"model": {"size": 1}}
    assert told(project)["runtime"] == {"model": {"save_every": 5}, "sample": {"prompts": ["a"]}}
    declare(project, every=60)
    assert project.why()["s"] == ("fresh", [])
    assert project.doit().ran == []
    declare(project, every=60, size=2)
    assert project.doit().ran == ["s"]
    assert told(project)["runtime"] == {"model": {"save_every": 60}, "sample": {"prompts": ["a"]}}


def test_the_receipt_has_the_values_of_the_run(project: Project) -> None:
    declare(project, every=5)
    project.doit()
    receipt = json.loads((project.result("s") / "receipt.json").read_text())
    assert receipt["run"]["runtime"] == {"model.save_every": 5, "sample.prompts": ["a"]}
    assert "save_every" not in json.dumps(receipt["components"])


def test_a_name_is_in_the_key_or_is_not() -> None:
    with pytest.raises(ValueError, match=r"stage s: x\.a is in params and in runtime"):
        Stage("s", "S.", ["true"], ["o"], params={"x.a": 1, "x.b": 2}, runtime={"x.a": 1})


def with_display(project: Project) -> None:
    project.write("pack/__init__.py", "")
    project.write("pack/main.py", "from pack import display\nprint(display.TEXT)\n")
    project.write("pack/display.py", "from pack import shared\nTEXT = 'one'\n")
    project.write("pack/shared.py", "")
    command = "{python} -m pack.main > {out}/o.txt"
    sources = (python_sources("pack.main", unkeyed=("pack/display.py",)),)
    project.stage("s", command, sources=sources, pythonpath=("{snapshot}",))


def test_an_unkeyed_source_is_used_and_makes_nothing_stale(project: Project) -> None:
    with_display(project)
    assert project.doit().status == 0
    assert (project.result("s") / "o.txt").read_text() == "one\n"
    project.write("pack/display.py", "from pack import shared\nTEXT = 'two'\n")
    assert project.doit().ran == []
    project.write("pack/shared.py", "X = 1\n")  # what only the display imports counts, unless it is named too
    assert project.doit().ran == ["s"]
    assert (project.result("s") / "o.txt").read_text() == "two\n"


def test_an_unkeyed_source_counts_where_another_declaration_needs_it(project: Project) -> None:
    with_display(project)
    both = (python_sources("pack.main", unkeyed=("pack/display.py",)), python_sources("pack.display"))
    project.stage("s", "echo > {out}/o.txt", sources=both)
    project.doit()
    project.write("pack/display.py", "from pack import shared\nTEXT = 'two'\n")
    assert project.doit().ran == ["s"]


def test_an_unkeyed_source_that_is_not_imported_is_an_error(project: Project) -> None:
    with_display(project)
    project.write("pack/main.py", "")
    result = project.doit()
    assert result.status != 0
    assert "pack/display.py: unkeyed, but pack.main does not import it" in result.out + result.err


COUNT = (
    "n=$(cat {partial}/n 2>/dev/null || echo 0); echo $n > {out}/o.txt; "
    "steps=$(sed -n 's/.*\"steps\": \\([0-9]*\\).*/\\1/p' {params}); echo $steps > {partial}/n; "
    "mkdir {partial}/done; echo > {partial}/done/checkpoint"
)


def counting(project: Project, steps: int, size: int = 1) -> str:
    params = {"train.steps": steps, "train.size": size}
    project.stage("s", COUNT, params=params, resumable=True, resumes_over=(("params", "train.steps"),))
    assert project.doit().ran == ["s"]
    return (project.result("s") / "o.txt").read_text().strip()


def test_a_run_goes_on_from_one_that_differs_in_what_it_resumes_over(project: Project) -> None:
    assert counting(project, 10) == "0"
    assert counting(project, 20) == "10"
    assert counting(project, 30, size=2) == "0"
    assert counting(project, 40) == "20"
    left = [path.name for path in (project.build / "partial").rglob("*") if path.is_file()]
    assert left == ["n", "n"]  # of either size; what was done is gone


def test_nothing_is_kept_where_the_command_leaves_nothing(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt", resumable=True, resumes_over=(("params", "train.steps"),))
    project.doit()
    assert list((project.build / "partial").iterdir()) == []


def test_gc_keeps_what_todays_stage_would_go_on_from(project: Project) -> None:
    counting(project, 10)
    counting(project, 10, size=2)
    kept = {path.name for path in (project.build / "partial").iterdir()}
    old = time.time() - 10 * 86_400
    for path in (project.build / "partial").rglob("*"):
        os.utime(path, (old, old))
        os.utime(path.parent, (old, old))
    project.doit("gc", "--keep", "10GB")
    left = {path.name for path in (project.build / "partial").iterdir()}
    assert len(kept) == 2 and len(left) == 1 and left < kept
    assert counting(project, 11, size=2) == "10"
