"""`doit evaluate` against the plainest computation of each figure."""

from __future__ import annotations

import itertools
import json
import lzma
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pocketlm_tokenizer import Tokenizer

from tests.training.conftest import params
from training import bootstrap, compressors, corpus, evaluate, scoring
from training.config import preset as config
from training.config.data import Data, Source
from training.config.model import Model
from training.config.section import read
from training.data import documents, shard_writer
from training.data.shard_file import open_split
from training.model.llama import Llama
from training.scoring import token_nbytes


@pytest.fixture
def many(tmp_path: Path, tiny: Path) -> Path:
    """A folder with corpus/ and shards/ of six documents, of which two are for the test, by tiny's tokenizer."""
    for index in range(6):
        words = " ".join(str(number * (index + 1)) for number in range(150))
        (tmp_path / f"{index}.txt").write_text(f"Document {index}.\n{words}\n")
    data = Data((Source("file:*.txt"),), ("2.txt",), 0.2, ("4.txt", "5.txt"))
    corpus.build(data, tmp_path, tmp_path / "corpus")
    trained = Tokenizer.load(tiny / "tokenizer" / "tokenizer.tok")
    (tmp_path / "shards").mkdir()
    for split in documents.splits_of(tmp_path / "corpus"):
        texts = (parts for _, parts in documents.read(tmp_path / "corpus", split, trained.safe_cut))
        shard_writer.write(tmp_path / "shards", split, texts, trained)
    return tmp_path


def model_of_tiny() -> tuple[Llama, Model]:
    shape = read(params(), Model)
    model = Llama(shape, 307)
    model.initialise(torch.Generator().manual_seed(2))
    return model, shape


def test_documents_for_the_test_are_in_no_other_split(many: Path) -> None:
    split_of = {document.name: document.split for document in documents.listed(many / "corpus")}
    assert split_of == {
        "0.txt": "train",
        "1.txt": "train",
        "2.txt": "val",
        "3.txt": "train",
        "4.txt": "test",
        "5.txt": "test",
    }


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (("x*",), r"data\.test_documents: 'x\*' matches no document; there are 3: 0\.txt, 1\.txt, 2\.txt"),
        (("[01].txt",), r"data\.test_documents leaves fewer than two documents"),
    ],
)
def test_a_test_that_cannot_be_is_named(tmp_path: Path, patterns: tuple[str, ...], message: str) -> None:
    for index in range(3):
        (tmp_path / f"{index}.txt").write_text(f"{index}\n")
    with pytest.raises(ValueError, match=message):
        corpus.build(Data((Source("file:*.txt"),), (), 0.2, patterns), tmp_path, tmp_path / "out")


def test_bits_per_byte_of_each_document_and_of_all(many: Path, tiny: Path) -> None:
    """Against a loss that is computed token by token."""
    model, shape = model_of_tiny()
    tokenizer = Tokenizer.load(tiny / "tokenizer" / "tokenizer.tok")
    stream, sizes = open_split(many / "shards", "test"), token_nbytes(tokenizer)
    found = evaluate.score(model, stream, sizes, shape, 64, b"", ["4.txt", "5.txt"])
    tokens = torch.from_numpy(stream.read(0, stream.n_tokens))
    nats = np.zeros(stream.n_tokens)
    start, done = 0, 1
    while done < stream.n_tokens:
        inputs = tokens[start : start + shape.ctx_len]
        with torch.no_grad():
            logs = F.log_softmax(model(inputs[None])[0].double(), -1)
        for at in range(len(inputs)):
            if start + at + 1 == done and done < stream.n_tokens:
                nats[done] = -float(logs[at, tokens[done]])
                done += 1
        start += shape.ctx_len - 64
    second = int(stream.documents()[1])
    texts = [(many / f"{index}.txt").read_bytes() for index in (4, 5)]
    want = [
        part.sum() / math.log(2) / len(text) for part, text in zip((nats[:second], nats[second:]), texts, strict=True)
    ]
    assert [each["bpb"] for each in found["documents"]] == pytest.approx(want, rel=1e-6)
    assert [each["n_bytes"] for each in found["documents"]] == [len(text) for text in texts]
    assert found["bpb"] == pytest.approx(nats.sum() / math.log(2) / sum(map(len, texts)), rel=1e-6)
    assert found["low"] < found["bpb"] < found["high"]


