"""Files of other programs: Hugging Face's tokenizer.json and tiktoken's rank files are read exactly, or refused by
name.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
import unicodedata
from typing import Any

import hf_oracle as oracle
import pytest
import split_oracle
import tokenizers
from hypothesis import given, settings
from pocketlm_tokenizer import SPLITS, Tokenizer, TokenizerError, split
from tokenizers import AddedToken, normalizers

DOCUMENTS = [document[:3000] for documents in oracle.DOCUMENTS.values() for document in documents]
ADDED = [
    AddedToken("<tool>", special=False, normalized=False),
    AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False, special=True),
    AddedToken("whole", single_word=True, normalized=True),
    AddedToken("  ", normalized=True),
]


def their_file(split: str, ignore_merges: bool = False) -> tokenizers.Tokenizer:
    """One of theirs with all that a file can say and ours can do."""
    theirs = oracle.train(DOCUMENTS, 1200, pre_tokenizer=split_oracle.pre_tokenizer(split))
    theirs.normalizer = normalizers.NFC()
    theirs.add_tokens(ADDED)
    theirs.model.ignore_merges = ignore_merges
    return theirs


def as_ours_spells_it(theirs: tokenizers.Tokenizer, name: str) -> dict[str, Any]:
    """Their file, with cl100k's pattern as it is written for every engine: the oracle's is for theirs alone."""
    content = json.loads(theirs.to_str())
    if name == "cl100k":
        step = content["pre_tokenizer"]["pretokenizers"][0]
        step["pattern"]["Regex"] = step["pattern"]["Regex"].replace(r"\s++\z", r"\s+(?![\s\S])")
    return content


def texts(seed: str, count: int) -> list[str]:
    """Documents' parts, atoms of the splits, decomposed text, added tokens in between."""
    generator = random.Random(seed)
    atoms = [
        *split_oracle.ATOMS.elements,
        *(str(token.content) for token in ADDED),
        "wholesome",
        "é",
        "e\u0301",
        "한",
        "Å",
    ]  # type: ignore[attr-defined]
    made = []
    for _ in range(count):
        document = generator.choice([document for document in DOCUMENTS if document])
        at = generator.randrange(len(document))
        parts = [*generator.choices(atoms, k=6), document[at : at + 40]]
        generator.shuffle(parts)
        text = "".join(parts)
        made.append(unicodedata.normalize("NFD", text) if generator.random() < 0.3 else text)
    return made


@pytest.mark.parametrize("ignore_merges", [False, True])
@pytest.mark.parametrize("name", SPLITS)
def test_their_file_is_read_exactly(name: str, ignore_merges: bool) -> None:
    theirs = their_file(name, ignore_merges)
    content = as_ours_spells_it(theirs, name)
    ours = Tokenizer.from_hf_json(json.dumps(content))
    assert ours.split == name
    again = Tokenizer.from_hf_json(ours.to_hf_json())
    assert again.to_bytes() == Tokenizer.from_bytes(ours.to_bytes()).to_bytes() == ours.to_bytes()
    for text in [*DOCUMENTS, *texts(name, 1000)]:
        assert ours.encode(text) == oracle.encode_ordinary(theirs, text), repr(text)
        assert ours.encode(text, special=True) == oracle.encode_special(theirs, text), repr(text)


