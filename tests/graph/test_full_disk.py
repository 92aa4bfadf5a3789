"""A full disk, on a small file system in memory: what was finished stays finished, nothing half-written is believed, a
message says what to do, and once there is room the run goes on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.graph import Output, files
from tests.graph.project import Project

PAGE = 4096
SIZE = 1 << 20


@pytest.fixture
def small(project: Project) -> Iterator[Project]:
    """a.txt -> one -> two -> three, with the build folder on a file system of 1 MiB."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command to make a small file system with")
    project.build.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "pocketlm-test", str(project.build)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()} (it takes root)")
    try:
        project.write("a.txt", "hello\n" * 2000)
        project.stage("one", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
        project.stage("two", "cat {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")})
        project.stage("three", "tr a-z A-Z < {in.two} > {out}/o.txt", inputs={"two": Output("two", "o.txt")})
        yield project
    finally:
        subprocess.run(["umount", "-l", str(project.build)], check=True)


def leave(build: Path, nbytes: int) -> None:
    """Fill the file system up to `nbytes`, a multiple of the page size."""
    filler = build / "filler"
    filler.unlink(missing_ok=True)
    free = shutil.disk_usage(build).free - nbytes
    assert free >= 0, f"only {free + nbytes} bytes are free"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free) if free else None
    assert shutil.disk_usage(build).free == nbytes


def believed(project: Project) -> dict[str, str]:
    """The stages that the engine takes for finished, and what they hold."""
    fresh = [stage for stage, (state, _) in project.why().items() if state in ("fresh", "comes from the store")]
    return {stage: (project.result(stage) / "o.txt").read_text() for stage in fresh if linked(project, stage)}


def linked(project: Project, stage: str) -> bool:
    return (project.build / "shared/.current" / stage).is_symlink()


WANTED = {"one": "hello\n" * 2000, "two": "hello\n" * 2000, "three": "HELLO\n" * 2000}


def test_full_at_every_moment(small: Project) -> None:
    """With 0, 1, 2, ... pages left: the lock, the snapshot, the log, an output, the receipt, a link or the stat cache
    is what does not fit. Each run ends well or with the message, and the next one goes on from there.
    """
    failed_while: set[str] = set()
    for pages in range(200):
        for entry in small.build.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        leave(small.build, pages * PAGE)
        result = small.doit()
        finished = set(result.ran) & set(believed(small))
        assert all(WANTED[stage] == text for stage, text in believed(small).items()), f"{pages} pages left"
        said = result.out + result.err
        assert "Traceback" not in said, said
        if result.status == 0:
            break
        assert result.status == 1 and "the disk is full: " in said, said
        assert f"on the file system at {small.build}; make room there (`doit gc`" in said, said
        failed_while |= {line.split(":")[0] for line in said.splitlines() if line.startswith(("stage ", "doit"))}
        (small.build / "filler").unlink()
        again = small.doit()
        assert again.status == 0, again.out + again.err
        assert not finished & set(again.ran), f"{pages} pages left: a finished stage ran again"
        assert believed(small) == WANTED
        assert small.doit().ran == []
    else:
        raise AssertionError("it never fitted")
    assert believed(small) == WANTED
    assert len(failed_while) >= 4, f"the disk was full only in {failed_while}"


def test_command_that_fills_the_disk(small: Project) -> None:
    small.stage("big", "head -c 4000000 /dev/zero > {out}/o.txt")
    result = small.doit("--continue")
    assert result.status == 1
    assert "stage big ended with status 1" in result.out and "No space left on device" in result.out
    tail = result.out[result.out.index("stage big ended") :]
    assert "the disk is full: " in tail and "what was finished is kept" in tail
    assert believed(small) == WANTED  # its output was removed, so the others had room
    small.stage("big", "head -c 4000 /dev/zero > {out}/o.txt")
    assert small.doit().ran == ["big"]


def test_error_that_is_no_full_disk_says_nothing_of_it(project: Project) -> None:
    project.stage("s", "exit 1")
    assert "the disk is full" not in project.doit().out
