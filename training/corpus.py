"""Sources in, cleaned documents out, split into training and validation text.

Writes OUT/corpus/:  documents.json   a list of {"name", "split", "path", "nbytes", "sha256"}, sorted by name
                     train/00000.txt  one document a file: UTF-8, NFC, LF (training/clean.py)
                     val/00000.txt
One document at a time is in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training import command, config, sources
from training.clean import clean
from training.split import cut, held_out

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Document:
    """One entry of documents.json."""

    name: str  # its path in the source
    split: str  # "train" or "val"
    path: str  # relative to the corpus folder
    nbytes: int  # of its text in UTF-8
    sha256: str


def build(data: config.Data, root: Path, out: Path) -> list[Document]:
    """Fetch, clean and split all documents into the folder `out`, which must be empty. Returns them sorted by name.

    root: what `file:` counts from. Raises ValueError, with the source's name, for anything that cannot be read or
    split.
    """
    staged = out / "staged"
    staged.mkdir(parents=True)
    origin: dict[str, str] = {}  # document name -> URI
    seen: dict[str, str] = {}  # sha256 -> document name
    kept: dict[str, Path] = {}
    for source in data.sources:
        for name, raw in sources.documents(source, root):
            if name in origin:
                raise ValueError(f"{source.uri}: {name} is also in {origin[name]}; narrow one of the two globs")
            origin[name] = source.uri
            try:
                text = clean(name, raw)
            except ValueError as error:
                raise ValueError(f"{source.uri}: {error}") from error
            if not text:
                command.say(f"{name}: left out, there is no text in it")
                continue
            encoded = text.encode()
            digest = hashlib.sha256(encoded).hexdigest()
            if digest in seen:  # a copy on the other side of the split would make the validation text known
                command.say(f"{name}: left out, its text is that of {seen[digest]}")
                continue
            seen[digest] = name
            kept[name] = staged / digest
            kept[name].write_bytes(encoded)
    if not kept:
        raise ValueError(f"the corpus is empty: no text in {', '.join(source.uri for source in data.sources)}")

    texts: list[tuple[str, str, bytes | Path]] = []
    if len(kept) == 1 and not data.val_documents:
        ((name, path),) = kept.items()
        texts = [
            (f"{name}#{split}", split, part.encode())
            for split, part in zip(SPLITS, cut(name, path.read_text("utf-8"), data.val_fraction), strict=True)
        ]
    else:
        val = held_out(list(kept), data)
        texts = [(name, "val" if name in val else "train", path) for name, path in kept.items()]

    documents: list[Document] = []
    counts = dict.fromkeys(SPLITS, 0)
    for name, split, source_text in sorted(texts, key=lambda entry: entry[0]):
        encoded = source_text if isinstance(source_text, bytes) else source_text.read_bytes()
        path = out / split / f"{counts[split]:05}.txt"
        counts[split] += 1
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded)
        if isinstance(source_text, Path):
            source_text.unlink()
        documents.append(
            Document(name, split, path.relative_to(out).as_posix(), len(encoded), hashlib.sha256(encoded).hexdigest())
        )
    for left in staged.iterdir():
        left.unlink()
    staged.rmdir()
    command.write_json(out / "documents.json", [vars(document) for document in documents])
    return documents


def read(corpus: Path, split: str) -> Iterator[tuple[Document, str]]:
    """The documents of a split with their text, sorted by name. Raises ValueError where a file was changed."""
    listed = json.loads((corpus / "documents.json").read_text(encoding="utf-8"))
    for document in (Document(**entry) for entry in listed):
        if document.split == split:
            data = (corpus / document.path).read_bytes()
            if hashlib.sha256(data).hexdigest() != document.sha256:
                raise ValueError(
                    f"{corpus / document.path}: its text is not what documents.json says; build the corpus again"
                )
            yield document, data.decode()


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    data = config.section_from(command.params_of(arguments), config.Data)
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
