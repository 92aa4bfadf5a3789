"""What a terminal shows of a run, while it goes on and afterwards."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from rich.console import Console

from stages.graph import Output, files
from stages.graph.decide.times import expected_times
from stages.graph.show.live import CTRL_C, LiveReport
from tests.graph.project import Project, wait_until
from tests.graph.terminal import HIDE, SHOW, Terminal


def region(report: LiveReport, columns: int, rows: int = 24) -> list[str]:
    """The live region as it would be shown now."""
    out = io.StringIO()
    Console(file=out, width=columns, height=rows, force_terminal=True, no_color=True, color_system=None).print(report)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.fixture
def make_report(monkeypatch: pytest.MonkeyPatch) -> Callable[..., LiveReport]:
    """A report of the tasks a to z; no thread paints it."""
    monkeypatch.setattr(LiveReport, "_show", lambda self: None)

    def make(language: str = "C.UTF-8", names: str = "abcdefghijklmnopqrstuvwxyz") -> LiveReport:
        monkeypatch.delenv("LC_ALL", raising=False)
        monkeypatch.setenv("LANG", language)
        report = LiveReport(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
        tasks = {f"stage-{name}": SimpleNamespace(task_dep=[], actions=[1]) for name in names}
        report.initialize(tasks, list(tasks))
        return report

    return make


def test_rows_are_in_graph_order_with_bars_where_the_usual_time_is_known(
    make_report: Callable[..., LiveReport],
) -> None:
    report = make_report(names="abcd")
    for name, usual_s in (("c", None), ("a", 100.0)):
        report.started(f"stage-{name}", usual_s)
        report.line(f"stage-{name}", "", f"newest of {name}")
    report._running["stage-a"].since -= 50
    first, second, third = region(report, 100)
    assert first[1:] == " stage-a  ━━━━━━━───────  50.0 s of about 1 m 40 s  newest of a"
    assert " ".join(second[1:].split()) == "stage-c 0.0 s newest of c"
    assert first.index("newest") == second.index("newest")
    assert third == "  to come: stage-b, stage-d"


def test_a_stage_that_takes_longer_than_usual_says_so(make_report: Callable[..., LiveReport]) -> None:
    report = make_report()
    report.started("stage-a", 10.0)
    report._running["stage-a"].since -= 12
    assert "━━━━━━━━━━━━━━  12.0 s, usually 10.0 s" in region(report, 100)[0]


@pytest.mark.parametrize("columns", [20, 40, 69, 70, 100])
@pytest.mark.parametrize("language", ["C", "C.UTF-8"])
def test_no_row_fills_the_last_columns(make_report: Callable[..., LiveReport], columns: int, language: str) -> None:
    """The terminal's own ^C behind a full row would wrap, and rewriting would then miss a row."""
    report = make_report(language)
    for name in "abc":
        report.started(f"stage-{name}", 10.0)
        report.line(f"stage-{name}", "", "a\tlong line " * 20)
    lines = region(report, columns)
    assert len(lines) == 4 and max(map(len, lines)) <= columns - CTRL_C
    assert all("0.0 s" in line for line in lines[:3])
    assert "".join(lines).isascii() == (language == "C")


def test_more_stages_than_rows(make_report: Callable[..., LiveReport]) -> None:
    report = make_report()
    for name in "abcdefghij":
        report.started(f"stage-{name}")
    lines = region(report, 200, rows=9)
    assert len(lines) == 7 and [line.split()[1] for line in lines[:5]] == [f"stage-{name}" for name in "abcde"]
    assert lines[5] == "  also running: stage-f, stage-g, stage-h, stage-i, stage-j"
    assert lines[6].startswith("  to come: stage-k, stage-l")


def test_the_time_left(project: Project, make_report: Callable[..., LiveReport]) -> None:
    report = make_report(names="abc")
    inputs = {"a": {}, "b": {"x": Output("stage-a", "o.txt")}, "c": {}}
    for name in "abc":
        project.stage(f"stage-{name}", "true", inputs=inputs[name])
    plan = project.graph().plan
    usual = {"stage-a": 60.0, "stage-b": 30.0, "stage-c": 20.0}
    report.foretell(lambda: usual, plan, 1)
    report.started("stage-a", 60.0)
    report._running["stage-a"].since -= 50
    assert region(report, 100)[-1] == "  about 1 m 00 s left"
    report._at_once = 2
    assert region(report, 100)[-1] == "  about 40 s left"  # a and b wait for each other
    usual["stage-c"] = None  # type: ignore[assignment]
    report._at_once = 1
    assert region(report, 100)[-1] == "  about 40 s left, and what stage-c takes"
    report.ended("stage-a", "built", 60.0)
    report.started("stage-b", 30.0)
    del usual["stage-c"]
    assert region(report, 100)[-1] == "  to come: stage-c"  # one that has its own clock is left


