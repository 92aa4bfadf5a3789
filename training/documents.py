"""The corpus folder as later steps read it (training/corpus.py writes it): documents.json and one text a document."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from training.command import read_json
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


def read(
    corpus: Path, split: str, safe_cut: Callable[[str], int], nbytes: int = PART_NBYTES
) -> Iterator[tuple[Document, Iterator[str]]]:
    """The documents of a split with their texts, sorted by name; each text in parts of about `nbytes`, cut where
    `safe_cut` finds a place (training/parts.py). Raises ValueError where a file was changed.
    """
    for document in listed(corpus):
        if document.split == split:
            path = corpus / document.path
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != document.sha256:
                    raise ValueError(f"{path}: its text is not what documents.json says; build the corpus again")
                file.seek(0)
                yield document, cut_between_words(decoded(document.name, file, nbytes), safe_cut)


def listed(corpus: Path) -> list[Document]:
    """The entries of documents.json. Raises ValueError where one is not as training/corpus.py writes it."""
    path = corpus / "documents.json"
    entries = read_json(path)
    if not isinstance(entries, list):
        raise ValueError(f"{path}: not a list of documents; build the corpus again")
    return [_document(path, index, entry) for index, entry in enumerate(entries)]


def _document(path: Path, index: int, entry: Any) -> Document:
    fields = {field.name: int if field.name == "nbytes" else str for field in dataclasses.fields(Document)}
    if not isinstance(entry, dict) or {name: type(value) for name, value in entry.items()} != fields:
        raise ValueError(f"{path}: entry {index} does not have just {', '.join(fields)}; build the corpus again")
    place = PurePosixPath(entry["path"])
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"{path}: entry {index}: {entry['path']!r} is outside its folder; build the corpus again")
    if entry["split"] not in SPLITS:
        raise ValueError(f"{path}: entry {index}: split {entry['split']!r} is not one of {', '.join(SPLITS)}")
    return Document(**entry)
