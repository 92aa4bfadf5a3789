"""The long run: a million random texts, each split's share, against Hugging Face. A mismatch shows the text."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

import hf_oracle as oracle
import pytest
import split_oracle
from pocketlm_tokenizer import SPLITS, Tokenizer

TEXTS = 170_000  # a split
BATCH = 2_000
DOCUMENTS = [document for documents in oracle.DOCUMENTS.values() for document in documents if len(document) > 100]


def batches(seed: str) -> Iterator[list[str]]:
    """Parts of documents among what splits tell apart, decomposed and cut anywhere; a few hundred bytes at the most."""
    generator = random.Random(seed)
    atoms = split_oracle.ATOMS.elements  # type: ignore[attr-defined]
    for _ in range(TEXTS // BATCH):
        batch = []
        for _ in range(BATCH):
            parts = generator.choices(atoms, k=generator.randrange(8))
            for _ in range(generator.randrange(4)):
                document = generator.choice(DOCUMENTS)
                at = generator.randrange(len(document))
                parts.append(document[at : at + generator.randrange(60)])
            parts.append(chr(generator.choice([generator.randrange(0xD800), generator.randrange(0xE000, 0x110000)])))
            generator.shuffle(parts)
            text = "".join(parts)
            batch.append(unicodedata.normalize("NFD", text) if generator.random() < 0.1 else text)
        yield batch


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_a_million_texts_are_encoded_alike(split: str) -> None:
    theirs = oracle.train(DOCUMENTS, 6000, pre_tokenizer=split_oracle.pre_tokenizer(split))
    ours = Tokenizer.train(DOCUMENTS, 6000, split=split)
    theirs.encode_special_tokens = True
    for batch in batches(split):
        found = ours.encode_batch(batch)
        expected = [encoding.ids for encoding in theirs.encode_batch(batch)]
        assert found == expected, next(repr(text) for text, a, b in zip(batch, found, expected) if a != b)
        assert [bytes(ours.decode_bytes(ids)) for ids in found[:100]] == [text.encode() for text in batch[:100]]