def test_the_time_left_of_many_choices(make_report: Callable[..., LiveReport]) -> None:
    report, left = make_report(names="ab"), [(130.4, ["train"])]
    report.foresee(lambda: left[0])
    report.started("train 3", 60.0)
    assert region(report, 100)[-1] == "  about 2 m 10 s left, and what train takes"
    left[0] = (7.6, [])
    assert region(report, 100)[-1] == "  about 8 s left"
    left[0] = (0.2, [])
    assert "left" not in region(report, 100)[-1]


def test_what_is_expected_to_run(project: Project) -> None:
    project.write("a.txt", "a\n")
    project.stage("one", "sleep 0.2; cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    project.stage("two", "cat {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")})
    project.stage("other", "echo > {out}/o.txt")
    assert expected_times(project.graph().look, ["two"]) == {"one": None, "two": None}
    project.doit()
    assert expected_times(project.graph().look, []) == {}
    project.write("a.txt", "b\n")
    found = expected_times(project.graph().look, [])
    assert list(found) == ["one", "two"] and 0.2 <= (found["one"] or 0) < 100
    assert list(expected_times(project.graph().look, ["other"], anew=lambda stage: True)) == ["other"]


def test_only_the_lines_of_what_is_done_are_left(project: Project) -> None:
    project.stage("a", "for i in 1 2 3; do printf '\\rpart %s' $i; sleep 0.4; done; echo > {out}/o.txt")
    project.stage("b", "sleep 0.3; echo > {out}/o.txt")
    project.stage("c", "seq 40; exit 3", inputs={"a": Output("a", "o.txt"), "b": Output("b", "o.txt")})
    terminal = Terminal(project, "-n", "2", env={"NO_COLOR": "1"})
    status, lines = terminal.wait()
    assert status == 1
    assert terminal.seen.count(HIDE) == terminal.seen.count(SHOW) > 0
    assert b"part " in terminal.seen and b"\x1b[3" not in terminal.seen
    states = [line.split()[:2] for line in lines[:3]]
    assert sorted(states[:2]) == [["built", "a"], ["built", "b"]] and states[2] == ["failed", "c"]
    assert lines[3].startswith("2 built, 1 failed  (")
    assert lines[5].startswith("stage c ended with status 3") and lines[6].startswith("  command: sh -ec ")
    assert lines[8:38] == [f"    {number}" for number in range(11, 41)]
    assert lines[38:] == [f"  log: {project.build}/run/c/log.txt"]


@pytest.mark.parametrize("words", [(), ("-n", "3")])
def test_ctrl_c_gives_the_terminal_back(project: Project, words: tuple[str, ...]) -> None:
    project.stage("first", "echo > {out}/o.txt")
    for name in "abc":
        project.stage(name, "touch {root}/runs; sleep 60; echo > {out}/o.txt", inputs={"x": Output("first", "o.txt")})
    terminal = Terminal(project, *words)
    wait_until((project.root / "runs").exists, what="the first stage")
    terminal.press_ctrl_c()
    status, lines = terminal.wait()
    assert status == 128 + signal.SIGINT
    assert terminal.seen.count(HIDE) == terminal.seen.count(SHOW) > 0
    assert terminal.seen.endswith(b"\n")
    assert [line.split()[:2] for line in lines if line] == [
        ["built", "first"],
        ["1", "built"],
        ["doit:", "stopped"],
    ]


def test_dumb_terminal_gets_plain_lines(project: Project) -> None:
    project.stage("a", "echo said; echo > {out}/o.txt")
    terminal = Terminal(project, env={"TERM": "dumb"})
    status, lines = terminal.wait()
    assert status == 0 and b"\x1b" not in terminal.seen
    assert lines[0] == "a │ said" and lines[1].startswith("built          a  ")
