"""The corpus folder as later steps read it (training/corpus.py writes it): a list, and texts one after the other."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from training.command import parse_json
from training.data.parts import PART_NBYTES, cut_between_words, decoded

LIST_NAME = "documents.jsonl"
SPLITS = ("train", "val")
TEST = "test"  # the third, which a corpus may have


@dataclass(frozen=True)
class Document:
    """One line of documents.jsonl."""

    name: str  # its path in the source
    split: str  # "train", "val" or "test"
    path: str  # of the file that holds its text, relative to the corpus folder
    start: int  # where the text begins in it
    nbytes: int  # of the text in UTF-8
    sha256: str


def read(
    corpus: Path, split: str, safe_cut: Callable[[str], int], nbytes: int = PART_NBYTES
) -> Iterator[tuple[Document, Iterator[str]]]:
    """The documents of a split with their texts, sorted by name; each text in parts of about `nbytes`, cut where
    `safe_cut` finds a place (training/data/parts.py). Raises ValueError where a file was changed.
    """
    with contextlib.ExitStack() as opened:
        files: dict[str, BinaryIO] = {}
        for document in listed(corpus):
            if document.split != split:
                continue
            path = corpus / document.path
            if document.path not in files:  # one at a time: those of a split come one after the other
                opened.pop_all().close()
                files = {document.path: opened.enter_context(path.open("rb"))}
            text = Portion(files[document.path], document.start, document.nbytes)
            beyond = document.start + document.nbytes > path.stat().st_size
            if beyond or _sha256(text) != document.sha256:
                raise ValueError(f"{path}: its text is not what {LIST_NAME} says; build the corpus again")
            text = Portion(files[document.path], document.start, document.nbytes)
            yield document, cut_between_words(decoded(document.name, text, nbytes), safe_cut)


class Portion:
    """A part of a file, to be read once from its beginning to its end."""

    def __init__(self, file: BinaryIO, start: int, nbytes: int) -> None:
        self.file, self.at, self.end = file, start, start + nbytes

    def read(self, size: int = -1, /) -> bytes:
        """As of any file."""
        left = self.end - self.at
        self.file.seek(self.at)
        data = self.file.read(left if size < 0 else min(size, left))
        self.at += len(data)
        return data


def _sha256(text: Portion) -> str:
    digest = hashlib.sha256()
    while data := text.read(PART_NBYTES):
        digest.update(data)
    return digest.hexdigest()


def splits_of(corpus: Path) -> list[str]:
    """The splits that a corpus has: train and val, and test where some documents are kept for it."""
    return [*SPLITS, *([TEST] if any(document.split == TEST for document in listed(corpus)) else [])]


def listed(corpus: Path) -> Iterator[Document]:
    """The lines of documents.jsonl. Raises ValueError where one is not as training/corpus.py writes it."""
    path = corpus / LIST_NAME
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}: line {number}"
            yield _document(where, parse_json(line, where))


def _document(where: str, entry: Any) -> Document:
    fields = {field.name: int if field.name in ("start", "nbytes") else str for field in dataclasses.fields(Document)}
    if not isinstance(entry, dict) or {name: type(value) for name, value in entry.items()} != fields:
        raise ValueError(f"{where} does not have just {', '.join(fields)}; build the corpus again")
    place = PurePosixPath(entry["path"])
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"{where}: {entry['path']!r} is outside its folder; build the corpus again")
    if entry["start"] < 0 or entry["nbytes"] < 0:
        raise ValueError(f"{where}: start or nbytes is below 0; build the corpus again")
    if entry["split"] not in (*SPLITS, TEST):
        raise ValueError(f"{where}: split {entry['split']!r} is not one of {', '.join((*SPLITS, TEST))}")
    return Document(**entry)
