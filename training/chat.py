"""Messages in, the ids of a prompt out: a model's chat template, rendered in Jinja's sandbox.

Special tokens count where the template wrote them and nowhere else: before it is rendered, each one that a message
contains is replaced by a mark that nobody can guess, and comes back as ordinary text. The command line
(rust/cli/src/template.rs) and the page (web/src/package/chat.ts) do the same; tests/vectors/chat_templates.json holds
all three to it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

Messages = Sequence[Mapping[str, str]]  # each with "role" and "content"


@dataclass(frozen=True)
class Template:
    """A chat template and what it needs to know of its model."""

    text: str
    special_tokens: Sequence[str]
    bos_token: str = ""
    eos_token: str = ""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def prompt(self, messages: Messages) -> list[str]:
        """The prompt that asks for the next answer, in parts by turns: the template's text, in which special tokens
        count, and a person's, in which they are ordinary text.

        Raises ValueError for what the template is wrong in, or refuses.
        """
        return self._parts(self._rendered(messages, asks=True))

    def turns(self, messages: Messages) -> list[tuple[list[str], bool]]:
        """A whole chat as pieces, each in parts as `prompt` gives them, and whether it is an answer: the pieces before
        an answer are the prompt that asked for it, and what follows the answer's text up to the end of its message
        belongs to it.

        Some templates write an earlier answer in another way once a question follows it. Such an answer is part of the
        prompt here: only what stands as it was generated can be learnt from.

        Raises ValueError as `prompt` does, and where no answer stands as it was generated.
        """
        whole = self._rendered(messages, asks=False)
        pieces: list[tuple[list[str], bool]] = []
        done = 0
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._rendered(messages[:index], asks=True)
            after = self._rendered(messages[: index + 1], asks=False)
            if len(before) >= done and after.startswith(before) and whole.startswith(after):
                pieces += [(self._parts(whole[done : len(before)]), False)]
                pieces += [(self._parts(whole[len(before) : len(after)]), True)]
                done = len(after)
        if not pieces:
            raise ValueError(
                "the chat template writes no answer as it would be generated, so there is nothing to learn from"
            )
        return [*pieces, (self._parts(whole[done:]), False)]

    @cached_property
    def _longest_first(self) -> list[str]:
        return sorted(self.special_tokens, key=len, reverse=True)

    @property
    def _mark(self) -> str:
        return f"\ue000{self.nonce}:"

    @cached_property
    def _compiled(self) -> JinjaTemplate:
        def raise_exception(message: str) -> NoReturn:
            raise TemplateError(message)

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = raise_exception
        return environment.from_string(self.text)

    def _rendered(self, messages: Messages, asks: bool) -> str:
        """The template's text, with a mark and a number in place of each special token of a message."""
        given = [{**message, "content": self._safe(message["content"])} for message in messages]
        tokens = {"bos_token": self.bos_token, "eos_token": self.eos_token}
        try:
            return self._compiled.render(messages=given, add_generation_prompt=asks, **tokens)
        except (TemplateError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"the chat template cannot be used: {error}") from error

    def _safe(self, text: str) -> str:
        if not self.special_tokens:
            return text
        numbers = {token: number for number, token in enumerate(self._longest_first)}
        either = "|".join(map(re.escape, self._longest_first))
        return re.sub(either, lambda found: f"{self._mark}{numbers[found[0]]}\ue001", text)

    def _parts(self, rendered: str) -> list[str]:
        first, *rest = rendered.split(self._mark)
        parts = [first]
        for piece in rest:
            number, _, after = piece.partition("\ue001")
            parts += [self._longest_first[int(number)], after]
        return parts
