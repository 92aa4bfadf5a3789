"""What a stream can show: a region that moves, colours, more than ASCII."""

from __future__ import annotations

import os
from typing import TextIO


def moves(stream: TextIO) -> bool:
    """Whether it is a terminal that can rewrite its lines."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def coloured(stream: TextIO) -> bool:
    """Whether it wants colours (no-color.org)."""
    return moves(stream) and not os.environ.get("NO_COLOR")


def shows_unicode(stream: TextIO) -> bool:
    """Whether it shows more than ASCII. Python writes UTF-8 in the C locale too (and sets LC_CTYPE, which therefore
    tells nothing); the terminal may not show it.
    """
    locale = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return str(getattr(stream, "encoding", "")).lower().startswith("utf") and locale not in ("C", "POSIX")
