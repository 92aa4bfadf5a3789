"""The corpus folder as later steps read it (training/corpus.py writes it): a list, and texts one after the other."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from training.command import parse_json
from training.data.parts import PART_NBYTES, cut_between_words, decoded, decoded_whole

LIST_NAME = "documents.jsonl"
SPLITS = ("train", "val")
BUFFER_NBYTES = 256 << 10
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
    """The documents of a split with their texts, sorted by name; a text longer than `nbytes` in parts of about so many,
    cut where `safe_cut` finds a place (training/data/parts.py). Raises ValueError where a file was changed.
    """
    return read_listed(corpus, (document for document in listed(corpus) if document.split == split), safe_cut, nbytes)


def read_listed(
    corpus: Path, documents: Iterable[Document], safe_cut: Callable[[str], int], nbytes: int = PART_NBYTES
) -> Iterator[tuple[Document, Iterator[str]]]:
    """As `read`, of these documents of one split, in their order."""
    with contextlib.ExitStack() as opened:
        name, path, size = "", corpus, 0
        file: BinaryIO | None = None
        for document in documents:
            if file is None or document.path != name:  # one at a time: those of a split come one after the other
                opened.pop_all().close()
                name, path = document.path, corpus / document.path
                file, size = opened.enter_context(path.open("rb", BUFFER_NBYTES)), path.stat().st_size
            if document.start + document.nbytes > size:
                raise _changed(path)
            if document.nbytes <= nbytes:  # read once: with many short documents that is half the time
                data = Portion(file, document.start, document.nbytes).read()
                if hashlib.sha256(data).hexdigest() != document.sha256:
                    raise _changed(path)
                text = decoded_whole(document.name, data)
                yield document, iter([text] if text else [])
            else:
                if _sha256(Portion(file, document.start, document.nbytes)) != document.sha256:
                    raise _changed(path)
                portions = decoded(document.name, Portion(file, document.start, document.nbytes), nbytes)
                yield document, cut_between_words(portions, safe_cut)


def _changed(path: Path) -> ValueError:
    return ValueError(f"{path}: its text is not what {LIST_NAME} says; build the corpus again")


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
    while data := text.read(BUFFER_NBYTES):  # which stays in a near cache
        digest.update(data)
    return digest.hexdigest()


def splits_of(corpus: Path) -> list[str]:
    """The splits that a corpus has: train and val, and test where some documents are kept for it."""
    return [*SPLITS, *([TEST] if any(document.split == TEST for document in listed(corpus)) else [])]


def by_split(corpus: Path) -> dict[str, list[Document]]:
    """All documents of each split that the corpus has: a few hundred bytes for each document."""
    found: dict[str, list[Document]] = {split: [] for split in (*SPLITS, TEST)}
    for document in listed(corpus):
        found[document.split].append(document)
    return {split: documents for split, documents in found.items() if documents or split != TEST}


def listed(corpus: Path) -> Iterator[Document]:
    """The lines of documents.jsonl. Raises ValueError where one is not as training/corpus.py writes it."""
    path = corpus / LIST_NAME
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}: line {number}"
            yield _document(where, parse_json(line, where))


FIELDS = {field.name: int if field.name in ("start", "nbytes") else str for field in dataclasses.fields(Document)}


def _document(where: str, entry: Any) -> Document:
    if not isinstance(entry, dict) or {name: type(value) for name, value in entry.items()} != FIELDS:
        raise ValueError(f"{where} does not have just {', '.join(FIELDS)}; build the corpus again")
    if entry["path"].startswith("/") or ".." in entry["path"].split("/"):
        raise ValueError(f"{where}: {entry['path']!r} is outside its folder; build the corpus again")
    if entry["start"] < 0 or entry["nbytes"] < 0:
        raise ValueError(f"{where}: start or nbytes is below 0; build the corpus again")
    if entry["split"] not in (*SPLITS, TEST):
        raise ValueError(f"{where}: split {entry['split']!r} is not one of {', '.join((*SPLITS, TEST))}")
    return Document(**entry)
