"""The engine beside others: decode, prefill, time to the first token and peak memory, of the same weights.

    python -m tests.bench.engine [--quick] [--models 1M 15M 135M] [--dtypes q8_0]
        [--places native] [--threads 1]

In: what `doit bench engine` builds and installs. Out: a table of medians with ratios on the terminal, and all runs in
build/run/bench-engine/engine.json. The engines of a setting take turns, a new process each time. What is not there or
fails is said and left out.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages import paths
from tests.bench.engine import table
from tests.bench.engine.peers import BROWSER, NATIVE, OURS, PEERS, SMOLLM2, WEBGPU, Job, Missing, Peer, has_threads, run

MODELS = ("1M", "15M", "135M")
THREADS = (1, 2)
DTYPES = ("q4_0", "q8_0", "f32")
ROUNDS, QUICK_ROUNDS = 3, 1
OUT = paths.BUILD / "run" / "bench-engine"
# Tokens read and then written: half the context of the models each, as `pocketlm bench` has it.
TOKENS = {NATIVE: (128, 128), BROWSER: (128, 128), WEBGPU: (64, 32)}


def show(line: str) -> None:
    print(line, flush=True)


def write_model(folder: Path, model: str, dtype: str) -> None:
    """Write a model's files. Raises Missing where there is nothing to make them of."""
    if model == "135M" and not SMOLLM2.is_file():
        raise Missing("type ./doitw export preset=smollm2")
    run([sys.executable, "-m", "tests.bench.engine.models", model, dtype, folder])


def measure(job: Job, peers: Sequence[Peer], rounds: int) -> table.Setting:
    """Let the engines take turns."""
    setting = table.Setting(job)
    for _ in range(rounds):
        for peer in peers:
            if peer.name in setting.left_out:
                continue
            try:
                setting.runs.setdefault(peer.name, []).append(peer.measure(job))
            except Missing as missing:
                setting.left_out[peer.name] = str(missing)
                setting.runs.pop(peer.name)
    return setting


def settings(folder: Path, model: str, dtype: str, given: argparse.Namespace) -> list[tuple[Job, list[Peer]]]:
    """Every place and number of threads in which someone else has this dtype, too."""
    made = []
    for place in given.places:
        for threads in given.threads:
            able = [peer for peer in PEERS if peer.place == place and dtype in peer.dtypes and threads in peer.threads]
            if len(able) > 1:
                made.append((Job(folder, model, dtype, place, threads, *TOKENS[place]), able))
    return made


def main(given: argparse.Namespace) -> None:
    """The whole table; the JSON is written anew after each setting."""
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    began, load = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC", os.getloadavg()[0]
    show(f"{began}, {os.cpu_count()} cores, load {load:.1f}; medians of {rounds}; ÷: ours is so many times faster\n")
    if NATIVE in given.places and 2 in given.threads and not has_threads():
        show(f"{OURS} takes one thread: beside two it runs on one.\n")
    print(*table.heading(), sep="\n", flush=True)
    done: list[dict[str, Any]] = []
    for model, dtype in itertools.product(given.models, given.dtypes):
        with tempfile.TemporaryDirectory(dir=OUT) as name:
            try:
                write_model(Path(name), model, dtype)
            except Missing as missing:
                show(f"{model} {dtype} left out: {missing}")
                continue
            for job, peers in settings(Path(name), model, dtype, given):
                setting = measure(job, peers, rounds)
                print(*table.lines(setting), sep="\n", flush=True)
                done.append({**table.as_json(setting), "load": os.getloadavg()[0]})
                report = {"began": began, "cores": os.cpu_count(), "rounds": rounds, "settings": done}
                (OUT / "engine.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    show(f"\nload {os.getloadavg()[0]:.1f} at the end; every run is in {OUT / 'engine.json'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench engine")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--places", nargs="+", choices=tuple(TOKENS), default=tuple(TOKENS))
    parser.add_argument("--threads", nargs="+", type=int, choices=THREADS, default=THREADS)
    given = parser.parse_args()
    # `doit bench` ends us so: what runs then is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    OUT.mkdir(parents=True, exist_ok=True)
    given.models = given.models or (MODELS[:2] if given.quick else MODELS)
    main(given)
