"""Counting apart from merging: portions, threads, machines and weights add up to the whole."""

from __future__ import annotations

import _thread
import itertools
import signal
import threading
from collections import Counter

import hf_oracle as oracle
import pytest
from pocketlm_tokenizer import Tokenizer, TokenizerError, WordCounts, split

DOCUMENTS = [document for documents in oracle.DOCUMENTS.values() for document in documents]


def test_counts_are_those_of_the_split() -> None:
    words = WordCounts("cl100k")
    words.add(DOCUMENTS)
    expected = Counter(piece.encode() for document in DOCUMENTS for piece in split(document, "cl100k"))
    assert dict(words.items()) == expected
    assert (len(words), words.split) == (len(expected), "cl100k")


@pytest.mark.parametrize("threads", [2, 3, None])
def test_threads_change_nothing(threads: int | None) -> None:
    expected = Tokenizer.train(DOCUMENTS, 3000).to_bytes()
    assert Tokenizer.train(DOCUMENTS, 3000, threads=threads).to_bytes() == expected
    assert Tokenizer.train(DOCUMENTS * 30, 3000, threads=threads).to_bytes() == (
        Tokenizer.train(DOCUMENTS * 30, 3000).to_bytes()
    )


def test_counts_of_two_machines_add_up() -> None:
    here, there, elsewhere = WordCounts(), WordCounts(), WordCounts()
    here.add(DOCUMENTS[::2])
    there.add(DOCUMENTS[1::2], threads=2)
    elsewhere.add_items(there.items())
    here.merge(elsewhere)
    assert Tokenizer.train_from_counts(here, 3000).to_bytes() == Tokenizer.train(DOCUMENTS, 3000).to_bytes()


def test_a_weight_is_so_many_copies() -> None:
    words = WordCounts("llama3")
    words.add(DOCUMENTS[:3], weight=5)
    words.add(DOCUMENTS[3:])
    expected = Tokenizer.train(DOCUMENTS[:3] * 5 + DOCUMENTS[3:], 2000, split="llama3", min_frequency=3)
    assert Tokenizer.train_from_counts(words, 2000, min_frequency=3).to_bytes() == expected.to_bytes()


def test_what_cannot_be_counted_is_refused() -> None:
    words = WordCounts()
    with pytest.raises(TokenizerError, match="weight=0"):
        words.add(["x"], weight=0)
    with pytest.raises(TokenizerError, match="threads=0"):
        words.add(["x"], threads=0)
    with pytest.raises(TypeError, match="one str"):
        words.add("x")
    with pytest.raises(TokenizerError, match="split"):
        words.merge(WordCounts("qwen2"))
    with pytest.raises(TokenizerError, match="hold no text"):
        Tokenizer.train_from_counts(words, 300)
    words.add_items([(b"", 3), (b"no", 0)])
    assert len(words) == 0


def test_ctrl_c_ends_the_counting() -> None:
    words = WordCounts()
    documents = itertools.repeat("to be or not to be " * 10_000, 3_000)  # no Python code runs that could hear it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    timer = threading.Timer(0.05, _thread.interrupt_main)
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            words.add(documents)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert len(words) == 0, "nothing is counted by half"
