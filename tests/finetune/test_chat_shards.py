"""Shards of chats: what is written is read back with its loss mask, batched and scored as one chat at a time is."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.finetune.conftest import chat
from training import chat_shards
from training.data import chat_tokens, documents
from training.data.batches import ChatBatches
from training.data.shard_file import HEADER, HEADER_NBYTES, TokenStream, open_split
from training.finetune import shape_of
from training.imported import Imported
from training.model.llama import Llama
from training.scoring import evaluate, token_nbytes

CHATS = [
    ("a.jsonl#1", chat("the quick", "brown fox")),
    ("a.jsonl#2", chat("jumps", "over", "the lazy", "dog; it's not there yet")),
    ("a.jsonl#3", chat("1234", "\u00e9t\u00e9 \u65e5")),
    ("a.jsonl#4", chat("and", "others", "more")),
    ("a.jsonl#5", chat("?", "!")),
]


def written(folder: Path, model: Imported, at_a_time: int = len(CHATS)) -> TokenStream:
    """Chats in shards of so many."""
    for number, first in enumerate(range(0, len(CHATS), at_a_time)):
        assert chat_shards.write(folder, "train", CHATS[first : first + at_a_time], model, number)
    return open_split(folder, "train")


def expected(model: Imported) -> list[chat_tokens.ChatTokens]:
    template = model.template()
    assert template is not None
    return [
        chat_tokens.encode(messages, template, model.tokenizer, model.stop_ids, model.config["ctx_len"])
        for _, messages in CHATS
    ]


@pytest.mark.parametrize("at_a_time", [1, 2, len(CHATS)])
def test_they_come_back(tmp_path: Path, model: Imported, at_a_time: int) -> None:
    stream = written(tmp_path, model, at_a_time)
    ids = [token for made in expected(model) for token in [0, *made.ids]]
    learnt = [each for made in expected(model) for each in [False, *made.learnt]]
    assert stream.masked
    assert stream.read(0, stream.n_tokens).tolist() == ids
    for start in range(0, stream.n_tokens, 5):
        for n in (1, 3, stream.n_tokens - start):
            n = min(n, stream.n_tokens - start)
            assert stream.read_learnt(start, n).tolist() == learnt[start : start + n]
    assert stream.n_learnt == sum(learnt) < stream.n_tokens
    ends = np.cumsum([1 + len(made.ids) for made in expected(model)]).tolist()
    assert stream.documents().tolist() == [0, *ends]
    answers = [message["content"] for _, messages in CHATS for message in messages if message["role"] == "assistant"]
    assert stream.text_nbytes == sum(len(answer.encode()) for answer in answers)


def test_a_mask_of_other_bytes_is_refused(tmp_path: Path, model: Imported) -> None:
    """Even under a right digest."""
    (shard,) = written(tmp_path, model).shards
    data = bytearray(shard.path.read_bytes())
    data[-1] = 2
    fields = [*HEADER.unpack(data[: HEADER.size])]
    fields[-1] = hashlib.sha256(data[HEADER_NBYTES:]).digest()
    header = HEADER.pack(*fields)
    data[:HEADER_NBYTES] = header + hashlib.sha256(header).digest()[:16]
    shard.path.write_bytes(data)
    with pytest.raises(ValueError, match="a byte of the loss mask is neither 0 nor 1"):
        open_split(tmp_path, "train")
    shard.path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=r"expected .* from the header"):
        open_split(tmp_path, "train")


def test_chats_that_do_not_fit_are_left_out(
    tmp_path: Path, model: Imported, capsys: pytest.CaptureFixture[str]
) -> None:
    context = model.config["ctx_len"]
    chat_shards.write(tmp_path, "val", [("long", chat("a", "b" * context)), ("short", chat("a", "b"))], model)
    assert open_split(tmp_path, "val").n_documents == 1
    assert f"long: left out, no answer ends within the {context} positions" in capsys.readouterr().err
    assert not chat_shards.write(tmp_path, "train", [("long", chat("a", "b" * context))], model)
    assert [path.name for path in tmp_path.iterdir()] == ["val-00000.tokens"]


def test_every_chat_is_read_once_an_epoch(tmp_path: Path, model: Imported) -> None:
    stream = written(tmp_path, model)
    batches = ChatBatches(stream, 2, seed=3)
    chats = [tuple(made.ids) for made in expected(model)]
    masks = {tuple(made.ids): made.learnt for made in expected(model)}
    seen: Counter[tuple[int, ...]] = Counter()
    for k in range(5):  # two epochs of five chats
        ids, learnt = batches.batch(k)
        assert learnt is not None and learnt.shape == (2, ids.shape[1] - 1)
        for row, mask in zip(ids.tolist(), learnt.tolist(), strict=True):
            (found,) = (each for each in chats if row[: len(each)] == list(each) and not any(mask[len(each) - 1 :]))
            assert mask[: len(found) - 1] == masks[found][1:]
            assert not masks[found][0], "the first token has nothing before it, and is no answer"
            seen[found] += 1
    assert seen == Counter(dict.fromkeys(chats, 2))
    first = [batches.batch(k).ids.tolist() for k in range(5)]
    assert first == [ChatBatches(stream, 2, seed=3).batch(k).ids.tolist() for k in range(5)]
    assert first != [ChatBatches(stream, 2, seed=4).batch(k).ids.tolist() for k in range(5)]


def test_bits_per_byte_are_those_of_the_answers(tmp_path: Path, model: Imported) -> None:
    """Against one chat at a time, one token at a time, in f64; in batches of any size."""
    stream = written(tmp_path, model)
    module = Llama(shape_of(model), model.config["vocab_size"])
    module.load_state_dict({name: torch.from_numpy(stored.values()) for name, stored in model.tensors.items()})
    nats = n_tokens = 0.0
    for made in expected(model):
        with torch.no_grad():
            logs = F.log_softmax(module(torch.tensor([made.ids]))[0].double(), -1)
        for at in range(1, len(made.ids)):
            if made.learnt[at]:
                nats -= float(logs[at - 1, made.ids[at]])
                n_tokens += 1
    sizes = token_nbytes(model.tokenizer)
    for batch_size in (1, 2, 16):
        score = evaluate(module, stream, sizes, 128, 0, torch.device("cpu"), 1 << 20, batch_size)
        assert (score.n_tokens, score.n_bytes) == (n_tokens, stream.text_nbytes)
        assert score.bpb == pytest.approx(nats / math.log(2) / stream.text_nbytes, rel=1e-5)
    some = evaluate(module, stream, sizes, 128, 0, torch.device("cpu"), stream.n_tokens // 2)
    assert 0 < some.n_tokens < n_tokens


def test_logits_of_chosen_positions_alone(model: Imported) -> None:
    module = Llama(shape_of(model), model.config["vocab_size"])
    module.initialise(torch.Generator().manual_seed(1))
    ids = torch.randint(0, 300, (3, 20), generator=torch.Generator().manual_seed(2))
    chosen = torch.rand(3, 20, generator=torch.Generator().manual_seed(3)) < 0.3
    torch.testing.assert_close(module(ids, chosen), module(ids)[chosen])


def test_shards_of_which_no_chat_is_left_have_no_number(
    imported_dir: Path, model: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import corpus
    from training.config.data import Data, Source

    context = model.config["ctx_len"]
    chats = [chat("a", "b" * context), chat("c", "d"), chat("e", "f" * context), chat("g", "h"), chat("i", "j")]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"messages": messages}) for messages in chats))
    data = Data((Source("file:a.jsonl"),), ("a.jsonl#000000005",), 0.5, chat_column="messages")
    corpus.build(data, tmp_path, tmp_path / "corpus")
    pieces = documents.pieces
    monkeypatch.setattr(documents, "pieces", lambda corpus: pieces(corpus, 1))  # a piece a chat
    arguments = argparse.Namespace(corpus=tmp_path / "corpus", imported=imported_dir, out=tmp_path / "out")
    chat_shards.main(arguments)
    stream = open_split(tmp_path / "out" / "shards", "train")
    assert [len(shard.document_starts) for shard in stream.shards] == [1, 1]
    data = Data((Source("file:a.jsonl"),), ("a.jsonl#000000001",), 0.5, chat_column="messages")
    corpus.build(data, tmp_path, tmp_path / "other")
    with pytest.raises(ValueError, match="val: no chat is left to make shards of"):
        chat_shards.main(argparse.Namespace(**{**vars(arguments), "corpus": tmp_path / "other"}))


def test_the_command(imported_dir: Path, tmp_path: Path) -> None:
    from tests.training.conftest import ROOT, command, write_params

    lines = [json.dumps({"messages": messages}) for _, messages in CHATS]
    (tmp_path / "chats.jsonl").write_text("\n".join(lines) + "\n")
    settings = write_params(
        tmp_path / "params.json", data__sources=f'["file:{tmp_path}/chats.jsonl"]', data__chat_column="messages"
    )
    command("corpus", "--params", settings, "--root", ROOT, "--out", tmp_path)
    said = command("chat_shards", "--corpus", tmp_path / "corpus", "--imported", imported_dir, "--out", tmp_path)
    streams = [open_split(tmp_path / "shards", split) for split in ("train", "val")]
    assert sum(stream.n_documents for stream in streams) == len(CHATS)
    assert f"train: {streams[0].n_documents} chats" in said
