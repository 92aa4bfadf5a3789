"""Ctrl-C ends a training while it counts and while it merges, and `progress` hears how far the merging is."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pocketlm_tokenizer
import pytest
from pocketlm_tokenizer import Tokenizer, WordCounts

# Words with no end to the pairs that can be merged: seconds of work, of which a test sees the beginning.
GENERATOR = random.Random(0)
WORDS = [("".join(GENERATOR.choices("abcdefghijklmnop", k=40)).encode(), 1) for _ in range(60_000)]


def long_work() -> WordCounts:
    """Words whose merging takes seconds."""
    counts = WordCounts()
    counts.add_items(WORDS)
    return counts


def test_progress_ascends_and_changes_nothing() -> None:
    heard: list[tuple[int, int]] = []
    counts = long_work()
    told = Tokenizer.train_from_counts(counts, 6000, progress=lambda done, wanted: heard.append((done, wanted)))
    assert heard == sorted(heard)
    assert heard
    assert {wanted for _, wanted in heard} == {6000}
    assert told.to_bytes() == Tokenizer.train_from_counts(counts, 6000).to_bytes()


def test_an_exception_of_progress_ends_the_training() -> None:
    def progress(done: int, wanted: int) -> None:
        raise ZeroDivisionError(f"{done} of {wanted}")

    with pytest.raises(ZeroDivisionError, match="of 30000"):
        Tokenizer.train_from_counts(long_work(), 30_000, progress=progress)


# What a person's program does: no Python code runs that could hear the signal, and nothing is caught.
PROGRAM = """
import itertools, random, sys
from pocketlm_tokenizer import Tokenizer, WordCounts

def ready(documents):
    print("ready", flush=True)
    yield from documents

kind, threads = sys.argv[1], int(sys.argv[2])
if kind == "merge":
    letters = random.Random(0)
    counts = WordCounts()
    counts.add_items([("".join(letters.choices("abcdefghijklmnop", k=60)).encode(), 1) for _ in range(400_000)])
    told = []
    def progress(done, wanted):
        if not told:
            told.append(print("ready", flush=True))
    Tokenizer.train_from_counts(counts, 500_000, progress=progress)
elif kind == "documents":
    Tokenizer.train(ready(itertools.repeat("to be or not to be " * 10_000, 100_000)), 300, threads=threads)
else:  # documents so long that a portion is one a thread, without a place where it could be cut
    digits = "0123456789 " * (2 << 20)
    Tokenizer.train(ready([digits] * threads), 300, split="regex:[0-9]| ", threads=threads)
print("not stopped")
"""


@pytest.mark.parametrize(
    ("kind", "threads"), [("merge", 1), ("documents", 1), ("documents", 3), ("long", 1), ("long", 2)]
)
def test_sigint_ends_a_training(kind: str, threads: int) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(_module_path())}
    # In the background of a shell SIGINT is ignored, and Python then leaves it so.
    hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", hears + PROGRAM, kind, str(threads)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.3)  # into the work; whether it comes sooner or later it must be heard
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "not stopped" not in out, "the work is too short for the test"
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors
    assert "panicked" not in errors


def _module_path() -> Iterator[str]:
    """Where the process finds the module that is tested here."""
    file = pocketlm_tokenizer.__file__
    assert file is not None
    yield os.path.dirname(os.path.dirname(file))
    yield from filter(None, [os.environ.get("PYTHONPATH")])
