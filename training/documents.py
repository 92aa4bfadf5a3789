"""The corpus folder as later steps read it (training/corpus.py writes it): documents.json and one text a document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.parts import PART_NBYTES, cut_between_words, decoded

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Document:
    """One entry of documents.json."""

    name: str  # its path in the source
    split: str  # "train" or "val"
    path: str  # relative to the corpus folder
    nbytes: int  # of its text in UTF-8
    sha256: str


def read(corpus: Path, split: str, nbytes: int = PART_NBYTES) -> Iterator[tuple[Document, Iterator[str]]]:
    """The documents of a split with their texts, sorted by name; each text in parts of about `nbytes`, cut between
    words. Raises ValueError where a file was changed.
    """
    listed = json.loads((corpus / "documents.json").read_text(encoding="utf-8"))
    for document in (Document(**entry) for entry in listed):
        if document.split == split:
            path = corpus / document.path
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != document.sha256:
                    raise ValueError(f"{path}: its text is not what documents.json says; build the corpus again")
                file.seek(0)
                yield document, cut_between_words(decoded(document.name, file, nbytes))
