"""Long texts in parts, so that memory stays flat: whoever works part by part gets what the whole would have given."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

PART_NBYTES = 8 << 20  # about so much of a document is in memory at a time
NEAR = 4096  # characters


class Stream(Protocol):
    """What bytes are read from: a file, a member of an archive."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""


class Checked:
    """A stream that must have a digest when it has been read to its end: it is read once for both."""

    def __init__(self, stream: Stream, sha256: str, otherwise: str) -> None:
        """otherwise: what is wrong where it has another."""
        self._stream, self._sha256, self._otherwise = stream, sha256, otherwise
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """As of any file. Raises ValueError at the end, if the digest is another."""
        data = self._stream.read(size)
        self._digest.update(data)
        if (not data or size < 0) and self._digest.hexdigest() != self._sha256:
            raise ValueError(self._otherwise)
        return data


def decoded(name: str, stream: Stream, nbytes: int = PART_NBYTES) -> Iterator[str]:
    """A UTF-8 stream as text, read in portions of `nbytes`; a byte-order mark at its beginning is left out.

    Raises ValueError with the document's name and the byte's offset where it is not UTF-8.
    """
    decode = codecs.getincrementaldecoder("utf-8")()
    read, first = 0, True
    while True:
        data = stream.read(nbytes)
        waiting = decode.getstate()[0]  # a character's first bytes, at the end of the portion before
        try:
            text = decode.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise _not_utf8(name, read - len(waiting), error) from error
        read += len(data)
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        if text:
            yield text
        if not data:
            return


def decoded_whole(name: str, data: bytes) -> str:
    """As `decoded`, of all bytes at once: of short documents that takes a fifth of the time."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _not_utf8(name, 0, error) from error


def _not_utf8(name: str, read: int, error: UnicodeDecodeError) -> ValueError:
    """read: how many bytes there are before those that were decoded."""
    return ValueError(
        f"{name}: not UTF-8 at byte {read + error.start} (0x{error.object[error.start]:02x}: {error.reason}); "
        "convert the file to UTF-8 or leave it out of data.sources"
    )


def cut_after(texts: Iterable[str], ends: tuple[str, ...]) -> Iterator[str]:
    """The same text, cut only right after one of `ends` (the last part may end anywhere). A text without any of them is
    one part.
    """
    waiting: list[str] = []
    tail = ""  # an end may straddle two portions
    longest = max(map(len, ends))
    for text in texts:
        joined = tail + text
        at = max(joined.rfind(end) + len(end) if end in joined else 0 for end in ends) - len(tail)
        if at > 0:
            yield "".join([*waiting, text[:at]])
            waiting = []
            text = text[at:]
            tail = ""
        if text:
            waiting.append(text)
        tail = (tail + text)[-longest + 1 :] if longest > 1 else ""
    if waiting:
        yield "".join(waiting)


def cut_between_words(texts: Iterable[str], safe_cut: Callable[[str], int]) -> Iterator[str]:
    """The same text, cut only where `safe_cut` finds a place: the last one in a text that changes no words, whatever
    comes after it, or 0 (pocketlm_tokenizer.safe_cut; it looks at two characters). So the words of the parts are those
    of the whole. A text without such a place is one part.
    """
    waiting = ""
    searched = 0
    for text in texts:
        waiting += text
        # Near the end there nearly always is one, and a long text takes as long to look at as to copy.
        for tail in sorted({max(searched, len(waiting) - NEAR), searched}, reverse=True):
            if at := safe_cut(waiting[tail:]):
                yield waiting[: tail + at]
                waiting = waiting[tail + at :]
                break
        searched = max(len(waiting) - 1, 0)
    if waiting:
        yield waiting
