"""Slots: commands that run at the same time share cores and memory, and never a GPU."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from pathlib import Path

import pytest

from stages.graph import Graph, Stage, StageFailed
from stages.graph.run.slots import Slots, gpus, machine
from tests.graph.project import Project, wait_until


def spans(project: Project) -> dict[str, tuple[float, float]]:
    """When each command ran, as `timed` wrote it down."""
    return {
        path.name: (float(begin), float(end))
        for path in (project.root / "spans").iterdir()
        for begin, end in [path.read_text().split()]
    }


def timed(project: Project, name: str, wait_for: str = "", **fields: object) -> None:
    """A stage that notes when it ran, and where asked waits for another that runs at the same time."""
    (project.root / "spans").mkdir(exist_ok=True)
    span = project.root / "spans" / name
    begun = project.root / "begun-"
    waits = f"touch {begun}{name}; until [ -e {begun}{wait_for} ]; do sleep 0.05; done; " if wait_for else ""
    line = f"b=$(date +%s.%N); {waits}sleep 0.4; echo $CUDA_VISIBLE_DEVICES > {{out}}/o.txt"
    line += f"; echo $b $(date +%s.%N) > {span}"
    project.stage(name, line, **fields)


def overlap(one: tuple[float, float], two: tuple[float, float]) -> bool:
    return max(one[0], two[0]) < min(one[1], two[1])


@pytest.fixture(autouse=True)
def gpus_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's GPUs nor its locks."""
    locks = tmp_path / "locks"
    locks.mkdir()
    monkeypatch.setenv("TMPDIR", str(locks))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")


def test_two_never_share_a_gpu_and_others_run_beside(project: Project) -> None:
    for name in ("g1", "g2", "g3"):
        timed(project, name, wait_for="beside", resources={"gpu": 1})
    timed(project, "beside", wait_for="g1")
    assert project.doit("-n", "2").status == 0
    found = spans(project)
    for one, two in (("g1", "g2"), ("g1", "g3"), ("g2", "g3")):
        assert not overlap(found[one], found[two])


def test_no_more_at_a_time_than_asked_for(project: Project) -> None:
    for number in range(8):
        timed(project, f"s{number}", resources={"gpu": 1} if number < 3 else {})
    assert project.doit("-n", "2").status == 0
    found = list(spans(project).values())
    for begin, _ in found:
        assert sum(one <= begin < end for one, end in found) <= 2


def test_each_of_two_sees_its_own(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    for name, other in (("g1", "g2"), ("g2", "g1")):
        timed(project, name, wait_for=other, resources={"gpu": 1})
    timed(project, "both", resources={"gpu": 5})
    assert project.doit("-n", "3").status == 0
    found = spans(project)
    assert not overlap(found["both"], found["g1"]) and not overlap(found["both"], found["g2"])
    seen = {name: (project.result(name) / "o.txt").read_text().strip() for name in found}
    assert {seen["g1"], seen["g2"]} == {"4", "7"} and seen["both"] == "4,7"


def test_a_gpu_that_another_run_has(project: Project) -> None:
    other = Slots({}, ["0"], lambda: False)
    timed(project, "g1", resources={"gpu": 1})
    with other.hold({"gpu": 1}, lambda what: None):
        build = project.start()
        wait_until(lambda: (project.build / "store/.tmp-g1").exists())
        time.sleep(0.8)
        assert not (project.root / "spans/g1").exists()
    assert project.finish(build).status == 0 and (project.root / "spans/g1").exists()


def test_what_the_machine_does_not_have_limits_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
    for name in ("g1", "g2"):
        timed(project, name, wait_for="g2" if name == "g1" else "g1", resources={"gpu": 1, "memory_gb": 0.001})
    assert project.doit("-n", "2").status == 0


def test_resources_are_in_no_key(project: Project) -> None:
    timed(project, "g1", resources={"gpu": 1})
    project.doit()
    timed(project, "g1", resources={"cores": 2, "memory_gb": 8})
    assert project.why()["g1"][0] == "fresh"


@pytest.mark.parametrize("amount", [-1, "two", True, float("nan")])
def test_an_amount_that_cannot_be(amount: object) -> None:
    with pytest.raises(ValueError, match=r"stage a: resource gpu is .*; give a number, 0 or more"):
        Stage("a", "A.", run=("true",), outputs=("o",), resources={"gpu": amount})  # type: ignore[dict-item]


def test_a_resource_of_the_projects_own(tmp_path: Path) -> None:
    stage = Stage("a", "A.", run=("true",), outputs=("o",), resources={"licence": 1})
    with pytest.raises(ValueError, match="stage a takes licence: there are cores, memory_gb, gpu, and what Graph"):
        Graph([stage], root=tmp_path, build=tmp_path / "build")
    graph = Graph([stage], root=tmp_path, build=tmp_path / "build", resources={"licence": 1})
    with graph.session.slots.hold(stage.resources, lambda what: None):
        assert graph.session.slots._free("licence") == 0


def test_the_machine() -> None:
    found = machine()
    assert 1 <= found["cores"] <= (os.cpu_count() or 1) and 0.1 < found["memory_gb"] < 1e5


def test_never_more_than_there_is() -> None:
    """Threads that take and give at random, beside the sum of what they hold."""
    have, chosen = {"cores": 4.0, "memory_gb": 8.0}, random.Random(2)
    slots, held, guard = Slots(have, ["0", "1", "2"], lambda: False), list[dict[str, float]](), threading.Lock()
    devices: list[str] = []
    wrong: list[object] = []

    def work(wants: list[dict[str, float]]) -> None:
        for wanted in wants:
            with slots.hold(wanted, lambda what: None) as variables:
                mine = variables.get("CUDA_VISIBLE_DEVICES", "0,1,2").split(",") if wanted["gpu"] else []
                with guard:
                    held.append(wanted)
                    devices.extend(mine)
                    for name, there in have.items():
                        if sum(min(each[name], there) for each in held) > there:
                            wrong.append(list(held))
                    if len(set(devices)) < len(devices) or len(mine) != min(3, wanted["gpu"]):
                        wrong.append(list(devices))
                time.sleep(0.001)
                with guard:
                    held.remove(wanted)
                    for each in mine:
                        devices.remove(each)

    def wants() -> dict[str, float]:
        return {"cores": chosen.randint(0, 6), "memory_gb": chosen.uniform(0, 9), "gpu": chosen.randint(0, 4)}

    threads = [threading.Thread(target=work, args=([wants() for _ in range(20)],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and slots._held == [] and slots._gpus == ["0", "1", "2"]


def test_all_of_it_is_free_again_after_many_parts() -> None:
    """Taken from 1 and given back by turns, 0.1, 0.2 and 0.3 leave 0.9999999999999999, where the sum is kept."""
    slots = Slots({"memory_gb": 1.0}, [], lambda: True)  # what would wait fails
    for _ in range(100):
        with contextlib.ExitStack() as stack:
            for part in (0.1, 0.2, 0.3):
                stack.enter_context(slots.hold({"memory_gb": part}, lambda what: None))
    with slots.hold({"memory_gb": 1.0}, lambda what: None):
        pass


def test_what_waits_is_stopped() -> None:
    stopping = threading.Event()
    slots = Slots({"cores": 1}, [], stopping.is_set)
    with slots.hold({"cores": 1}, lambda what: None):
        with pytest.raises(StageFailed, match="stopped"), slots.hold({"cores": 1}, lambda what: stopping.set()):
            pass