def test_merges_may_be_texts() -> None:
    content = json.loads(their_file("gpt2").to_str())
    joined = {
        **content,
        "model": {**content["model"], "merges": [" ".join(pair) for pair in content["model"]["merges"]]},
    }
    assert (
        Tokenizer.from_hf_json(json.dumps(joined)).to_bytes() == Tokenizer.from_hf_json(json.dumps(content)).to_bytes()
    )


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["model", "type"], "WordPiece", "model.type .*WordPiece.* is not supported"),
        (["model", "byte_fallback"], True, "SentencePiece"),
        (["model", "dropout"], 0.1, "model.dropout 0.1"),
        (["model", "end_of_word_suffix"], "</w>", "end_of_word_suffix"),
        (["model", "vocab"], {}, "model.merges: .* is not in model.vocab"),
        (["model", "merges"], ["ab"], "has no space in it"),
        (["model", "merges"], [["a", "b"], ["a", "b"]], "is not in model.vocab|the same pair"),
        (["normalizer"], {"type": "NFKC"}, "normalizer .*NFKC.* is not supported"),
        (["pre_tokenizer"], {"type": "Metaspace"}, "pre_tokenizer .*Metaspace"),
        (
            ["pre_tokenizer"],
            {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True},
            "pre_tokenizer .*add_prefix_space",
        ),
        (["pre_tokenizer"], None, "pre_tokenizer is null"),
        (["decoder"], {"type": "WordPiece"}, "decoder .*WordPiece"),
        (["added_tokens"], [{"id": 5000000, "content": "<x>"}] * 2, "the id 5000000 is given twice"),
        (["added_tokens"], [{"id": 1 << 25, "content": "<x>"}], "the ids: .* is more than the limit"),
    ],
)
def test_what_ours_cannot_do_is_refused_by_name(path: list[str], value: object, message: str) -> None:
    content = json.loads(their_file("gpt2").to_str())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_hf_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": {"vocab": {"a": -1}, "merges": []}}'])
def test_what_is_no_such_file_is_an_error(text: str) -> None:
    with pytest.raises(TokenizerError, match=r"not a tokenizer\.json"):
        Tokenizer.from_hf_json(text)


def ranks_of(tokenizer: Tokenizer) -> dict[bytes, int]:
    """A rank file's content: the model's tokens, by their order."""
    special = set(tokenizer.special_tokens.values())
    tokens = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size) if id not in special]
    return {token: rank for rank, token in enumerate(tokens)}


def slow_ids(ranks: dict[bytes, int], piece: bytes) -> list[int]:
    """tiktoken's algorithm, as plainly as can be."""
    if piece in ranks:
        return [ranks[piece]]
    parts = [bytes([byte]) for byte in piece]
    while True:
        joined = [(ranks[a + b], at) for at, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in ranks]
        if not joined:
            return [ranks[part] for part in parts]
        _, at = min(joined)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


RANKS = ranks_of(Tokenizer.train(DOCUMENTS, 900))
RANK_FILE = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in RANKS.items())


@pytest.mark.parametrize("name", ["cl100k", "o200k"])
@settings(max_examples=200, deadline=None)
@given(text=split_oracle.TEXT | oracle.TEXT)
def test_a_rank_file_is_read_exactly(name: str, text: str) -> None:
    ours = Tokenizer.from_tiktoken(RANK_FILE, name, {oracle.END: 2000})
    pieces = split(text, name)
    assert ours.encode(text) == [id for piece in pieces for id in slow_ids(RANKS, piece.encode())]
    assert ours.encode(text + oracle.END, special=True)[-1] == 2000


def test_a_rank_file_is_written_as_it_was_read() -> None:
    ours = Tokenizer.from_tiktoken(RANK_FILE, "cl100k", {oracle.END: 2000})
    assert ours.to_tiktoken() == RANK_FILE
    assert (ours.vocab_size, ours.special_tokens) == (2001, {oracle.END: 2000})
    with pytest.raises(TokenizerError, match="cannot say this tokenizer's merges"):
        Tokenizer.train(DOCUMENTS, 300).to_tiktoken()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("IQ== 0\nIg==\n", "line 2 is not a token"),
        ("IQ== 0\n\n?? 1\n", "line 3 is not a token"),
        ("IQ== -1\n", "line 1 is not a token"),
        (" 1\n", "line 1 is not a token"),
        ("IQ== 0\nIg== 0\n", "the id 0 is given to two tokens"),
        ("IQ== 0\nIQ== 1\n", "tokens 0 and 1 are the same"),
        (base64.b64encode(b"x" * 5000).decode() + " 0\n", "is more than the limit 4096"),
    ],
)
def test_a_broken_rank_file_is_an_error(text: str, message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_tiktoken(text, "cl100k")
