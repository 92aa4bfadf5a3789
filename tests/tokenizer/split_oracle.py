"""Each split as Hugging Face's `tokenizers` does it with a regular expression, and texts that provoke what splits
differ in.
"""

from __future__ import annotations

from collections.abc import Callable

import hf_oracle as oracle
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PATTERNS = {
    # tiktoken's `$` is the end of the text, which this engine spells \z.
    "cl100k": LLAMA3.replace(r"|\s*[\r\n]+", r"|\s++\z|\s*[\r\n]+"),
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTION}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTION}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "llama3": LLAMA3,
    "qwen2": LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),
}


def pre_tokenizer(name: str) -> pre_tokenizers.PreTokenizer:
    """Theirs, by the name of ours."""
    if name == "gpt2":
        return oracle.byte_level()
    if name == "smollm2":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), oracle.byte_level()])
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS[name]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def splitter(name: str) -> Callable[[str], list[str]]:
    """The pieces by the oracle."""
    theirs = pre_tokenizer(name)
    return lambda text: [text[start:end] for _, (start, end) in theirs.pre_tokenize_str(text)]


# One of each kind that a pattern tells apart, and each contraction in all spellings.
ATOMS = st.sampled_from(
    [
        *"aZß中ʰǅ٣½9!/.'_ \t\n\r",
        *[
            "\u0301",
            "\u00a0",
            "\u3000",
            "\u0085",
            "\u2028",
            "\U00011de0",
            "\U0001d400",
            "🙂",
            "\r\n",
            "  ",
            "   ",
            "\n\n",
            "123",
            "4567",
        ],
        *[
            "'s",
            "'T",
            "'Re",
            "'vE",
            "'m",
            "'LL",
            "'d",
            "'\u017f",
            "'l",
            "'v",
            "hello",
            "Hello",
            "HELLO",
            "McDonald",
            "ÉTÉ",
            "//",
            "!!\n",
            "...\r\n",
        ],
        oracle.END,
    ]
)
TEXT = st.lists(ATOMS, max_size=14).map("".join)
