"""POCKETLM_STORE: which store of results counts beside the build folder's own."""

from __future__ import annotations

import os
from typing import NamedTuple

from ..errors import UsageError

STORE_VARIABLE = "POCKETLM_STORE"  # off, a folder of results that several build folders share, or a remote's URL


class Setting(NamedTuple):
    """The value of the variable."""

    given: bool = False
    reuse: bool = True  # False: only linked results are reused
    shared: str | None = None  # a folder of results that several build folders share
    remote: str | None = None  # a URL


def read_setting(text: str | None = None) -> Setting:
    """`text`, or the variable where it is None. Raises UsageError for what is neither off, a folder nor a URL."""
    text = os.environ.get(STORE_VARIABLE, "") if text is None else text
    if text in ("", "off"):
        return Setting(given=text != "", reuse=text == "")
    if "://" in text:
        return Setting(given=True, remote=text)
    scheme, colon, rest = text.partition(":")
    if colon and scheme.isalnum():
        raise UsageError(f"{STORE_VARIABLE}={text} is neither off, a folder nor a URL; as a URL: {scheme}://{rest}")
    return Setting(given=True, shared=os.path.abspath(os.path.expanduser(text)))
