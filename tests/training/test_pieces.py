"""A corpus in pieces: where they begin and end follows from the list, and their shards do not depend on who writes
which of them, and when.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketlm_tokenizer import Tokenizer, safe_cut

from training import shards
from training.data import documents, shard_writer
from training.data.shard_file import open_split

TEXTS = ["the sea and the sky\n", "a small boat\n", "été\n", "the sky and a boat\n", "sea\n"]


def corpus(folder: Path, texts: list[tuple[str, str]]) -> Path:
    """A corpus folder of (split, text) pairs."""
    folder.mkdir()
    written = dict.fromkeys((*documents.SPLITS, documents.TEST), b"")
    with (folder / "documents.jsonl").open("w") as listed:
        for number, (split, text) in enumerate(texts):
            data = text.encode()
            entry = {"name": f'{number:03} "split": "val" é', "split": split, "path": f"{split}.txt"}
            entry |= {"start": len(written[split]), "nbytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            listed.write(json.dumps(entry, ensure_ascii=False) + "\n")
            written[split] += data
    for split, data in written.items():
        (folder / f"{split}.txt").write_bytes(data)
    return folder


def read(folder: Path, piece: documents.Piece) -> list[tuple[str, str]]:
    return [(document.split, "".join(parts)) for document, parts in documents.read_piece(folder, piece, safe_cut)]


@given(
    st.lists(st.tuples(st.sampled_from(["train", "val", "test"]), st.sampled_from(TEXTS)), max_size=12),
    st.sampled_from([1, 5, 14, 40, 1000]),
)
def test_pieces(tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]], nbytes: int) -> None:
    """Beside the plainest way: document by document, split by split."""
    folder = corpus(tmp_path_factory.mktemp("pieces") / "corpus", texts)
    expected: list[tuple[str, int, list[tuple[str, str]]]] = []
    for split in ("train", "val", "test"):
        number, held = 0, []
        for text in (text for text in texts if text[0] == split):
            held.append(text)
            if sum(len(each.encode()) for _, each in held) >= nbytes:
                expected.append((split, number, held))
                number, held = number + 1, []
        if held:
            expected.append((split, number, held))
    found = documents.pieces(folder, nbytes)
    assert [(piece.split, piece.number, read(folder, piece)) for piece in found] == expected


def test_a_wrong_line_of_a_piece_is_named(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "corpus", [("train", text) for text in TEXTS])
    piece = documents.pieces(folder, 20)[1]
    data = (folder / "documents.jsonl").read_bytes()
    (folder / "documents.jsonl").write_bytes(data[: piece.start] + b"[" + data[piece.start + 1 :])
    with pytest.raises(
        ValueError, match=rf"documents\.jsonl: line 1 after byte {piece.start}: .*build the corpus again"
    ):
        read(folder, piece)
    with pytest.raises(ValueError, match=r"documents\.jsonl: line 2: "):
        documents.pieces(folder)


@pytest.fixture
def tokenizer_dir(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.tok").write_bytes(Tokenizer.train(TEXTS, vocab_size=270).to_bytes())
    return tmp_path / "tokenizer"


def arguments(tmp_path: Path, out: str) -> argparse.Namespace:
    """Of the command `shards`."""
    params = tmp_path / "params.json"
    params.write_text('{"params": {}}')
    return argparse.Namespace(
        params=params, corpus=tmp_path / "corpus", tokenizer=tmp_path / "tokenizer", out=tmp_path / out
    )


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_do_not_depend_on_their_order_or_on_threads(
    tmp_path: Path, tokenizer_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [("val" if number % 7 == 3 else "train", TEXTS[number % 5] * (number % 3 + 1)) for number in range(40)]
    folder = corpus(tmp_path / "corpus", texts)
    pieces = documents.pieces(folder, 100)
    monkeypatch.setattr(documents, "pieces", lambda corpus: pieces)
    shards.main(arguments(tmp_path, "out"))
    for name, threads in (("one", 1), ("all", None)):
        (tmp_path / name).mkdir()
        for piece in reversed(pieces):
            shard_writer.WriteShard(folder, tokenizer_dir, tmp_path / name, threads)(piece)
        assert bytes_of(tmp_path / name) == bytes_of(tmp_path / "out" / "shards")
    assert len(bytes_of(tmp_path / "one")) == len(pieces) > 8
    tokenizer = Tokenizer.load(tokenizer_dir / "tokenizer.tok")
    for split in documents.SPLITS:
        stream = open_split(tmp_path / "out" / "shards", split)
        wanted = [token for each, text in texts if each == split for token in [0, *tokenizer.encode(text)]]
        assert stream.read(0, stream.n_tokens).tolist() == wanted


def test_a_corpus_without_a_split_has_no_shards(tmp_path: Path, tokenizer_dir: Path) -> None:
    corpus(tmp_path / "corpus", [("train", TEXTS[0])])
    with pytest.raises(ValueError, match="no val shards"):
        shards.main(arguments(tmp_path, "out"))
    assert list((tmp_path / "out").iterdir()) == []
