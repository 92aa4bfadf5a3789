"""A whole build, killed again and again: what was finished stays finished, and the end is the undisturbed bytes.

In `doit test` the compiled stages are there already, and training is real; in `doit test --slow` everything is real,
and a kill may hit cargo, wasm-opt, vite or torch.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from stages import paths
from tests.pipeline.conftest import REAL_WORDS, Copy, finished, linked, outputs

COMPILED = ("wheel", "wasm", "npm", "page")
BETWEEN = "the run itself"  # no command was running


def killed(copy: Copy, build: Path, seconds: float) -> bool:
    """Run the build and end it with SIGKILL after so long, as the kernel does when memory is short: the run alone,
    its commands are its supervisors' to end. False where it was done before.
    """
    run = subprocess.Popen(
        copy.command(*REAL_WORDS),
        cwd=copy.root,
        env={**copy.env, "POCKETLM_BUILD": str(build)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = run.communicate(timeout=seconds)
        assert run.returncode == 0, said
        return False
    except subprocess.TimeoutExpired:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        return True


def receipts(build: Path) -> dict[str, int]:
    """Key and inode of every finished result's receipt: a stage that runs again writes another file."""
    return {key: (build / "store" / key / "receipt.json").stat().st_ino for key in finished(build)}


def stage_hit(build: Path) -> str:
    """The stage whose log is not with a result: its command was running."""
    logs = list(build.glob("run/*/log.txt"))
    for log in logs:
        log.unlink()
    return " and ".join(log.parent.name for log in logs) or BETWEEN


Made = dict[str, dict[str, bytes]]  # stage -> file -> its bytes


def made(build: Path) -> Made:
    """Everything that a build is compared by."""
    return {stage: outputs(result) for stage, result in linked(build).items()}


def check_equal(build: Path, undisturbed: Made) -> None:
    """Every output, byte for byte; and nothing lies about."""
    found = made(build)
    assert found.keys() == undisturbed.keys()
    for stage, expected in undisturbed.items():
        assert found[stage] == expected, f"{stage} is not what the undisturbed build made"
    left = [path for path in build.glob("partial/*/*/*") if path.name != "extend"]  # that one a longer run goes on from
    assert not left and not list(build.glob("partial/*/done")) and not list(build.glob("store/.tmp-*"))


def kill_build(copy: Copy, build: Path, undisturbed: Made, kills: int, longest_s: float, seed: int) -> dict[str, int]:
    """One build from where `build` stands to its end, hit by so many kills (fewer if it ends before), each up to
    `longest_s` after the start or restart. Returns how often each stage was what a kill hit.
    """
    moments = random.Random(seed)
    hits: dict[str, int] = {}
    before = receipts(build)
    while sum(hits.values()) < kills and killed(copy, build, moments.uniform(0.2, longest_s)):
        hit = stage_hit(build)
        hits[hit] = hits.get(hit, 0) + 1
        now = receipts(build)
        assert before.items() <= now.items(), f"a finished stage was lost or ran again; hit: {hit}"
        before = now
    copy.doit(*REAL_WORDS, build=build)
    assert before.items() <= receipts(build).items(), "a finished stage ran again"
    check_equal(build, undisturbed)
    return hits


def forget_results(build: Path) -> None:
    """Cargo's folders stay, as they do for a person, with what a kill left in them; but our own crates are compiled
    anew, so that kills hit cargo too (its dependencies take minutes, and are to a kill as our crates are).
    """
    for folder in build.glob("*"):
        if folder.is_dir() and folder.name not in ("run", "tools"):
            shutil.rmtree(folder)
    for fingerprint in build.glob("run/cargo*/**/.fingerprint/pocketlm*"):
        shutil.rmtree(fingerprint)


def kill_builds(
    copy: Copy, build: Path, undisturbed: Made, kills: int, a_build: int, longest_s: float, compiled: Sequence[Path]
) -> dict[str, int]:
    """Builds one after another until so many kills hit them. compiled: results that are there from the beginning."""
    hits: dict[str, int] = {}
    builds = 0
    while sum(hits.values()) < kills:
        forget_results(build)
        for result in compiled:
            shutil.copytree(result, build / "store" / result.name)
        left = min(a_build, kills - sum(hits.values()))
        found = kill_build(copy, build, undisturbed, left, longest_s, seed=builds)
        hits = {stage: hits.get(stage, 0) + found.get(stage, 0) for stage in {*hits, *found}}
        builds += 1
        print(f"\nbuild {builds}: the kills hit {found}", flush=True)
    return hits


def test_five_kills(tmp_path: Path) -> None:
    """Real training; what is compiled comes from the build around us."""
    copy, build = Copy(tmp_path / "pocketlm"), tmp_path / "build"
    copy.with_tools()
    compiled = [path.resolve() for stage in COMPILED for path in paths.BUILD.glob(f"*/.current/{stage}")]
    assert len(compiled) == len(COMPILED)
    for result in compiled:
        shutil.copytree(result, build / "store" / result.name)
    copy.doit(*REAL_WORDS, build=build)
    assert {result.name for result in compiled} <= {result.name for result in linked(build).values()}
    hits = kill_builds(copy, build, made(build), kills=5, a_build=5, longest_s=6.0, compiled=compiled)
    assert hits.keys() - {BETWEEN}, "no kill hit a running command: this tested nothing"


@pytest.mark.slow
def test_more_than_twenty_kills_for_real(real: Copy) -> None:
    build = real.root / "build"
    real.doit(*REAL_WORDS)
    undisturbed = made(build)
    forget_results(build)
    began = time.monotonic()
    real.doit(*REAL_WORDS)  # the compilers' own folders are warm now, as they are from here on
    longest_s = time.monotonic() - began
    began = time.monotonic()
    hits = kill_builds(real, build, undisturbed, kills=24, a_build=4, longest_s=longest_s, compiled=())
    print(f"\n24 kills in {time.monotonic() - began:.0f} s hit {hits}")
    assert len(hits) > 3, f"the kills hit too few kinds of moment: {hits}"
