"""Token shards: what is written is read back, and every damaged byte is noticed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketlm_tokenizer import Tokenizer, safe_cut

from training.data import documents, shard_file, shard_writer
from training.data.parts import cut_between_words

TEXTS = ["the sea and the sky\n", "a small boat\n", "", "\u00e9t\u00e9 <|endoftext|>\n"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, vocab_size=270)


def in_parts(texts: list[str], nbytes: int = 3) -> list[list[str]]:
    """Each text as `documents.read` gives it, in small parts."""
    return [
        list(cut_between_words((text[i : i + nbytes] for i in range(0, len(text), nbytes)), safe_cut)) for text in texts
    ]


def expected(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    """The stream, in the plainest way."""
    return [token for text in texts for token in [0, *tokenizer.encode(text)]]


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [3, 1], [4]])
def test_shards_are_one_stream(tmp_path: Path, tokenizer: Tokenizer, sizes: list[int]) -> None:
    """sizes: documents of each shard."""
    parts, counts = iter(in_parts(TEXTS)), []
    for number, size in enumerate(sizes):
        counts.append(shard_writer.write(tmp_path, "train", itertools.islice(parts, size), tokenizer, number))
    n_tokens, n_bytes = map(sum, zip(*counts, strict=True))
    stream = shard_file.open_split(tmp_path, "train")
    want = expected(tokenizer, TEXTS)
    assert stream.read(0, stream.n_tokens).tolist() == want
    assert (stream.n_tokens, stream.text_nbytes, stream.n_documents) == (n_tokens, n_bytes, len(TEXTS))
    assert n_bytes == sum(len(text.encode()) for text in TEXTS)
    assert [len(shard.document_starts) for shard in stream.shards] == sizes
    starts = np.concatenate([shard.document_starts for shard in stream.shards])
    assert len(starts) == len(TEXTS)
    for start in range(0, n_tokens, 3):  # reads that begin, end and pass over shard borders
        for n in (1, 2, 7, n_tokens - start):
            part = stream.read(start, min(n, n_tokens - start))
            assert part.tolist() == want[start : start + n]


@settings(max_examples=25)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("shards")
    trained = Tokenizer.train(TEXTS, vocab_size=270)
    shard_writer.write(folder, "val", in_parts(texts), trained)
    stream = shard_file.open_split(folder, "val")
    tokens = stream.read(0, stream.n_tokens).tolist()
    ends = [*stream.shards[0].document_starts.tolist(), stream.n_tokens]
    assert [trained.decode(tokens[a + 1 : b]) for a, b in pairwise(ends)] == texts


def test_every_byte_counts(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Each byte of a shard, changed in two ways, and each length but the right one, is an error that names the file."""
    shard_writer.write(tmp_path, "val", in_parts(TEXTS[:2]), tokenizer)
    path = tmp_path / "val-00000.tokens"
    good = path.read_bytes()
    for at in range(len(good)):
        for flip in (0x01, 0x80):
            path.write_bytes(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :])
            with pytest.raises(ValueError, match=r"val-00000\.tokens: .*; build the shards again"):
                shard_file.open_shard(path)
    for length in [*range(0, len(good), 7), len(good) - 1]:
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match="build the shards again"):
            shard_file.open_shard(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(ValueError, match="bytes, expected"):
        shard_file.open_shard(path)
    path.write_bytes(good)
    shard_file.open_shard(path)


def swap_version(data: bytes) -> bytes:
    return data[:8] + data[8:12][::-1] + data[12:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"POCKETLM" + data[8:], "not a token shard: magic b'POCKETLM'"),
        (swap_version, "written in the other byte order"),
        (lambda data: data[:8] + b"\x03" + data[9:], "version 3, expected 1 or 2"),
        (lambda data: data[:100], "100 bytes are fewer than the header's 128"),
        (lambda data: data[:140] + b"\xff" + data[141:], "sha256 of the payload is"),
    ],
)
def test_errors_say_what_is_wrong(
    tmp_path: Path, tokenizer: Tokenizer, damage: Callable[[bytes], bytes], message: str
) -> None:
    shard_writer.write(tmp_path, "val", in_parts(TEXTS), tokenizer)
    path = tmp_path / "val-00000.tokens"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError) as raised:
        shard_file.open_split(tmp_path, "val")
    assert message in str(raised.value)


def test_a_missing_shard_and_a_foreign_one(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="no train shards"):
        shard_file.open_split(tmp_path, "train")
    for number, parts in enumerate(in_parts(TEXTS)):
        shard_writer.write(tmp_path, "train", [parts], tokenizer, number)
    (tmp_path / "train-00001.tokens").rename(tmp_path / "kept")
    with pytest.raises(ValueError, match=r"train-00001\.tokens is missing"):
        shard_file.open_split(tmp_path, "train")
    shard_writer.write(tmp_path, "other", in_parts(TEXTS), Tokenizer.train(TEXTS, vocab_size=260))
    (tmp_path / "other-00000.tokens").rename(tmp_path / "train-00001.tokens")
    with pytest.raises(ValueError, match="made with another tokenizer"):
        shard_file.open_split(tmp_path, "train")


def test_the_tokenizer_must_be_the_shards_own(tiny: Path, tmp_path: Path) -> None:
    stream = shard_file.open_split(tiny / "shards", "val")
    shard_file.check_tokenizer(stream, tiny / "tokenizer")
    (tmp_path / "tokenizer.tok").write_bytes(Tokenizer.train(TEXTS, vocab_size=300).to_bytes())
    with pytest.raises(ValueError, match="is not the tokenizer of the shards"):
        shard_file.check_tokenizer(stream, tmp_path)


def test_the_tiny_shards_hold_the_corpus(tiny: Path) -> None:
    for name in documents.SPLITS:
        stream = shard_file.open_split(tiny / "shards", name)
        tokenizer = Tokenizer.load(tiny / "tokenizer" / "tokenizer.tok")
        texts = ["".join(parts) for _, parts in documents.read(tiny / "corpus", name, safe_cut, 1000)]
        assert stream.read(0, stream.n_tokens).tolist() == expected(tokenizer, texts)
