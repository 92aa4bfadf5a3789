"""A chat in, its tokens out, and which of them a model learns: the answers, each with the token that ends it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pocketlm_tokenizer import Tokenizer

from training.chat import Messages, Template


@dataclass(frozen=True)
class ChatTokens:
    """A chat as a model reads it."""

    ids: list[int]  # (T,)
    learnt: list[bool]  # (T,): whether the model learns to write this token
    n_answers: int  # of the answers that are learnt


def by_turns(tokenizer: Tokenizer, parts: Sequence[str]) -> list[int]:
    """The ids of parts by turns: of a template, in which special tokens count, and of a person, in which they are
    ordinary text."""
    return [token for index, part in enumerate(parts) for token in tokenizer.encode(part, special=index % 2 == 0)]


def encode(
    messages: Messages, template: Template, tokenizer: Tokenizer, stop_ids: Collection[int], ctx_len: int
) -> ChatTokens:
    """The tokens of a chat, as many whole answers as fit into ctx_len positions; none is left where n_answers is 0.

    Prompt and answer are encoded each by itself, as the engine does when it is asked.
    Raises ValueError where the template cannot be used.
    """
    made = ChatTokens([], [], 0)
    ids: list[int] = []
    learnt: list[bool] = []
    n_answers = 0
    for parts, is_answer in template.turns(messages):
        piece = by_turns(tokenizer, parts)
        ends = next((at + 1 for at, token in enumerate(piece) if token in stop_ids), len(piece)) if is_answer else 0
        if is_answer and len(ids) + ends > ctx_len:
            break
        ids += piece
        learnt += [at < ends for at in range(len(piece))]
        if ends:
            n_answers += 1
            last = len(ids) - len(piece) + ends  # nothing after the last answer is learnt, or asked for
            made = ChatTokens(ids[:last], learnt[:last], n_answers)
    return made
