"""Memory while a stream of random words is encoded: the caches are full after a few megabytes, and then nothing grows.

That a cache keeps its bound at every step is tested beside it (rust/tokenizer/src/encode/cache.rs).
"""

from __future__ import annotations

import subprocess
import sys

import pytest

# A process of its own: the most memory that one ever took is known of a whole process alone.
PROGRAM = """
import resource
import sys

import numpy as np
from pocketlm_tokenizer import Tokenizer

PIECE, DOCUMENTS = 4_000_000, 8
generator = np.random.default_rng(0)
tokenizer = Tokenizer.train(["the quick brown fox jumps over the lazy dog " * 9], 300)
for megabytes in map(int, sys.argv[1:]):
    for _ in range(megabytes * 1_000_000 // PIECE):
        letters = generator.integers(ord("a"), ord("z") + 1, PIECE, np.uint8)
        letters[generator.integers(0, PIECE, PIECE // 7)] = ord(" ")
        text = letters.tobytes().decode("ascii")
        documents = [text[at : at + PIECE // DOCUMENTS] for at in range(0, PIECE, PIECE // DOCUMENTS)]
        tokenizer.encode_batch_array(documents, threads=2)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.parametrize(
    ("first_mb", "more_mb"), [(16, 32), pytest.param(100, 900, marks=pytest.mark.slow)], ids=["48 MB", "1 GB"]
)
def test_memory_is_bounded_while_random_words_are_encoded(first_mb: int, more_mb: int) -> None:
    command = [sys.executable, "-c", PROGRAM, str(first_mb), str(more_mb)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, last = map(int, done.stdout.split())
    assert last - first <= 8 << 20, f"{first:,} bytes after {first_mb} MB, {last:,} after {more_mb} MB more"
