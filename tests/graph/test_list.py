"""doit list as a table, in terminals of several widths."""

from __future__ import annotations

import re

import pytest

from stages.graph import Output
from tests.graph.project import Project
from tests.graph.terminal import Terminal

LONG = "Puts everything together that a person needs who opens the page, and nothing that such a person does not need."


@pytest.fixture
def project_with_links(project: Project) -> Project:
    """corpus -> page; page is linked to build/tiny/page.txt. Only corpus is built."""
    project.stage("corpus", "echo > {out}/o.txt")
    project.stage(
        "page",
        "echo > {out}/o.txt",
        inputs={"corpus": Output("corpus", "o.txt")},
        scope="tiny",
        links={"page.txt": "o.txt"},
    )
    object.__setattr__(project.stages["page"], "doc", LONG)
    assert project.doit("corpus").status == 0
    return project


def shown(project: Project, columns: int, *words: str, **env: str) -> list[str]:
    """The lines of `doit list`, and none is wider than the terminal."""
    status, lines = Terminal(project, "list", *words, columns=columns, env={"NO_COLOR": "1", **env}).wait()
    assert status == 0 and max(map(len, lines)) <= columns
    return lines


def test_wide_table_says_what_a_task_makes_and_how_long_that_takes(project_with_links: Project) -> None:
    header, corpus, page, *rest = shown(project_with_links, 140)
    assert header.split() == ["task", "makes", "usually"]
    assert re.fullmatch(r"corpus  o.txt +\d\.\d s  Makes corpus\.", corpus)
    assert page.startswith("page    build/tiny/page.txt           Puts everything")
    assert " ".join([page[page.index("Puts") :], *(line.strip() for line in rest)]) == LONG


def test_status_is_what_why_tells(project_with_links: Project) -> None:
    _, corpus, page, *_ = shown(project_with_links, 120, "--status")
    assert corpus.split()[:2] == ["corpus", "fresh"] and page.startswith("page    will run  build/tiny/page.txt")


def test_narrow_terminal_wraps_the_sentence_and_no_name(project_with_links: Project) -> None:
    lines = shown(project_with_links, 60, "page", "-s")
    assert lines[0].split() == ["task", "state"]
    assert lines[1].startswith("page  will run  Puts everything")
    assert all(line.startswith(" " * 16) for line in lines[2:])
    assert " ".join([lines[1][16:], *(line.strip() for line in lines[2:])]) == LONG


def test_sentence_stands_below_where_there_is_no_room(project_with_links: Project) -> None:
    lines = shown(project_with_links, 40, "-s")
    assert lines[:3] == ["corpus  fresh", "  Makes corpus.", "page  will run"]
    assert " ".join(line.strip() for line in lines[3:]) == LONG


def test_pipes_and_dumb_terminals_get_plain_lines(project_with_links: Project) -> None:
    plain = ["corpus  Makes corpus.", f"page    {LONG}"]
    assert project_with_links.doit("list").out.splitlines() == plain
    assert project_with_links.doit("list", "-s").out.splitlines()[0] == "corpus  fresh     Makes corpus."
    assert project_with_links.doit("list", "-q").out.splitlines() == ["corpus", "page"]
    assert shown(project_with_links, 140, TERM="dumb") == plain


def test_pipes_do_not_pay_for_the_table(chain: Project) -> None:
    process = chain.start("list", env={"PYTHONPROFILEIMPORTTIME": "1"})
    result = chain.finish(process)
    assert result.status == 0 and "stages.graph.show.terminal" in result.err and "rich" not in result.err
