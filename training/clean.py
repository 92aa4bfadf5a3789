"""Bytes of a document in, plain text out: UTF-8, NFC, LF, no control characters; Markdown plays as plain plays.

A play comes out in one form, whatever marks its Markdown used:

    SCENE I. A desert place.

    [Thunder and lightning. Enter three Witches]

    First Witch:
    When shall we three meet again
"""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # tab and line feed stay
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)

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
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: not UTF-8 at byte {error.start} (0x{data[error.start]:02x}: {error.reason}); "
            "convert the file to UTF-8 or leave it out of data.sources"
        ) from error
    text = _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", text.removeprefix("\ufeff")))
    text = _CONTROL.sub("", text)
    if name.lower().endswith(".md"):
        text = plain(text)
    text = _TRAILING.sub("", text).strip("\n")
    return text + "\n" if text.strip() else ""


def plain(markdown: str) -> str:
    """Markdown as plain text. Headings lose their marks, speakers (a line in bold) get a colon, stage directions (lines
    in italics) stand in brackets, other emphasis, links and escapes become their text. Paragraphs are parted by one
    empty line."""
    paragraphs = []
    for block in re.split(r"\n[ \t]*(?:\n[ \t]*)+", markdown):
        if direction := _DIRECTION.fullmatch(block.strip()):
            paragraphs.append(_bracketed(direction[1]))
        elif block.strip():
            paragraphs.append("\n".join(_plain_line(line.strip()) for line in block.strip("\n").split("\n")))
    return "\n\n".join(paragraphs)


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
