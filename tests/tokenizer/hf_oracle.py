"""Hugging Face `tokenizers`, set up as the reference of ours, and the texts that both are tried on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parent.parent.parent
END = "<|endoftext|>"


def byte_level() -> pre_tokenizers.ByteLevel:
    """GPT-2's pre-tokenizer."""
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def train(
    documents: Iterable[str],
    vocab_size: int,
    special_tokens: Sequence[str] = (END,),
    min_frequency: int = 0,
    pre_tokenizer: pre_tokenizers.PreTokenizer | None = None,
    max_token_length: int | None = None,
) -> tokenizers.Tokenizer:
    """What ours must equal: their trainer on the same documents; GPT-2's pre-tokenizer if no other is given."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer or byte_level()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special_tokens),
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=max_token_length,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def content(tokenizer: tokenizers.Tokenizer) -> Any:
    """Everything that their tokenizer.json says."""
    return json.loads(tokenizer.to_str())


def encode_ordinary(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    """Their ids of a text whose special tokens are ordinary text."""
    tokenizer.encode_special_tokens = True
    return list(tokenizer.encode(text).ids)


def encode_special(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    """Their ids of a text whose special tokens become their ids: their default."""
    tokenizer.encode_special_tokens = False
    return list(tokenizer.encode(text).ids)


def _random_text(seed: int, size: int) -> str:
    """Scalar values of every plane, with spaces and letters between."""
    generator = random.Random(seed)
    scalars = (code if code < 0xD800 else code + 0x800 for code in (generator.randrange(0x10F800) for _ in range(size)))
    return "".join(chr(code) + generator.choice(["", "", " ", "a", "1", "'s"]) for code in scalars)


def _multilingual() -> str:
    return " ".join(
        [
            "Съешь же ещё этих мягких французских булок, да выпей чаю.",
            "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία.",
            "いろはにほへと ちりぬるを 我が世誰ぞ 常ならむ",
            "我能吞下玻璃而不伤身体。 我能吞下玻璃而不傷身體。",
            "다람쥐 헌 쳇바퀴에 타고파",
            "نص حكيم له سر قاطع وذو شأن عظيم ١٢٣٤",
            "दिने दिने शिक्षा ग्रहणं क्रियते १२३",
            "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
            "זה כיף סתם לשמוע איך תנצח קרפד עץ טוב בגן",
            "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich",
        ]
    )


DOCUMENTS: dict[str, list[str]] = {
    "prose": [p.read_text(encoding="utf-8") for p in sorted((ROOT / "tests" / "data").glob("*.txt"))],
    "code": [p.read_text(encoding="utf-8") for p in sorted((ROOT / "rust" / "tokenizer" / "src").glob("*.rs"))],
    "multilingual": [_multilingual() * 20, _multilingual()[::-1] * 3],
    "crlf": ["line one\r\nline two\r\n\r\n\tindented\r\n" * 40, "\r\r\n\n\r"],
    "spaces": [
        " " * 3000 + "x" + " " * 17,
        "a  b   c    d\n\n\n  e\t\t f",
        "\u3000\u3000全角\u00a0\u2028x\u0085y " * 20,
    ],
    "contractions": ["I'll we're can't it's I'm you've he'd IT'S 'sup o'clock '''s 's's ''t don' 't" * 30],
    "combining": ["e\u0301 a\u0308\u0301o n\u0303 \u0301x 1\u0301 \u0915\u094d\u0937\u093f " * 40],
    "emoji": ["🙂🙃 👩‍👩‍👧‍👦 🏳️‍🌈! 🇫🇷🇩🇪 1️⃣ text🙂text ❤️" * 30],
    "numbers": ["3.14159 1,000,000 ½ Ⅷ ٣٤٥ ²³ 0x1F 2026-11-23 ௧௨௩ 1a2b" * 30],
    "repeats": ["a" * 5000 + " " + "ab" * 2500 + " " + "abc" * 800 + " aaab aaaab aabaab" * 50],
    "random": [_random_text(seed, 4000) for seed in range(3)],
    "specials in the text": [f"one{END}two {END} <|endof text|> <|endoftext|" * 30],
    "one character": ["x"],
    "empty ones among others": ["", "to be", "", "or not to be", ""],
}

# Few letters, so that pairs repeat and overlap; every special case of the split; and anything at all.
TEXT = st.lists(
    st.one_of(
        st.text("abc", min_size=1, max_size=8),
        st.text("ab ", min_size=1, max_size=8),
        st.text(" \n\t\r\u00a0\u3000", min_size=1, max_size=4),
        st.sampled_from(
            ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", END, "\u0301", "🙂", "é", "中文", "٣", "Ⅷ"]
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    ),
    max_size=20,
).map("".join)