def test_the_interval_is_that_of_the_mean() -> None:
    """Of units of equal length the bootstrap must find the standard error of the mean."""
    random = np.random.default_rng(3)
    nats, nbytes = random.normal(100, 10, 400), np.full(400, 50)
    low, high = bootstrap.interval(nats, nbytes)
    error = nats.std() / math.sqrt(400) / 50 / math.log(2)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert (low + high) / 2 == pytest.approx(nats.mean() / 50 / math.log(2), rel=0.01)


def test_documents_are_drawn_where_they_are_many_else_scenes_else_passages() -> None:
    """Of texts in tokens of three bytes, each document behind its separator, which stands for no byte."""

    def units(texts: list[bytes], seen: int | None = None) -> tuple[str, list[bytes]]:
        sizes = [
            size for text in texts for size in [0, *[3] * (len(text) // 3), *[len(text) % 3] * bool(len(text) % 3)]
        ]
        lengths = [1 + -(-len(text) // 3) for text in texts]
        whole = b"".join(texts)
        ends = np.cumsum([0, *lengths])
        found = bootstrap.units_of(whole[-(seen or len(whole)) :], ends, np.array(sizes))
        assert (found.borders[0], found.borders[-1]) == (0, ends[-1])
        at = np.concatenate([[0], np.cumsum(sizes)])[found.borders]
        return found.kind, [whole[a:b] for a, b in itertools.pairwise(at.tolist())]

    short = [b"text %d" % number for number in range(20)]
    assert units(short) == ("documents", short)
    play = b"".join(b"SCENE %d. A wood.\n\nWords.\n\n" % number for number in range(1, 13))
    kind, parts = units([play, b"ACT I\n\n" + play])
    assert (kind, len(parts)) == ("scenes", 25) and b"".join(parts) == play + b"ACT I\n\n" + play
    assert sum(b"Words." in part for part in parts) == 24 and max(part.count(b"SCENE") for part in parts) == 1
    kind, parts = units([play, b"ACT I\n\n" + play], len(play))  # the beginning of a long text is not searched
    assert kind == "passages"
    plain = bytes(range(97, 123)) * 4000
    kind, parts = units([b"ACT I\n", plain])
    assert kind == "passages" and len(parts) == 1 + -(-len(plain) // bootstrap.PASSAGE_NBYTES)
    assert max(map(len, parts)) <= bootstrap.PASSAGE_NBYTES + 3


def test_of_a_long_text_a_part_is_scored_and_few_documents_are_listed(
    many: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, shape = model_of_tiny()
    sizes = token_nbytes(Tokenizer.load(tiny / "tokenizer" / "tokenizer.tok"))
    stream = open_split(many / "shards", "test")
    monkeypatch.setattr(evaluate, "MOST_TOKENS", stream.n_tokens // 2)
    monkeypatch.setattr(evaluate, "MOST_LISTED", 1)
    found = evaluate.score(model, stream, sizes, shape, 0, b"", ["4.txt", "5.txt"])
    plain = scoring.evaluate(model, stream, sizes, shape.ctx_len, 0, evaluate.CPU, stream.n_tokens // 2)
    assert (found["n_tokens"], found["n_bytes"]) == (plain.n_tokens, plain.n_bytes)
    assert found["n_bytes"] < 0.9 * stream.text_nbytes
    assert found["bpb"] == pytest.approx(plain.bpb)
    assert found["documents"] == [] and found["n_documents"] == 2
    assert found["quartiles"] == sorted(found["quartiles"])


def test_the_end_of_a_long_text(many: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer.load(tiny / "tokenizer" / "tokenizer.tok")
    whole = evaluate.text_of(many / "corpus", "train", tokenizer)
    assert whole == b"".join((many / f"{index}.txt").read_bytes() for index in (0, 1, 3))
    for nbytes in (1, 100, 700, len(whole), len(whole) + 1):
        monkeypatch.setattr(evaluate, "MOST_TEXT_NBYTES", nbytes)
        assert evaluate.text_of(many / "corpus", "train", tokenizer) == whole[-nbytes:]


def test_the_loss_by_position(many: Path, tiny: Path) -> None:
    model, shape = model_of_tiny()
    tokenizer = Tokenizer.load(tiny / "tokenizer" / "tokenizer.tok")
    stream = open_split(many / "shards", "val")
    found = evaluate.by_position(model, stream, token_nbytes(tokenizer), shape)
    first = [int(stream.read(at, 1)[0]) for at in range(0, stream.n_tokens - 1, shape.ctx_len)]
    after = [int(stream.read(at + 1, 1)[0]) for at in range(0, stream.n_tokens - 1, shape.ctx_len)]
    with torch.no_grad():
        losses = F.cross_entropy(model(torch.tensor(first)[:, None])[:, 0], torch.tensor(after))
    assert (found[0]["from"], found[0]["to"]) == (1, 2)
    assert found[0]["nats"] == pytest.approx(float(losses), rel=1e-5)
    assert found[0]["perplexity"] == pytest.approx(math.exp(float(losses)), rel=1e-4)
    assert [each["to"] for each in found[:-1]] == [each["from"] for each in found[1:]]
    assert found[-1]["to"] == shape.ctx_len + 1


def test_compressors_profit_from_what_they_know() -> None:
    random = np.random.default_rng(1)
    words = ["".join(map(chr, random.integers(97, 123, 6))) for _ in range(400)]
    known, text = (" ".join(random.choice(words, 4000)).encode() for _ in range(2))
    found = compressors.compressed(known, {"text": text})["text"]
    alone = {name: 8 * len(compress(text)) / len(text) for name, compress in compressors.compressors().items()}
    assert found.keys() == alone.keys() == {"xz", "zstd", "ppmd"}
    assert all(found[name] < alone[name] for name in found)
    assert all(math.log2(400) / 7 < value < 2.2 for value in found.values()), found
    assert alone["xz"] == pytest.approx(8 * len(lzma.compress(text, preset=9)) / len(text), rel=0.02)


@given(st.text("ab ", max_size=30), st.text("ab ", max_size=30))
def test_the_longest_copied_passage(text: str, known: str) -> None:
    parts = {text[a:b] for a in range(len(text)) for b in range(a, len(text) + 1)} | {""}
    longest = max((part for part in parts if part in known), key=len)
    found = evaluate.longest_copied(text, known.encode())
    assert len(found) == len(longest) and found in text and found in known


def test_the_whole(many: Path, tiny: Path, train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "COPIED_TOKENS", 8)
    out = train(train__steps="2", train__eval_tokens="1024", sample__tokens="4")
    inputs = (out / "model.safetensors", tiny / "tokenizer", many / "shards", many / "corpus")
    found, speed = evaluate.build(params(), *inputs, 64)
    again, _ = evaluate.build(params(), *inputs, 64)
    assert json.loads(json.dumps(found)) == found == again
    assert speed["threads"] == 1 and min(speed.values()) > 0
    assert list(found["splits"]) == ["val", "test"]
    assert [each["name"] for each in found["splits"]["test"]["documents"]] == ["4.txt", "5.txt"]
    copied = found["copied"]
    assert copied["n_bytes"] == len(copied["passage"].encode()) <= copied["of_nbytes"]
    text = evaluate.markdown(found)
    assert "| test, on which nothing was tuned | **" in text and "| — 5.txt | " in text
    assert re.search(r"when 2\d passages and 2\d passages are drawn again, 2,000 times", text)
    found["splits"]["val"] |= {"documents": [], "n_documents": 21990, "quartiles": [0.5, 0.75, 1.0]}
    assert "| — the median of 21,990 documents | 0.750, half of them 0.500 … 1.000 |" in evaluate.markdown(found)
    assert config.load("shakespeare").data.test_documents == ("a-winter-s-tale.md", "king-john.md")
