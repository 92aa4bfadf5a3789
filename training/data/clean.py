"""Bytes of a document in, plain text out: UTF-8, NFC, LF, no control characters; Markdown plays as plain plays.

A play comes out in one form, whatever marks its Markdown used:

    SCENE I. A desert place.

    [Thunder and lightning. Enter three Witches]

    First Witch:
    When shall we three meet again
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator

from training.data.parts import PART_NBYTES, Stream, cut_after, decoded

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # tab and line feed stay
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\A(?:[ \t]*\n)+")

_RECORD = re.compile(r"#\d{9}$")  # of one document among several in a file (training/data/records.py)
_HEADING = re.compile(r"#{1,6}[ \t]+(.*?)[ \t#]*")
_SPEAKER = re.compile(r"\*\*([^*]+?)[.:]?\*\*[.:]?")
_DIRECTION = re.compile(
    r"(?:(?:__?|\*(?!\*))\[?|\[)([^_*\[\]]+?)\]?[_*]+", re.DOTALL
)  # also those that lost their first underscore
_EMPHASIS = re.compile(r"(?<![\w\\])([_*]{1,3})(?=\S)(.+?)(?<=[^\s\\])\1(?!\w)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")  # CommonMark 0.31, section 2.4


def clean(name: str, data: bytes) -> str:
    """The text of one document; its name decides whether it is Markdown (.md). Ends with one line feed, or is empty.

    Raises ValueError with the byte's offset where data is not UTF-8.
    """
    text = normal("".join(decoded(name, io.BytesIO(data))))
    if _is_markdown(name):
        text = plain(text)
    text = _TRAILING.sub("", text).strip("\n")
    return text + "\n" if text.strip() else ""


def cleaned(name: str, stream: Stream, nbytes: int = PART_NBYTES) -> Iterator[str]:
    """As `clean`, from a stream and in parts: about `nbytes` are in memory at a time. A document without line feeds (of
    Markdown: without empty lines) is held whole.
    """
    held, anything = "", False  # held: white space that goes out only if text follows
    for part in _normal_parts(name, stream, nbytes):
        text = held + _TRAILING.sub("", part)
        if not anything:
            text = text.lstrip("\n")
            anything = bool(text.strip())
        body = text.rstrip("\n") if anything else ""
        held = text[len(body) :]
        if body:
            yield body
    if anything:
        yield "\n"


def _normal_parts(name: str, stream: Stream, nbytes: int) -> Iterator[str]:
    """The document's text before its ends are trimmed, in parts."""
    texts = decoded(name, stream, nbytes)
    if not _is_markdown(name):
        yield from map(normal, cut_after(texts, ("\n",)))
        return
    between = ""
    for part in cut_after(texts, ("\n\n", "\n\r\n")):
        text = normal(part)
        found = _paragraphs(_BLANK_LINES.sub("", text) if between else text)
        if found:
            yield between + "\n\n".join(found)
            between = "\n\n"


def _is_markdown(name: str) -> bool:
    return _RECORD.sub("", name.lower()).endswith(".md")


def normal(text: str) -> str:
    """A text in NFC, with LF at the end of each line and no control characters."""
    return _CONTROL.sub("", _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", text)))


def plain(markdown: str) -> str:
    """Markdown as plain text. Headings lose their marks, speakers (a line in bold) get a colon, stage directions (lines
    in italics) stand in brackets, other emphasis, links and escapes become their text. Paragraphs are parted by one
    empty line."""
    return "\n\n".join(_paragraphs(markdown))


def _paragraphs(markdown: str) -> list[str]:
    paragraphs = []
    for block in re.split(r"\n[ \t]*(?:\n[ \t]*)+", markdown):
        if direction := _DIRECTION.fullmatch(block.strip()):
            paragraphs.append(_bracketed(direction[1]))
        elif block.strip():
            paragraphs.append("\n".join(_plain_line(line.strip()) for line in block.strip("\n").split("\n")))
    return paragraphs


def _plain_line(line: str) -> str:
    if heading := _HEADING.fullmatch(line):
        line = heading[1]
    elif speaker := _SPEAKER.fullmatch(line):
        line = f"{speaker[1]}:"
    elif direction := _DIRECTION.fullmatch(_ESCAPE.sub(r"\1", line)):
        return _bracketed(direction[1])
    return _ESCAPE.sub(r"\1", _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", line)))


def _bracketed(text: str) -> str:
    return "[" + " ".join(_ESCAPE.sub(r"\1", text).split()) + "]"
