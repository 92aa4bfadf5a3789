"""Several stages at a time (`doit -n N`): threads that share one cache, one list of commands and one remote store."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from stages.graph import python_sources
from stages.graph.read.statcache import StatCache
from stages.graph.run import process
from tests.graph.project import Project

MODULES = 8  # of each stage, in a circle


def declare_python_stages(project: Project, count: int) -> None:
    for i in range(count):
        project.write(f"p{i}/__init__.py", "")
        for j in range(MODULES):
            project.write(f"p{i}/m{j}.py", f"import p{i}.m{(j + 1) % MODULES}\nx = {i * 100 + j}\n")
        project.stage(f"s{i}", "echo > {out}/o.txt", sources=(python_sources(f"p{i}.m0"),))


def test_stat_cache_is_saved_while_others_fill_it(tmp_path: Path) -> None:
    """A table that grows while it is written or gone through ends the run with a RuntimeError."""
    cache = StatCache(str(tmp_path / "cache.json"))
    errors: list[BaseException] = []

    def fill() -> None:
        for number in range(3_000):
            cache.remember_parsed(f"{number}", ["digest", []])
            cache.remember_tool(f"{number}", [[1]], "1.0")

    filler = threading.Thread(target=fill)

    def use() -> None:
        try:
            while filler.is_alive():
                cache.dirty = True
                cache.save()
                cache.move("/old", "/new")
        except BaseException as error:
            errors.append(error)

    user = threading.Thread(target=use)
    for thread in (filler, user):
        thread.start()
    for thread in (filler, user):
        thread.join()
    cache.save()
    assert errors == []
    assert StatCache(cache.path).tool("1", [[1]]) == "1.0"


def test_python_stages_side_by_side(project: Project) -> None:
    declare_python_stages(project, 40)
    result = project.doit("-n", "4")
    assert (result.status, result.err) == (0, "")
    assert sorted(result.ran) == sorted(project.stages)
    assert project.doit("-n", "4").ran == []


@pytest.mark.slow
def test_two_hundred_python_stages_twenty_times(project: Project) -> None:
    declare_python_stages(project, 200)
    for _ in range(20):
        result = project.doit("-n", "4", "-a")
        assert (result.status, result.err) == (0, "")
        assert len(result.ran) == 200
        (project.build / ".stat-cache.json").unlink()


def test_one_list_of_commands_for_all_threads(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal ends the commands of one `Processes`: were there two, the others' would go on."""
    made: list[object] = []
    init = process.Processes.__init__

    def slow_init(self: process.Processes, *words: object) -> None:
        made.append(self)
        time.sleep(0.05)  # so that the others ask meanwhile
        init(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(process.Processes, "__init__", slow_init)
    session = project.graph().session
    threads = [threading.Thread(target=lambda: session.processes) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
