"""[export]: how model.bin is written."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from training.config.section import Section


class Export(Section, frozen=True):
    """How model.bin is written."""

    NAME: ClassVar[str] = "export"

    dtype: Literal["f32", "f16", "q8_0", "q4_0"]  # of the matrices; norms are always f32
    golden_prompt: Annotated[str, Meta(min_length=1)]  # its first 64 tokens at most are FORMAT.md's golden prompt
    # Of the model, by Hugging Face's word for it ("mit", "apache-2.0", "other"), for the model card; "": not stated.
    license: Annotated[str, Meta(pattern="^([a-z0-9][a-z0-9.+-]*)?$")] = ""
