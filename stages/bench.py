"""bench: install what a benchmark compares with, then run it as a process of its own.

In: a name of BENCHES. Out: its table on the terminal; its exit status.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys

from stages import paths, tools
from stages.graph import Graph
from stages.graph.run.setup import ensure

BENCHES = {"build": "tests.bench.build"}


def run_bench(graph: Graph, name: str, quick: bool) -> int:
    """Run one benchmark; Ctrl-C reaches it through the terminal, and its clean-up is waited for.

    Raises StageFailed where its tools cannot be installed, LockHeld where a build runs meanwhile.
    """
    graph.session.lock.acquire()
    try:
        ensure(graph.session, tools.BENCH)
    finally:
        graph.session.lock.release()
    process = subprocess.Popen([sys.executable, "-m", BENCHES[name], *(["--quick"] if quick else [])], cwd=paths.ROOT)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
