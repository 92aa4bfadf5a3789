"""What a graph refuses when it is declared: places that two stages, or a stage and the engine, would both use."""

from __future__ import annotations

import pytest

from tests.graph.project import Project


def test_two_stages_with_one_public_link(project: Project) -> None:
    """Each would take the link from the other at every run, and neither would ever be fresh."""
    for name in "ab":
        project.stage(name, f"echo {name} > {{out}}/o.txt", links={"o": "o.txt"})
    with pytest.raises(ValueError, match="stages a and b both make the link build/shared/o; rename one"):
        project.graph()
    project.stage("b", "echo b > {out}/o.txt", scope="other", links={"o": "o.txt"})
    assert project.doit().ran == ["a", "b"]
    assert project.doit().ran == []


def test_a_link_below_another(project: Project) -> None:
    project.stage("a", "mkdir {out}/d", outputs=("d/",), links={"d": "d/"})
    project.stage("b", "echo b > {out}/o.txt", links={"d/o": "o.txt"})
    with pytest.raises(ValueError, match="stage b makes the link build/shared/d/o, below build/shared/d, a link of a"):
        project.graph()


@pytest.mark.parametrize("link", ["../o", "/o", "a/../../o", ".current/s", ""])
def test_a_link_that_leads_elsewhere(project: Project, link: str) -> None:
    project.stage("s", "echo > {out}/o.txt", links={link: "o.txt"})
    with pytest.raises(ValueError, match="is not a plain relative name"):
        project.graph()


@pytest.mark.parametrize("scope", ["verify", "run", "store", "partial", ".current", "a/b", "..", ""])
def test_a_scope_that_the_engine_uses_itself(project: Project, scope: str) -> None:
    """`verify --rebuild` would remove the links of a scope `verify`, and gc those of `run`."""
    project.stage("s", "echo > {out}/o.txt", scope=scope)
    with pytest.raises(ValueError, match="stage s: its links cannot live in build/"):
        project.graph()
