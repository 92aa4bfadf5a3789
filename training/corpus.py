"""Sources in, cleaned documents out, split into training and validation text.

Writes OUT/corpus/:  documents.json   a list of {"name", "split", "path", "nbytes", "sha256"}, sorted by name
                     train/00000.txt  one document a file: UTF-8, NFC, LF (training/clean.py)
                     val/00000.txt
A part of one document at a time is in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from training import command, sources
from training.clean import cleaned
from training.config.data import Data
from training.config.section import read
from training.documents import SPLITS, Document
from training.parts import PART_NBYTES
from training.split import cut, held_out


def build(data: Data, root: Path, out: Path) -> list[Document]:
    """Fetch, clean and split all documents into the folder `out`, which must be empty. Returns them sorted by name.

    root: what `file:` counts from. Raises ValueError, with the source's name, for anything that cannot be read or
    split.
    """
    staged = out / "staged"
    staged.mkdir(parents=True)
    origin: dict[str, str] = {}  # document name -> URI
    kept: dict[str, _Staged] = {}  # document name -> its text
    seen: dict[str, str] = {}  # sha256 -> document name
    for source in data.sources:
        for name, stream in sources.documents(source, root):
            if name in origin:
                raise ValueError(f"{source.uri}: {name} is also in {origin[name]}; narrow one of the two globs")
            origin[name] = source.uri
            try:
                text = _write(staged / str(len(origin)), cleaned(name, stream))
            except ValueError as error:
                raise ValueError(f"{source.uri}: {error}") from error
            if not text.nbytes:
                command.say(f"{name}: left out, there is no text in it")
                continue
            if text.sha256 in seen:  # a copy on the other side of the split would make the validation text known
                command.say(f"{name}: left out, its text is that of {seen[text.sha256]}")
                text.path.unlink()
                continue
            seen[text.sha256] = name
            kept[name] = text
    if not kept:
        raise ValueError(f"the corpus is empty: no text in {', '.join(source.uri for source in data.sources)}")

    if len(kept) == 1 and not data.val_documents:
        ((name, whole),) = kept.items()
        split_of = {f"{name}#{split}": split for split in SPLITS}
        kept = dict(zip(split_of, _cut(name, whole, data.val_fraction), strict=True))
    else:
        val = held_out(list(kept), data)
        split_of = {name: "val" if name in val else "train" for name in kept}

    documents: list[Document] = []
    counts = dict.fromkeys(SPLITS, 0)
    for name, text in sorted(kept.items()):
        split = split_of[name]
        path = out / split / f"{counts[split]:05}.txt"
        counts[split] += 1
        path.parent.mkdir(exist_ok=True)
        text.path.rename(path)
        documents.append(Document(name, split, path.relative_to(out).as_posix(), text.nbytes, text.sha256))
    shutil.rmtree(staged)
    command.write_json(out / "documents.json", [vars(document) for document in documents])
    return documents


@dataclass(frozen=True)
class _Staged:
    """A text that waits for its split."""

    path: Path
    nbytes: int
    sha256: str


def _write(path: Path, texts: Iterable[str]) -> _Staged:
    digest, nbytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        for text in texts:
            encoded = text.encode()
            nbytes += file.write(encoded)
            digest.update(encoded)
    return _Staged(path, nbytes, digest.hexdigest())


def _cut(name: str, text: _Staged, fraction: float) -> Iterator[_Staged]:
    """The two parts of a lone document."""
    with text.path.open("rb") as file:
        with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            at = cut(name, mapped, fraction)
        first = iter(lambda: file.read(min(PART_NBYTES, at - file.tell())), b"")
        for split, portions in zip(SPLITS, (first, iter(lambda: file.read(PART_NBYTES), b"")), strict=True):
            digest, nbytes = hashlib.sha256(), 0
            path = text.path.with_name(split)
            with path.open("wb") as part:
                for portion in portions:
                    nbytes += part.write(portion)
                    digest.update(portion)
            yield _Staged(path, nbytes, digest.hexdigest())


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    data = read(command.params_of(arguments), Data)
    with command.publishing(arguments.out) as temporary:
        documents = build(data, arguments.root, temporary / "corpus")
    for split in SPLITS:
        chosen = [document for document in documents if document.split == split]
        nbytes = sum(document.nbytes for document in chosen)
        command.say(f"{split}: {len(chosen)} document{'s' * (len(chosen) != 1)}, {nbytes:,} bytes")


if __name__ == "__main__":
    arguments = command.parser("corpus", "Fetch, clean and split the documents of data.sources.")
    arguments.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="what file: sources count from (default: here)"
    )
    sys.exit(command.run(main, arguments))
