"""The page while a text grows: what a first load takes, and how busy the main thread is at 200 tokens a second.

    python -m tests.bench.page [--quick] [--out FILE] BUNDLE

In: a bundle, as `doit bench page` builds it. Out: a table on the terminal, and every run in FILE,
build/run/bench-page/page.json where none is named. The engine runs on the CPU in a worker and is held back to that
rate, so what is measured is the page's own work; a model that is slower writes as fast as it can.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from stages import paths, preview, tools
from stages.serving import answering
from tests.bench.page.trace import Load, frames, load, tasks

OUT = paths.BUILD / "run" / "bench-page" / "page.json"
TOKENS_PER_S = 200
MOST_MS = 8.0  # of the main thread, a frame
LIMIT_S = 600  # of one run; ends what hangs
VIEWS = {"plain": False, "shaded": True}  # shaded: "Show surprise" is on
ROWS = (
    ("first paint of text", "first_paint_ms", "ms"),
    ("ready to write", "ready_ms", "ms"),
    ("tokens a second", "tokens_per_s", ""),
    ("shift of the layout", "shift", ""),
)


def show(line: str = "") -> None:
    print(line, flush=True)


def measure(address: str, shaded: bool, quick: bool) -> dict[str, Any]:
    """One visit: figures of its load, and of the tasks and frames while it writes. Raises SystemExit where it fails."""
    asked = {"tokens_per_s": TOKENS_PER_S, "after_tokens": 300 if quick else 1500, "seconds": 3 if quick else 8}
    with tempfile.TemporaryDirectory(prefix="pocketlm-bench-") as folder:
        trace = Path(folder) / "trace.json"
        script = Path(__file__).resolve().parent / "page.mjs"
        argv = ["node", script, paths.NODE_MODULES / "playwright-core", tools.chromium() or "", address, trace]
        done = subprocess.run(
            [*map(str, argv), json.dumps({**asked, "shaded": shaded})],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_S,
        )
        if done.returncode != 0:
            raise SystemExit(f"the page could not be measured: {done.stderr.strip()}")
        found = tasks(json.loads(trace.read_bytes())["traceEvents"])
    return {
        **json.loads(done.stdout),
        "task_ms": load([task.cpu_ms for task in found])._asdict(),
        "frame_ms": load(frames(found))._asdict(),
    }


def medians(runs: list[dict[str, Any]], name: str) -> Load:
    """Each figure's own median."""
    return Load(*(median(run[name][part] for run in runs) for part in Load._fields))


def main(given: argparse.Namespace) -> None:
    """The whole table; the views take turns."""
    rounds = 1 if given.quick else 3
    began = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    show(f"{began}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {given.bundle}; medians of {rounds}\n")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in VIEWS}
    with answering(preview.server(given.bundle)) as http:
        for _ in range(rounds):
            for name, shaded in VIEWS.items():
                runs[name].append(measure(f"http://localhost:{http.server_port}/", shaded, given.quick))
    show(f"| | {' | '.join(VIEWS)} |\n|---|{'---|' * len(VIEWS)}")
    for label, name, unit in ROWS:
        figures = [f"{median(run[name] for run in each):.5g} {unit}".strip() for each in runs.values()]
        show(f"| {label} | {' | '.join(figures)} |")
    for label, name in (("a task", "task_ms"), ("a frame of 16.7 ms, all tasks", "frame_ms")):
        told = [medians(each, name) for each in runs.values()]
        for part in Load._fields:
            figures = [f"{getattr(each, part):.1f} ms" for each in told]
            show(f"| {label}, {part} | {' | '.join(figures)} |")
    show(f"\nThe processor's time of the main thread; {MOST_MS:.0f} ms a frame are the aim.")
    show(f"load {os.getloadavg()[0]:.1f} at the end")
    report = {"began": began, "cores": os.cpu_count(), "bundle": str(given.bundle), "runs": runs}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=1), encoding="utf-8")
    show(f"Every run is in {given.out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench page")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("bundle", type=Path, nargs="?", default=os.environ.get("BENCH_BUNDLE"))
    # `doit bench` ends us so: what runs then is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(parser.parse_args())
