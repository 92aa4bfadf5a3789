"""GGUF's vocabulary in, our tokenizer out, and back: byte-level BPE whose split `tokenizer.ggml.pre` names.

The tokens, their types and the merges are put into the shape of Hugging Face's tokenizer.json, which the tokenizer core
reads: so their order of merges, and tokens that no merge makes, are treated as in any other file.
Source: llama.cpp's `llama-vocab.cpp` for the meaning of `pre` and of the token types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pocketlm_tokenizer import Tokenizer

# tokenizer.ggml.pre -> (split, ignore_merges, NFC). llama.cpp normalises nothing; Qwen's own tokenizer does.
PRE: dict[str, tuple[str, bool, bool]] = {
    "gpt-2": ("gpt2", False, False),
    "smollm": ("smollm2", False, False),
    "llama-bpe": ("llama3", True, False),
    "llama3": ("llama3", True, False),
    "llama-v3": ("llama3", True, False),
    "dbrx": ("llama3", False, False),
    "qwen2": ("qwen2", False, True),
    "gpt-4o": ("o200k", False, False),
}
# gguf.TokenType
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BASE_TEXT = " ".join(chr(code) for code in range(33, 127))


def read(fields: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a file's metadata. Raises ValueError that names what is missing or not supported."""
    model = fields.get("tokenizer.ggml.model")
    if model != "gpt2":
        raise ValueError(
            f"tokenizer.ggml.model={model!r} is not supported: only byte-level BPE (gpt2) is"
            + ("; llama is SentencePiece, another algorithm" if model == "llama" else "")
        )
    pre = fields.get("tokenizer.ggml.pre")
    if pre not in PRE:
        raise ValueError(f"tokenizer.ggml.pre={pre!r} is not supported; there are: {', '.join(sorted(PRE))}")
    split, ignore_merges, nfc = PRE[pre]
    tokens, merges = fields.get("tokenizer.ggml.tokens"), fields.get("tokenizer.ggml.merges")
    if not tokens or merges is None:
        raise ValueError("there is no tokenizer.ggml.tokens or no tokenizer.ggml.merges")
    types = fields.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    if len(types) != len(tokens):
        raise ValueError(f"tokenizer.ggml.token_type has {len(types)} entries, expected {len(tokens)}")
    if unknown := sorted(set(types) - {NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED}):
        raise ValueError(f"tokenizer.ggml.token_type {unknown[0]} is not supported in a byte-level vocabulary")
    text = hf_json(tokens, types, merges, pre_tokenizer_of(split), ignore_merges, nfc)
    return Tokenizer.from_hf_json(text)


def hf_json(
    tokens: Sequence[str],
    types: Sequence[int],
    merges: Sequence[str],
    pre_tokenizer: Any,
    ignore_merges: bool,
    nfc: bool,
) -> str:
    """Hugging Face's tokenizer.json of these parts. A control token is special; one that a user defined is found in any
    text; an unused one is left out, so that its id has no text."""
    vocab: dict[str, int] = {}
    added = []
    for number, (token, kind) in enumerate(zip(tokens, types, strict=True)):
        if kind == UNUSED:
            continue
        if token in vocab:
            raise ValueError(f"tokenizer.ggml.tokens: {token!r} is both {vocab[token]} and {number}")
        vocab[token] = number
        if kind in (UNKNOWN, CONTROL, USER_DEFINED):
            added.append({"id": number, "content": token, "special": kind != USER_DEFINED, "normalized": False})
    return json.dumps(
        {
            "added_tokens": added,
            "normalizer": {"type": "NFC"} if nfc else None,
            "pre_tokenizer": pre_tokenizer,
            "decoder": {"type": "ByteLevel"},
            "model": {
                "type": "BPE",
                "ignore_merges": ignore_merges,
                "vocab": vocab,
                "merges": list(merges),
            },
        }
    )


class Parts(NamedTuple):
    """A vocabulary as GGUF's metadata holds it."""

    pre: str
    tokens: list[str]  # by id
    types: list[int]
    merges: list[str]


def parts(tokenizer: Tokenizer, rows: int) -> Parts:
    """The metadata of a tokenizer. rows: of the embedding; an id without a token gets one that nothing encodes to.

    Raises ValueError for a split that llama.cpp has no name for.
    """
    made = json.loads(tokenizer.to_hf_json())
    model, nfc = made["model"], made["normalizer"] is not None
    asked = (tokenizer.split, model["ignore_merges"])
    names = [name for name, (split, ignores, _) in PRE.items() if (split, ignores) == asked]
    if not names:
        raise ValueError(f"the split {tokenizer.split} has no name in GGUF: only a Hugging Face folder can hold it")
    names.sort(key=lambda name: PRE[name][2] != nfc)
    tokens, types = [f"[PAD{number}]" for number in range(rows)], [UNUSED] * rows
    for token, number in model["vocab"].items():
        tokens[number], types[number] = token, NORMAL
    for added in made["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    return Parts(names[0], tokens, types, [" ".join(pair) for pair in model["merges"]])


def pre_tokenizer_of(split: str) -> Any:
    """What a tokenizer.json calls a split: the core's own word for it."""
    tokenizer = Tokenizer.train([BASE_TEXT], vocab_size=257, split=split)
    return json.loads(tokenizer.to_hf_json())["pre_tokenizer"]
