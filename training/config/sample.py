"""[sample]: the texts that a model writes, while it is trained and at the end."""

from __future__ import annotations

from typing import ClassVar

from training.config.section import CountOrNone, NotNegative, Section


class Sample(Section, frozen=True):
    """The texts that a model writes."""

    NAME: ClassVar[str] = "sample"

    prompts: tuple[str, ...] = ()  # each is continued; the page offers them as openings
    tokens: CountOrNone = 160  # tokens a text
    temperature: NotNegative = 0.8  # 0 = the likeliest token
    seed: CountOrNone = 1
