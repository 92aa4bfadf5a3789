"""Kills, signals, and two runs at once: finished stages stay finished, nothing half-written is believed, no process
stays behind.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.graph import Output, files
from stages.graph.run import supervisor
from tests.graph.project import RUN_DOIT, Project, is_alive, wait_until

SLOW = "i=0; while [ $i -lt 100 ]; do echo $i >> {out}/o.txt; i=$((i+1)); sleep 0.1; done"


def pid_in(path: Path) -> int:
    """The PID that a command wrote."""
    wait_until(lambda: path.exists() and path.read_text().strip(), what=str(path))
    return int(path.read_text())


def slow_family(project: Project, trap: str = "") -> None:
    """A stage whose command has a child and a grandchild in a session of its own; they write their PIDs."""
    grandchild = f"{trap} echo \\$\\$ > {project.root}/grandchild; while :; do sleep 0.1; done"
    project.stage("slow", f'{trap} echo $$ > "{{root}}/child"; setsid sh -c "{grandchild}" & {SLOW}')


def test_each_process_is_signalled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group at once, and of those outside it each; a shell's trap would run twice, and a second request kills."""
    told: list[int] = []
    kill = os.kill

    def noted(pid: int, number: int) -> None:
        told.append(pid)
        kill(pid, number)

    monkeypatch.setattr(os, "kill", noted)
    leader, other = (subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2))
    supervisor._send([leader.pid, other.pid], leader.pid, signal.SIGTERM)
    assert told == [other.pid]
    assert leader.wait() == other.wait() == -signal.SIGTERM


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("words", [[], ["-n", "2"]], ids=["serial", "parallel"])
def test_signal_ends_children_and_grandchildren(
    project: Project, number: signal.Signals, status: int, words: list[str]
) -> None:
    project.stage("quick", "echo 1 > {out}/o.txt")
    slow_family(project)
    process = project.start(*words)
    family = [pid_in(project.root / "child"), pid_in(project.root / "grandchild")]
    wait_until(lambda: (project.build / "shared/.current/quick").exists())
    process.send_signal(number)
    result = project.finish(process)
    assert result.status == status
    assert f"stopped by {number.name}" in result.err
    assert [pid for pid in family if is_alive(pid)] == []
    assert not (project.build / "shared/.current/slow").exists()
    assert sorted(project.doit("why").out.split()[:2]) == ["fresh", "quick"]
    assert project.doit("quick").ran == []


def test_deaf_children_are_killed_after_the_grace(project: Project) -> None:
    slow_family(project, trap="trap '' TERM;")
    project.grace_s = 0.5
    process = project.start()
    family = [pid_in(project.root / "child"), pid_in(project.root / "grandchild")]
    process.terminate()
    assert project.finish(process).status == 143
    assert [pid for pid in family if is_alive(pid)] == []


def test_second_signal_leaves_no_grace(project: Project) -> None:
    """Sent once the first has reached the command: two that come at once may be one."""
    grandchild = f"trap '' TERM; echo \\$\\$ > {project.root}/grandchild; while :; do sleep 0.1; done"
    child = 'trap "echo > {root}/told" TERM; while :; do sleep 0.1 || :; done'
    project.stage("slow", f'echo $$ > "{{root}}/child"; setsid sh -c "{grandchild}" & {child}')
    project.grace_s = 600
    process = project.start()
    family = [pid_in(project.root / "child"), pid_in(project.root / "grandchild")]
    process.send_signal(signal.SIGINT)
    wait_until((project.root / "told").exists, what="the first signal")
    process.send_signal(signal.SIGINT)
    assert project.finish(process, timeout=project.grace_s / 2).status == 130
    assert [pid for pid in family if is_alive(pid)] == []


def test_command_that_ends_well_when_stopped_is_not_published(project: Project) -> None:
    for words in ([], ["-n", "2"]):
        project.stage(
            "s", 'trap "exit 0" TERM; echo half > {out}/o.txt; echo $$ > "{root}/child"; while :; do sleep 0.05; done'
        )
        process = project.start(*words)
        pid_in(project.root / "child")
        process.terminate()
        assert project.finish(process).status == 143
        assert not (project.build / "shared").exists()
        (project.root / "child").unlink()


def test_kill_takes_the_children_along(project: Project) -> None:
    """After SIGKILL of the run, its supervisor ends the command, and the next run waits for that."""
    slow_family(project)
    process = project.start()
    family = [pid_in(project.root / "child"), pid_in(project.root / "grandchild")]
    process.kill()
    process.wait()
    project.stage("slow", "echo done > {out}/o.txt")
    result = project.doit()
    assert (result.status, result.ran) == (0, ["slow", "slow"])
    assert [pid for pid in family if is_alive(pid)] == []
    assert (project.result("slow") / "o.txt").read_text() == "done\n"
    assert not [p.name for p in (project.build / "store").iterdir() if p.name.startswith(".tmp")]


