"""What `exp run` and `exp show` cost beside DVC's, on the same pipeline (projects.py).

In: DVC of locks/bench.txt in build/tools/bench (`doit bench experiments` puts it there), and git. Out: a table.
Ours is started as doitw starts it (start.py).
Running: seconds on the clock for each experiment, since DVC's workers are processes of their own; in batches that take
turns. Showing: CPU seconds, the best of rounds that take turns. `python -m tests.bench.experiments [--quick]`.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import cost
from tests.bench.experiments.projects import DVC, ROOT, weights, write

BATCHES, BATCH = 4, 5  # experiments that are timed: queued in DVC, one worker
SHOWN, QUICK_SHOWN = 200, 20  # experiments in the tables
ROUNDS = 5
GIT = {f"GIT_{who}_{what}": "bench@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Bench:
    """Both projects."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = folder / "ours", folder / "dvc"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("POCKETLM_")},
            **GIT,
            **dict.fromkeys(("XDG_CACHE_HOME", "DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR"), str(folder / "cache")),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPATH": str(ROOT),
            "DVC_NO_ANALYTICS": "1",
            "DVC_DAEMON": "0",
            "PATH": f"{DVC.parent}{os.pathsep}{os.environ['PATH']}",  # its worker looks for dvc there
            "HOME": str(folder / "home"),
        }
        (folder / "home").mkdir()
        write(self.ours, "ours")
        write(self.theirs, "dvc")
        for argv in (["git", "init", "-q"], [DVC, "init", "-q"]):
            self.run(self.theirs, argv)
        self.exp("run")  # what all share
        self.dvc("repro")
        for argv in (["git", "add", "-A"], ["git", "commit", "-qm", "the pipeline"]):
            self.run(self.theirs, argv)

    def exp(self, *words: str) -> tuple[float, float]:
        return self.run(self.ours, [sys.executable, "-m", "tests.bench.experiments.start", "exp", *words])

    def dvc(self, *words: str) -> tuple[float, float]:
        return self.run(self.theirs, [DVC, *words])

    def run(self, folder: Path, argv: Sequence[str | Path]) -> tuple[float, float]:
        return cost.run(argv, folder, self.env, folder.parent / "log.txt")

    def batch(self, seeds: Sequence[int]) -> tuple[float, float, float]:
        """Seconds on the clock of these experiments: (ours, DVC's queueing, DVC's running)."""
        ours = self.exp("run", "train.seed=" + ",".join(map(str, seeds)))[0]
        queued = sum(self.dvc("exp", "run", "--queue", "-S", f"train.seed={seed}")[0] for seed in seeds)
        return ours, queued, self.dvc("exp", "run", "--run-all", "-j", "1")[0]

    def write_experiments(self, seeds: Sequence[int]) -> None:
        """Commit what `dvc exp run` leaves of these: the files that differ, on the last commit. To run one takes DVC
        ten seconds on a quiet machine, and `exp show` reads the commits alone.
        """
        base = self.git("rev-parse", "HEAD").decode().strip()
        made = self.git("for-each-ref", "--format=%(refname)", f"refs/exps/{base[:2]}/{base[2:]}").decode().split()[0]
        lock, params, summary = (
            self.git("show", f"{made}:{name}").decode() for name in ("dvc.lock", "params.yaml", "summary.json")
        )
        seed = params.split()[-1]
        stream = []
        for each in seeds:
            values = {
                "params.yaml": params.replace(seed, str(each)),
                "summary.json": json.dumps({"loss": each % 7 + 5}),
            }
            values["dvc.lock"] = (
                lock.replace(f"train.py {seed} ", f"train.py {each} ")
                .replace(f"train.seed: {seed}\n", f"train.seed: {each}\n")
                .replace(_md5(summary), _md5(values["summary.json"]))
                .replace(_md5(weights(seed)), _md5(weights(each)))
                .replace(f"size: {len(weights(seed))}", f"size: {len(weights(each))}")
            )
            stream.append(f"commit refs/exps/{base[:2]}/{base[2:]}/made-{each}\n")
            stream.append(f"committer bench <bench@localhost> {time.time():.0f} +0000\n")
            message = f"dvc: commit experiment {_md5(str(each)) * 2}"
            stream.append(f"data {len(message)}\n{message}\nfrom {base}\n")
            stream += [f"M 100644 inline {name}\ndata {len(text)}\n{text}\n" for name, text in values.items()]
        self.git("fast-import", "--quiet", given="".join(stream).encode())

    def git(self, *words: str, given: bytes = b"") -> bytes:
        argv = ["git", *words]
        return subprocess.run(
            argv, cwd=self.theirs, env=self.env, input=given, stdout=subprocess.PIPE, check=True
        ).stdout

    def count(self) -> int:
        """How many rows DVC shows; ours must be as many."""
        self.dvc("exp", "show", "--csv")
        return len((self.theirs.parent / "log.txt").read_text().splitlines())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def main(quick: bool) -> None:
    """Measure and print. Everything is made in a temporary folder, which goes however this ends."""
    shown, batches = (QUICK_SHOWN, 1) if quick else (SHOWN, BATCHES)
    with tempfile.TemporaryDirectory(prefix="bench-exp-") as name:
        bench = Bench(Path(name))
        timed = []
        for at in range(batches):
            timed.append(bench.batch(range(1 + at * BATCH, 1 + (at + 1) * BATCH)))
            one, queue, both = timed[-1]
            print(f"  {BATCH}: ours {one:.1f} s, DVC {queue:.1f} + {both:.1f} s", file=sys.stderr, flush=True)
        ours, queued, run = (min(each) / BATCH for each in zip(*timed))
        rest = range(1 + batches * BATCH, 1 + shown)
        print(f"  {len(rest)} more", file=sys.stderr, flush=True)
        bench.exp("run", "train.seed=" + ",".join(map(str, rest)))
        bench.write_experiments(rest)
        rows = bench.count()
        shows = [(bench.exp("show")[1], bench.dvc("exp", "show", "--md")[1]) for _ in range(ROUNDS)]
    mine, theirs = (min(each) for each in zip(*shows))
    print(f"{'':<44}{'here':>9}{'DVC':>9}{'ratio':>9}")
    print(f"{'an experiment, on the clock (s)':<44}{ours:>9.2f}{queued + run:>9.2f}{ours / (queued + run):>8.3f}×")
    print(f"{f'exp show, {shown} experiments, CPU time (s)':<44}{mine:>9.3f}{theirs:>9.3f}{mine / theirs:>8.3f}×")
    print(f"\nDVC: {queued:.2f} s to queue one, {run:.2f} s to run it; the best of {batches} batches of {BATCH}")
    print(f"DVC's table has {rows} lines; the best of {ROUNDS} rounds by turns")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
    try:
        main("--quick" in sys.argv[1:])
    except RuntimeError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
