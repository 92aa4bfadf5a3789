"""bench: install what a benchmark compares with, then run it as a process of its own.

In: a name of BENCHES, and what it measures of ours, built. Out: its table on the terminal; its exit status.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stages import paths, tools
from stages.graph import Graph, Setup, StageFailed
from stages.graph.run.setup import ensure
from stages.train import KEEP_LARGE_BLOCKS


class Bench(NamedTuple):
    """One benchmark: `python -m module`."""

    module: str
    setups: tuple[Setup, ...]  # what it runs on, and what it compares with
    builds: tuple[str, ...] = ()  # the tasks whose results it measures
    python: Path = Path(sys.executable)
    path: tuple[Path, ...] = ()  # where Python finds what was built
    told: Callable[[], dict[str, str]] = dict  # variables of its environment
    peers: tuple[Setup, ...] = ()  # more to compare with; what cannot be installed is said, and left out


def _where_the_tools_are() -> dict[str, str]:
    """For the rows of wasm; what is not there is not named."""
    named = {"BENCH_CARGO_TARGET": str(paths.BUILD / "run" / "cargo-wasm-alone")}
    if paths.NODE_MODULES.is_dir():
        named["BENCH_NODE_MODULES"] = str(paths.NODE_MODULES)
    stamp = paths.TOOLS / "wasm-path"
    if stamp.is_file():
        named["BENCH_WASM_PATH"] = stamp.read_text(encoding="utf-8")
    if program := tools.chromium():
        named["BENCH_CHROMIUM"] = program
    return named


def _where_the_bundle_is() -> dict[str, str]:
    """The one of the preset that was asked for."""
    from stages.project import SETTINGS

    return {"BENCH_BUNDLE": str(paths.preset_dir(SETTINGS.preset) / "web")}


BENCHES = {
    "build": Bench("tests.bench.build", (tools.BENCH,)),
    "experiments": Bench("tests.bench.experiments", (tools.BENCH,)),
    "tokenizer": Bench(
        "tests.bench.tokenizer",
        (tools.BENCH_TOKENIZER,),
        builds=("wheel",),
        python=paths.TOOLS / "bench-tokenizer" / "bin" / "python",
        path=(paths.ROOT, paths.WHEEL),
        told=_where_the_tools_are,
    ),
    "engine": Bench(
        "tests.bench.engine",
        (tools.TORCH, tools.IMPORT),
        builds=("wheel", "cli", "wasm"),
        path=(paths.ROOT, paths.WHEEL),
        peers=(tools.NODE_PACKAGES, tools.BROWSER, tools.BENCH_ENGINE, tools.BENCH_ENGINE_PACKAGES),
    ),
    "train": Bench(
        "tests.bench.train",
        (tools.TORCH, tools.BENCH_TRAIN),
        builds=("wheel",),
        path=(paths.ROOT, paths.WHEEL),
        told=lambda: {"GLIBC_TUNABLES": KEEP_LARGE_BLOCKS},
    ),
    "page": Bench("tests.bench.page", (tools.NODE_PACKAGES, tools.BROWSER), builds=("web",), told=_where_the_bundle_is),
}


def run_bench(graph: Graph, name: str, quick: bool) -> int:
    """Run one benchmark; Ctrl-C reaches it through the terminal, and its clean-up is waited for.

    Raises StageFailed where its tools cannot be installed, LockHeld where a build runs meanwhile.
    """
    bench = BENCHES[name]
    graph.session.lock.acquire()
    try:
        for setup in bench.setups:
            ensure(graph.session, setup)
        for setup in bench.peers:
            try:
                ensure(graph.session, setup)
            except StageFailed as failed:
                print(failed, file=sys.stderr, flush=True)
    finally:
        graph.session.lock.release()
    found = {"PYTHONPATH": os.pathsep.join(map(str, bench.path))} if bench.path else {}
    env = {**os.environ, **found, **bench.told()}
    command = [str(bench.python), "-m", bench.module, *(["--quick"] if quick else [])]
    process = subprocess.Popen(command, cwd=paths.ROOT, env=env)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
