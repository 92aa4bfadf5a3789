"""One, two and three documents of each kind, from the file to a trained model: nothing hangs, and no text is lost."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tests.training.conftest import never_stop, params
from training import corpus, tokenizer, train
from training.config import preset
from training.config.data import Data, Source
from training.data import documents, shard_file, shard_writer

SMALL = {f"model__{name}": "8" for name in ("d_model", "d_head", "d_ff")} | {"model__n_layer": "1"}
SHORT = {"train__steps": "2", "train__eval_every": "1", "train__batch_size": "3", "sample__tokens": "2"}
TEXTS = ["One.\nA boat.\n", "Two: été\nat sea\n", "Three\n日本\n"]


def parquet(texts: list[str]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"story": texts}), file)
    return file.getvalue()


def files(kind: str, texts: list[str]) -> dict[str, bytes]:
    """Files of a kind that hold these documents, by name."""
    if kind == "jsonl":
        return {"a.jsonl": "".join(json.dumps({"story": text}) + "\n" for text in texts).encode()}
    if kind == "parquet":
        return {"a.parquet": parquet(texts)}
    if kind == "separator":
        return {"a.txt": "<|endoftext|>".join(texts).encode()}
    return {f"{number}.txt": text.encode() for number, text in enumerate(texts)}


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kind", ["jsonl", "parquet", "separator", "files"])
def test_few_documents(tmp_path: Path, kind: str, n: int) -> None:
    """With windows as long as any text, and with shards of one document each."""
    (tmp_path / "source").mkdir()
    for name, content in files(kind, TEXTS[:n]).items():
        (tmp_path / "source" / name).write_bytes(content)
    separator = "<|endoftext|>" if kind == "separator" else ""
    data = Data((Source("file:source/*"),), (), 0.3, text_column="story", separator=separator)
    made = tmp_path / "corpus"
    corpus.build(data, tmp_path, made)
    trained = tokenizer.build(preset.load("tiny").tokenizer, made)
    (tmp_path / "tokenizer.tok").write_bytes(trained.to_bytes())
    (tmp_path / "shards").mkdir()
    pieces = documents.pieces(made, 1)
    for piece in pieces:
        shard_writer.WriteShard(made, tmp_path, tmp_path / "shards")(piece)
    assert len(pieces) == max(n, 2), "a lone document is cut in two"
    streams = [shard_file.open_split(tmp_path / "shards", split) for split in documents.SPLITS]
    texts = [trained.decode(stream.read(0, stream.n_tokens).tolist()) for stream in streams]
    found = sorted("".join(texts).split("<|endoftext|>")[1:])
    assert found == (sorted(TEXTS[:n]) if n > 1 else ["A boat.\n", "One.\n"])

    inputs = train.load(params(**SHORT, **SMALL), tmp_path / "shards", tmp_path)
    train.run(inputs, tmp_path / "kept", tmp_path / "out", never_stop())
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["tokens_seen"] > 0
