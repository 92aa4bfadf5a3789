"""Messages in, the ids of a prompt out: a model's chat template, rendered in Jinja's sandbox.

Special tokens count where the template wrote them and nowhere else: before it is rendered, each one that a message
contains is replaced by a mark that nobody can guess, and comes back as ordinary text. The command line
(rust/cli/src/template.rs) and the page (web/src/lib/chat.ts) do the same; tests/vectors/chat_templates.json holds all
three to it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment


def prompt(
    template: str,
    messages: Sequence[Mapping[str, str]],
    special_tokens: Sequence[str],
    bos_token: str = "",
    eos_token: str = "",
    nonce: str | None = None,
) -> list[str]:
    """The prompt that asks for the next answer, in parts by turns: the template's text, in which special tokens count,
    and a person's, in which they are ordinary text. messages: with "role" and "content".

    Raises ValueError for what the template is wrong in, or refuses.
    """
    ordered = sorted(special_tokens, key=len, reverse=True)
    mark = f"\ue000{nonce or secrets.token_hex(16)}:"

    def safe(text: str) -> str:
        if not ordered:
            return text
        numbers = {token: number for number, token in enumerate(ordered)}
        either = "|".join(map(re.escape, ordered))
        return re.sub(either, lambda found: f"{mark}{numbers[found[0]]}\ue001", text)

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    given = [{**message, "content": safe(message["content"])} for message in messages]
    try:
        text = environment.from_string(template).render(
            messages=given, add_generation_prompt=True, bos_token=bos_token, eos_token=eos_token
        )
    except (TemplateError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"the chat template cannot be used: {error}") from error
    first, *rest = text.split(mark)
    parts = [first]
    for piece in rest:
        number, _, after = piece.partition("\ue001")
        parts += [ordered[int(number)], after]
    return parts
