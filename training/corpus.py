"""Sources in, cleaned documents out, split into training and validation text.

Writes OUT/corpus/:  documents.jsonl   a line a document, sorted by name (training/data/documents.py)
                     train/00000.txt   documents one after the other: UTF-8, NFC, LF (training/data/clean.py)
                     val/00000.txt     and test/, where data.test_documents names some
The texts may be larger than memory: a part of one at a time is there, and a few hundred bytes for each document.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

import msgspec

from training import command
from training.config.data import Data
from training.config.section import read
from training.data import records, sources
from training.data.clean import cleaned
from training.data.documents import LIST_NAME, SPLITS, TEST, Document, Portion
from training.data.parts import PART_NBYTES
from training.data.split import cut, held_out, tested

COPIES_NAMED = 5  # documents whose text is another's; of millions of documents thousands may be
FILE_NBYTES = 1 << 30  # a file of a split is closed by the document that reaches this


@dataclass(frozen=True)
class _Staged:
    """Where a text waits for its split."""

    start: int
    nbytes: int
    sha256: bytes


def build(data: Data, root: Path, out: Path) -> dict[str, tuple[int, int]]:
    """Fetch, clean and split all documents into the folder `out`, which must be empty. Returns (documents, bytes) of
    each split.

    root: what `file:` counts from. Raises ValueError, with the source's name, for anything that cannot be read or
    split.
    """
    out.mkdir(parents=True, exist_ok=True)
    staged = out / "staged"
    with staged.open("w+b") as file:
        kept = _stage(data, root, file)
        if not kept:
            raise ValueError(f"the corpus is empty: no text in {', '.join(source.uri for source in data.sources)}")
        if len(kept) == 1 and not data.val_documents:
            ((name, whole),) = kept.items()
            if data.chat_column:
                raise ValueError(f"{name} is the only chat, and one must be held out for validation; add a second one")
            split_of = {f"{name}#{split}": split for split in SPLITS}
            kept = dict(zip(split_of, _cut(name, whole, file, data.val_fraction), strict=True))
        else:
            test = tested(list(kept), data)
            val = held_out([name for name in kept if name not in test], data)
            split_of = {name: TEST if name in test else "val" if name in val else "train" for name in kept}
        counts = _write_splits(kept, split_of, file, out)
    staged.unlink()
    return counts


def _stage(data: Data, root: Path, file: BinaryIO) -> dict[str, _Staged]:
    """Every text, cleaned, one after the other into a file; returns where each is, by the document's name."""
    origin: dict[str, str] = {}  # name of a file -> URI
    kept: dict[str, _Staged] = {}
    seen: dict[bytes, str] = {}  # sha256 -> document name
    copies = 0
    for source in data.sources:
        for name, stream in sources.documents(source, root):
            if name in origin:
                raise ValueError(f"{source.uri}: {name} is also in {origin[name]}; narrow one of the two globs")
            origin[name] = source.uri
            try:
                for document, part in records.documents(name, stream, data):
                    text = _append(file, (each.encode() for each in cleaned(document, part)))
                    if not text.nbytes:
                        if document == name:
                            command.say(f"{name}: left out, there is no text in it")
                    elif text.sha256 in seen:  # a copy on the other side of the split would make that text known
                        copies += 1
                        if copies <= COPIES_NAMED:
                            command.say(f"{document}: left out, its text is that of {seen[text.sha256]}")
                        file.truncate(text.start)
                    else:
                        seen[text.sha256] = document
                        kept[document] = text
            except ValueError as error:
                raise ValueError(f"{source.uri}: {error}") from error
    if copies > COPIES_NAMED:
        command.say(f"left out for the same reason: {copies - COPIES_NAMED:,} more")
    return kept


def _append(file: BinaryIO, portions: Iterable[bytes]) -> _Staged:
    start = file.seek(0, 2)
    digest, nbytes = hashlib.sha256(), 0
    for portion in portions:
        nbytes += file.write(portion)
        digest.update(portion)
    return _Staged(start, nbytes, digest.digest())


def _cut(name: str, text: _Staged, file: BinaryIO, fraction: float) -> Iterator[_Staged]:
    """The two parts of a lone document, which is all that the file holds."""
    file.flush()
    with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        at = cut(name, mapped, fraction)
    for start, end in ((0, at), (at, text.nbytes)):
        digest = hashlib.sha256()
        for portion in _portions(file, start, end - start):
            digest.update(portion)
        yield _Staged(start, end - start, digest.digest())


def _portions(file: BinaryIO, start: int, nbytes: int) -> Iterator[bytes]:
    portion = Portion(file, start, nbytes)
    return iter(lambda: portion.read(PART_NBYTES), b"")


def _write_splits(
    kept: dict[str, _Staged], split_of: dict[str, str], staged: BinaryIO, out: Path
) -> dict[str, tuple[int, int]]:
    """The documents by name into the files of their splits, and their list."""
    counts = dict.fromkeys((*SPLITS, *([TEST] if TEST in split_of.values() else [])), (0, 0))
    files: dict[str, BinaryIO] = {}
    numbers = dict.fromkeys(counts, -1)
    try:
        with (out / LIST_NAME).open("w", encoding="utf-8") as listed:
            for name in sorted(kept):
                split, text = split_of[name], kept[name]
                if split not in files or files[split].tell() >= FILE_NBYTES:
                    if split in files:
                        files[split].close()
                    numbers[split] += 1
                    (out / split).mkdir(exist_ok=True)
                    files[split] = (out / split / f"{numbers[split]:05}.txt").open("wb")
                file = files[split]
                path = f"{split}/{numbers[split]:05}.txt"
                document = Document(name, split, path, file.tell(), text.nbytes, text.sha256.hex())
                for portion in _portions(staged, text.start, text.nbytes):
                    file.write(portion)
                listed.write(json.dumps(msgspec.structs.asdict(document), sort_keys=True, ensure_ascii=False) + "\n")
                n_documents, nbytes = counts[split]
                counts[split] = (n_documents + 1, nbytes + text.nbytes)
    finally:
        for file in files.values():
            file.close()
    return counts


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    data = read(command.params_of(arguments), Data)
    with command.publishing(arguments.out) as temporary:
        counts = build(data, arguments.root, temporary / "corpus")
    for split, (n_documents, nbytes) in counts.items():
        command.say(f"{split}: {n_documents:,} document{'s' * (n_documents != 1)}, {nbytes:,} bytes")


if __name__ == "__main__":
    arguments = command.parser("corpus", "Fetch, clean and split the documents of data.sources.")
    arguments.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="what file: sources count from (default: here)"
    )
    sys.exit(command.run(main, arguments))