def test_background_process_does_not_outlive_its_command(project: Project) -> None:
    """What a command leaves running could write into the result after it was published."""
    project.stage("s", 'echo 1 > {out}/o.txt; sh -c "echo \\$\\$ > {root}/child; while :; do sleep 0.1; done" &')
    assert project.doit().status == 0
    assert not is_alive(pid_in(project.root / "child"))


def wait_for_a_stage(project: Project, process: subprocess.Popen[str]) -> list[str]:
    """The first stages that run in this process; none if it ends before."""
    ran: list[str] = []

    def something_happened() -> bool:
        ran.extend(project.ran())
        return bool(ran) or process.poll() is not None

    wait_until(something_happened)
    return ran


def test_kill_at_random_moments(project: Project) -> None:
    """E2, E8: a kill forgets nothing that was finished, and half a file is never taken for a whole one. Ends equal
    to an undisturbed run.
    """
    half = "for i in 1 2 3 4 5; do echo $i >> {out}/o.txt; sleep 0.03; done; cat {in.before} >> {out}/o.txt"
    project.write("a.txt", "0\n")
    project.stage("s0", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    for i in range(1, 5):
        project.stage(f"s{i}", half, inputs={"before": Output(f"s{i - 1}", "o.txt")})
    generator = random.Random(7)
    finished: set[str] = set()
    ran: list[str] = []
    for _ in range(8):
        process = project.start()
        now = wait_for_a_stage(project, process)
        time.sleep(generator.uniform(0.0, 0.3))
        process.kill()
        process.communicate()
        now += project.ran()
        assert not finished & set(now), "a finished stage ran again"
        ran += now
        finished |= {link.name for link in (project.build / "shared/.current").glob("*")}
    assert len(ran) > len(set(ran)), "no kill hit a running stage: the test tests nothing"
    assert project.doit().status == 0
    want = "1\n2\n3\n4\n5\n" * 4 + "0\n"
    assert (project.result("s4") / "o.txt").read_text() == want
    assert project.doit().ran == []


def test_kill_between_publish_and_link(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is in the store: it is linked, not made again."""
    from stages.graph.run import build as builder

    project.stage("s", "echo 1 > {out}/o.txt")
    monkeypatch.setattr(builder._Build, "_link", lambda self, key: None)
    project.doit()
    monkeypatch.undo()
    assert project.ran() == [] and not (project.build / "shared").exists()
    assert project.doit().ran == []
    assert (project.result("s") / "o.txt").exists()


def test_resume_from_partial(project: Project) -> None:
    """A long stage goes on where it was killed; what it kept is gone after it is published, and another key starts
    anew.
    """
    count = (
        "cd {partial}; n=$(cat n 2>/dev/null || echo 0); while [ $n -lt 30 ]; do n=$((n+1)); echo $n > t; mv t n; "
        'echo step >> "{root}/steps"; sleep 0.02; done; echo $n > {out}/o.txt'
    )
    project.stage("s", count, resumable=True)
    process = project.start()
    wait_until(lambda: (project.root / "steps").exists() and (project.root / "steps").read_text().count("step") > 5)
    process.kill()
    process.communicate()
    done = (project.root / "steps").read_text().count("step")
    result = project.doit()
    assert result.status == 0
    assert (project.root / "steps").read_text().count("step") <= 31 and done < 30
    assert (project.result("s") / "o.txt").read_text() == "30\n"
    assert list((project.build / "partial").iterdir()) == []


def test_killed_between_publishing_and_tidying(project: Project) -> None:
    """The result is in the store, the link and the end of what was kept are still to come."""
    project.stage("s", "echo kept > {partial}/n; cp {partial}/n {out}/o.txt; echo {partial}", resumable=True)
    project.doit()
    kept = re.findall("partial/([0-9a-f]{64})\n", (project.result("s") / "log.txt").read_text())[-1]
    project.write(f"build/partial/{kept}/n", "kept\n")
    (project.build / "shared/.current/s").unlink()
    assert "1 from the store" in project.doit().out
    assert list((project.build / "partial").iterdir()) == []


def test_two_runs_at_once(project: Project) -> None:
    """E7: stock doit lets both run. The second exits 75 and names the first; list and why need no lock."""
    project.stage("s", 'echo $$ > "{root}/child"; sleep 30; echo > {out}/o.txt')
    first = project.start()
    pid_in(project.root / "child")
    try:
        second = project.run()
        assert second.status == 75
        assert f"another run (PID {first.pid}) holds" in second.err
        misspelt = project.run("ss")
        assert misspelt.status == 2 and "did you mean s?" in misspelt.err
        assert second.ran == ["s"]  # the first's
        assert project.run("list").status == 0
        why = project.run("why")
        assert (why.status, why.out.split()[:3]) == (0, ["s", "will", "run"])
        assert project.run("clean").status == 75
    finally:
        first.terminate()
        assert project.finish(first).status == 143


def test_lock_is_held_by_the_command_too(project: Project) -> None:
    """While an orphaned command still runs, nobody else starts."""
    project.stage("s", 'trap "" TERM; echo $$ > "{root}/child"; while :; do echo >> "{root}/beats"; sleep 0.1; done')
    project.grace_s = 3.0
    process = project.start()
    child = pid_in(project.root / "child")
    process.kill()
    process.wait()
    assert is_alive(child)
    count = 'wc -l < "{root}/beats"'
    project.stage("s", f"before=$({count}); sleep 0.5; test $({count}) -eq $before; echo > {{out}}/o.txt")
    assert project.doit().status == 0
    assert not is_alive(child)


def test_parallel(project: Project) -> None:
    """E10: `-n 2` works by threads. Two stages run at once, and the third waits for both."""
    for name in ("a", "b"):
        other = "b" if name == "a" else "a"
        wait = f"i=0; while [ ! -e {project.root}/{other} ]; do sleep 0.02; i=$((i+1)); [ $i -lt 300 ]; done"
        project.stage(name, f"echo > {project.root}/{name}; {wait}; echo {name} > {{out}}/o.txt")
    project.stage("c", "cat {in.a} {in.b} > {out}/o.txt", inputs={"a": Output("a", "o.txt"), "b": Output("b", "o.txt")})
    result = project.doit("-n", "2")
    assert result.status == 0, result.out
    assert sorted(result.ran) == ["a", "b", "c"]
    assert (project.result("c") / "o.txt").read_text() == "a\nb\n"
    assert project.doit("-n", "2").ran == []


def test_parallel_failure(project: Project) -> None:
    project.stage("good", "sleep 0.3; echo > {out}/o.txt")
    project.stage("bad", "exit 1")
    project.stage("after", "echo > {out}/o.txt", inputs={"bad": Output("bad", "o.txt")})
    result = project.doit("-n", "2")
    assert result.status == 1 and "after" not in result.ran
    assert "stage bad ended with status 1" in result.out


def test_continue_after_a_failure(project: Project) -> None:
    project.stage("bad", "exit 1")
    project.stage("after", "echo > {out}/o.txt", inputs={"bad": Output("bad", "o.txt")})
    project.stage("other", "echo > {out}/o.txt")
    result = project.doit("--continue")
    assert (result.status, result.ran) == (1, ["bad", "other"])


def test_output_of_killed_run_is_swept(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt")
    leftover = project.build / "store/.tmp-s-dead"
    leftover.mkdir(parents=True)
    (leftover / "o.txt").write_text("half")
    os.chmod(leftover, 0o555)
    project.doit()
    assert not leftover.exists()


def test_installers_end_with_the_run(project: Project) -> None:
    """SIGTERM ends an installer's grandchild too, in a session of its own."""
    project.write(
        "dodo.py",
        "from pathlib import Path\nfrom stages.graph import *\n"
        f"ROOT = Path({str(project.root)!r})\n"
        "def install(run):\n    run(['sh', '-c', 'setsid sleep 60 & echo $! > pid; wait'], cwd=ROOT)\n"
        "SETUP = Setup('x', 'X.', lambda: False, install)\n"
        "STAGE = Stage(name='s', doc='S.', run=('true',), outputs=('o',), needs=(SETUP,))\n"
        "GRAPH = Graph([STAGE], root=ROOT, build=ROOT / 'build', grace_s=1.0)\n"
        "DOIT_CONFIG = GRAPH.doit_config()\ndef task_all():\n    yield from GRAPH.tasks()\n",
    )
    process = subprocess.Popen([sys.executable, str(RUN_DOIT), "s"], cwd=project.root)
    pid = project.root / "pid"
    wait_until(lambda: pid.exists() and pid.read_text().strip(), what="the installer")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    assert not is_alive(int(pid.read_text()))


def test_sigint_ends_both_branches(project: Project) -> None:
    """-n 2 runs two stages at once, and one signal ends both."""
    for name in ("a", "b"):
        project.stage(name, f"echo $$ > {{root}}/{name}.pid; sleep 60; echo > {{out}}/o.txt")
    process = project.start("-n", "2")
    pids = [project.root / f"{name}.pid" for name in ("a", "b")]
    wait_until(lambda: all(path.exists() and path.read_text().strip() for path in pids), what="both branches")
    process.send_signal(signal.SIGINT)
    assert project.finish(process).status == 128 + signal.SIGINT
    assert not any(is_alive(int(path.read_text())) for path in pids)


def test_a_background_command_gives_way(project: Project) -> None:
    project.stage("a", "nice > {out}/o.txt", background=True)
    project.stage("b", "nice > {out}/o.txt")
    project.doit()
    inner, outer = (int((project.result(name) / "o.txt").read_text()) for name in ("a", "b"))
    assert inner == os.nice(0) + 5 and outer == os.nice(0)
