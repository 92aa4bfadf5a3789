"""A chat as data: a list of messages, checked, and as the text of a document in the corpus.

A message is {"role": "system", "user" or "assistant", "content": TEXT}, as Hugging Face, OpenAI and most data sets of
chats write it; other fields are passed over. An answer is a message of the assistant.
"""

from __future__ import annotations

import json
from typing import Any

from training.command import parse_json
from training.data.clean import normal

ROLES = ("system", "user", "assistant")
Message = dict[str, str]  # "role" and "content"


def checked(messages: Any) -> list[Message]:
    """The messages of a chat, their texts in NFC and with LF. Raises ValueError that says which one is not as expected,
    or that there is nothing to learn from."""
    if not isinstance(messages, list):
        raise ValueError(f"a chat is a list of messages, not a {type(messages).__name__}")
    found = []
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            raise ValueError(f"message {number} is a {type(message).__name__}, not an object")
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise ValueError(f"message {number} has the role {role!r:.80}, which is not one of {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise ValueError(f'message {number} has no text "content", but {", ".join(message):.80}')
        found.append({"role": role, "content": normal(content)})
    if not any(message["role"] == "assistant" and message["content"].strip() for message in found):
        raise ValueError("there is no message of the assistant, so there is no answer to learn")
    return found


def as_text(messages: Any) -> str:
    """A chat as the text of a document; it has no line end within. Raises ValueError as `checked` does."""
    return json.dumps(checked(messages))


def of_text(text: str, where: str) -> list[Message]:
    """What `as_text` was given. Raises ValueError that begins with `where`."""
    try:
        return checked(parse_json(text.encode(), where))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith(where) else f"{where}: {message}") from error
