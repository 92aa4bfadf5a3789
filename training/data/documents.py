"""The corpus folder as later steps read it (training/corpus.py writes it): a list, and texts one after the other."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple, TypeVar

import msgspec

from training.data.parts import PART_NBYTES, Checked, cut_between_words, decoded, decoded_whole

LIST_NAME = "documents.jsonl"
SPLITS = ("train", "val")
BUFFER_NBYTES = 256 << 10
TEST = "test"  # the third, which a corpus may have
PIECE_NBYTES = 1 << 28  # of text: what one shard is made of


Count = Annotated[int, msgspec.Meta(ge=0)]


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of documents.jsonl."""

    name: str  # its path in the source
    split: Annotated[str, msgspec.Meta(pattern="^(train|val|test)$")]
    path: str  # of the file that holds its text, relative to the corpus folder
    start: Count  # where the text begins in it
    nbytes: Count  # of the text in UTF-8
    sha256: str


class Piece(NamedTuple):
    """Consecutive documents of a split, which are worked on apart from the others: they make one shard."""

    split: str
    number: int  # from 0, in its split
    start: int  # their lines in documents.jsonl, in bytes: from here ...
    end: int  # ... to here; those of other splits may stand between them


def read(
    corpus: Path, split: str, safe_cut: Callable[[str], int], nbytes: int = PART_NBYTES
) -> Iterator[tuple[Document, Iterator[str]]]:
    """The documents of a split with their texts, sorted by name; a text longer than `nbytes` in parts of about so many,
    cut where `safe_cut` finds a place (training/data/parts.py). Raises ValueError where a file was changed: of a text
    in parts after the last one.
    """
    return _read((document for document in listed(corpus) if document.split == split), corpus, safe_cut, nbytes)


def read_piece(
    corpus: Path, piece: Piece, safe_cut: Callable[[str], int], nbytes: int = PART_NBYTES
) -> Iterator[tuple[Document, Iterator[str]]]:
    """As `read`, of the documents of a piece."""
    within = listed(corpus, piece.start, piece.end)
    return _read((document for document in within if document.split == piece.split), corpus, safe_cut, nbytes)


def _read(
    documents: Iterable[Document], corpus: Path, safe_cut: Callable[[str], int], nbytes: int
) -> Iterator[tuple[Document, Iterator[str]]]:
    with contextlib.ExitStack() as opened:
        name, path, size = "", corpus, 0
        file: BinaryIO | None = None
        for document in documents:
            if file is None or document.path != name:  # one at a time: those of a split come one after the other
                opened.pop_all().close()
                name, path = document.path, corpus / document.path
                file, size = opened.enter_context(path.open("rb", BUFFER_NBYTES)), path.stat().st_size
            if document.start + document.nbytes > size:
                raise ValueError(_changed(path))
            if document.nbytes <= nbytes:  # read once: with many short documents that is half the time
                file.seek(document.start)
                data = file.read(document.nbytes)
                if hashlib.sha256(data).hexdigest() != document.sha256:
                    raise ValueError(_changed(path))
                text = decoded_whole(document.name, data)
                yield document, iter([text] if text else [])
            else:
                whole = Checked(Portion(file, document.start, document.nbytes), document.sha256, _changed(path))
                yield document, cut_between_words(decoded(document.name, whole, nbytes), safe_cut)


def _changed(path: Path) -> str:
    return f"{path}: its text is not what {LIST_NAME} says; build the corpus again"


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


def splits_of(corpus: Path) -> list[str]:
    """The splits that a corpus has: train and val, and test where some documents are kept for it."""
    return [*SPLITS, *([TEST] if any(document.split == TEST for document in listed(corpus)) else [])]


def pieces(corpus: Path, nbytes: int = PIECE_NBYTES) -> list[Piece]:
    """The corpus in pieces, split by split. The document that takes a piece's text to `nbytes` is its last, so where
    they begin and end follows from the list alone, and any number of workers share them.
    """
    opened: dict[str, list[int]] = {}  # split -> of its last piece so far: number, start, end, bytes of text
    closed: list[Piece] = []
    for start, end, document in _lines(corpus, _Size):
        piece = opened.setdefault(document.split, [0, start, end, 0])
        if piece[3] >= nbytes:
            closed.append(Piece(document.split, *piece[:3]))
            piece[:] = [piece[0] + 1, start, end, 0]
        piece[2] = end
        piece[3] += document.nbytes
    found = [*closed, *(Piece(split, *piece[:3]) for split, piece in opened.items())]
    return sorted(found, key=lambda piece: ((*SPLITS, TEST).index(piece.split), piece.number))


class _Size(msgspec.Struct, frozen=True):
    """What decides the pieces of a line of documents.jsonl: reading no more takes half the time."""

    split: Annotated[str, msgspec.Meta(pattern="^(train|val|test)$")]
    nbytes: Count


def listed(corpus: Path, start: int = 0, end: int | None = None) -> Iterator[Document]:
    """The lines of documents.jsonl from byte `start` to byte `end` (None: the last one). Raises ValueError where one is
    not as training/corpus.py writes it.
    """
    for at, _, document in _lines(corpus, Document, start, end):
        if document.path.startswith("/") or ".." in document.path.split("/"):
            raise ValueError(
                f"{corpus / LIST_NAME}: the line at byte {at}: {document.path!r} is outside its folder; "
                "build the corpus again"
            )
        yield document


Line = TypeVar("Line", bound=msgspec.Struct)


def _lines(corpus: Path, kind: type[Line], start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, Line]]:
    """Each as `kind`, with the bytes between which it stands."""
    path = corpus / LIST_NAME
    decode = msgspec.json.Decoder(kind).decode  # a tenth of the time of Python's json and checks of our own
    first = start
    with path.open("rb") as file:
        file.seek(start)
        for number, line in enumerate(file, 1):
            if start == end:
                return
            try:
                document = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                where = f"{path}: line {number}" + (f" after byte {first}" if first else "")
                raise ValueError(f"{where}: {error}; build the corpus again") from error
            yield start, start + len(line), document
            start += len(line)
