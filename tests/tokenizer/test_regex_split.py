"""A split by any regular expression cuts where Hugging Face's `Split(Regex(…), "isolated")` cuts, or is refused by
name; and its work is bounded.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import hf_oracle as oracle
import pytest
import split_oracle
import tokenizers
from hypothesis import given, settings
from pocketlm_tokenizer import SPLITS, Tokenizer, TokenizerError, WordCounts, safe_cut, split
from tokenizers import Regex, pre_tokenizers

WINDOW = 16 << 10  # no piece is longer
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PATTERNS = [
    GPT2,
    *split_oracle.PATTERNS.values(),
    r"\w+|[^\w\s]+",  # what is between matches is a piece
    r"\s+",
    r"(?=\p{Lu})",  # matches of nothing cut
    r"(?<=\n)(?=\S)|\b",
    r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|\z))|\P{N}+",  # numbers in threes from the right
    r"^.*$|\n",
    r"(?i)[a-z]+|(?-i:[À-Þ])|.",
    r"(\p{L})\1|\p{L}",
    r"(?>\s+)(?!\w)|[]\w-]++|[^\W_]",
    "[一-龥]|[぀-ヿ]+|.",
]
ATOMS = split_oracle.ATOMS.elements  # type: ignore[attr-defined]


def pre_tokenizer(pattern: str) -> pre_tokenizers.PreTokenizer:
    """Theirs."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def splitter(pattern: str) -> Callable[[str], list[str]]:
    """The pieces by theirs."""
    theirs = pre_tokenizers.Split(Regex(pattern), "isolated")
    return lambda text: [piece for piece, _ in theirs.pre_tokenize_str(text)]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_documents_and_random_texts_are_split_as_theirs(pattern: str) -> None:
    theirs, name = splitter(pattern), f"regex:{pattern}"
    for documents in oracle.DOCUMENTS.values():
        for document in documents:
            text = document[:4000]  # no longer than a window
            assert split(text, name) == theirs(text)
    generator = random.Random(pattern)
    for _ in range(400):
        text = "".join(generator.choices(ATOMS, k=generator.randrange(14)))
        assert split(text, name) == theirs(text), repr(text)


@pytest.mark.parametrize("name", ["gpt2", *split_oracle.PATTERNS])
@settings(max_examples=100, deadline=None)
@given(text=split_oracle.TEXT | oracle.TEXT)
def test_a_scanner_cuts_as_its_pattern(name: str, text: str) -> None:
    """The slow twin of the scanners."""
    assert split(text, name) == split(text, f"regex:{ {'gpt2': GPT2, **split_oracle.PATTERNS}[name] }")


# Whatever stands for characters, or for a place, in Oniguruma's syntax.
CHARACTERS = [
    *[r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\h", r"\p{L}", r"\p{Lu}", r"\p{N}", r"\P{M}", r"\p{^L}", r"\p{Han}"],
    *["a", "A", "é", " ", "1", "!", "'s", r"\n", r"\x{301}", "."],
    *["[a-c]", "[^a]", r"[\w'-]", r"[^\W\d_]", r"[^\s\p{L}\p{N}]", r"[[a-z]&&[^b]]", "[]a]", r"[\r\n]"],
]
PLACES = ["^", "$", r"\b", r"\B", r"\A", r"\z"]
QUANTIFIERS = ["", "", "", "?", "*", "+", "{1,3}", "{2}", "{,2}", "*?", "+?", "??", "++", "?+", "*+"]


def test_classes_hold_the_characters_of_theirs() -> None:
    """Where the category changes, and some between: each class tells them apart as theirs does."""
    picked = random.Random(0).sample(range(0x300, 0x20000), 3000)
    text = "".join(
        chr(code) for code in [*range(0x300), *range(0x2000, 0x2070), *picked] if not 0xD800 <= code < 0xE000
    )
    for characters in CHARACTERS:
        for pattern in (f"(?:{characters})+", f"(?:{characters})\\b|."):
            assert split(text, f"regex:{pattern}") == splitter(pattern)(text), pattern


def random_pattern(generator: random.Random, depth: int = 0) -> str:
    """Some alternatives. A group that can match nothing is not repeated: there Oniguruma ends in ways of its own."""

    def term() -> str:
        if depth < 2 and generator.random() < 0.25:
            opens = generator.choice(["(?:", "(", "(?=", "(?!", "(?>"])
            quantifier = generator.choice(["", "?"]) if opens in ("(?:", "(", "(?>") else ""
            return f"{opens}{random_pattern(generator, depth + 1)}){quantifier}"
        if generator.random() < 0.15:
            return generator.choice(PLACES)
        if generator.random() < 0.1:
            return generator.choice(["(?<=", "(?<!"]) + generator.choice([*CHARACTERS, *PLACES]) + ")"
        return generator.choice(CHARACTERS) + generator.choice(QUANTIFIERS)

    alternatives = generator.choice([1, 1, 2, 3])
    return "|".join("".join(term() for _ in range(generator.randrange(1, 4))) for _ in range(alternatives))


def test_random_patterns_split_as_theirs() -> None:
    generator = random.Random(4)
    compared = 0
    for _ in range(700):
        pattern = random_pattern(generator)
        try:
            theirs = splitter(pattern)
        except Exception:  # what they refuse is not ours to match
            continue
        for _ in range(10):
            text = "".join(generator.choices(ATOMS, k=generator.randrange(1, 12)))
            assert split(text, f"regex:{pattern}") == theirs(text), (pattern, text)
            compared += 1
    assert compared > 5000


@pytest.mark.parametrize("pattern", [*PATTERNS[1:3], r"\w+|[^\w\s]+", r"(?=\p{Lu})"])
def test_training_encoding_and_files_are_theirs(pattern: str) -> None:
    documents = [document[:3000] for documents in oracle.DOCUMENTS.values() for document in documents]
    theirs = oracle.train(documents, 1200, [], pre_tokenizer=pre_tokenizer(pattern))
    ours = Tokenizer.train(documents, 1200, [], split=f"regex:{pattern}")
    assert json.loads(ours.to_hf_json())["model"] == oracle.content(theirs)["model"]
    assert json.loads(ours.to_hf_json())["pre_tokenizer"] == oracle.content(theirs)["pre_tokenizer"]
    again = Tokenizer.from_bytes(ours.to_bytes())
    read = Tokenizer.from_hf_json(theirs.to_str())
    assert again.split == ours.split == f"regex:{pattern}"
    assert again.to_bytes() == ours.to_bytes()
    loaded = tokenizers.Tokenizer.from_str(ours.to_hf_json())
    for document in documents:
        ids = oracle.encode_ordinary(theirs, document)
        assert ours.encode(document) == again.encode(document) == read.encode(document) == ids
        assert oracle.encode_ordinary(loaded, document) == ids
        assert ours.decode(ids) == document


def test_a_pattern_of_a_split_that_has_a_name_is_that_split() -> None:
    for name in SPLITS:
        ours = Tokenizer.train(["to be"], 260, split=name)
        assert Tokenizer.from_hf_json(ours.to_hf_json()).split == name


def test_words_are_counted_by_a_pattern_and_by_no_other() -> None:
    words = WordCounts(r"regex:\w+")
    words.add(["to be, or not"], threads=2)
    assert sorted(words.items()) == [(b" ", 2), (b", ", 1), (b"be", 1), (b"not", 1), (b"or", 1), (b"to", 1)]
    with pytest.raises(TokenizerError, match=r'by the split "gpt2", expected "regex:\\\\w\+"'):
        WordCounts().merge(words)


def test_no_place_is_known_to_be_safe() -> None:
    assert safe_cut("one two three", r"regex:\w+") == 0
    ours = Tokenizer.train(["one two three"], 260, split=r"regex:\w+")
    assert ours.safe_cut("one two three") == 0
    long = "one two three " * 100_000
    assert ours.encode_u32(long, threads=2) == ours.encode_u32(long)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "Parsing error"),
        ("[a", "class"),
        (r"\p{Klingon}", "cannot split text"),
        ("(?s).", r"of all flags \(\?i\) alone"),
        ("(?m:a)", r"of all flags"),
        ("[[:alpha:]]", r"\[:…:\] holds other characters"),
        ("[a--b]", "operators in one engine alone"),
        (r"a\Kb", "depend on where the search before ended"),
        (r"\R", "match in other ways"),
        ("a(?# comment)", "leave it out"),
        (r"\p{Word}", "other characters"),
        (r"(?i)\p{Lu}", r"where \(\?i\) is in force"),
        ("(?i:ss)", "two of its characters for one"),
        ("a" * 3000, "3000 bytes, at most 2048"),
        (r"(?:(?:\p{L}{200}){200}){200}", "cannot split text"),
    ],
)
def test_what_the_engines_understand_differently_is_refused(pattern: str, problem: str) -> None:
    with pytest.raises(TokenizerError, match=problem):
        split("text", f"regex:{pattern}")


def test_a_longer_piece_ends_with_its_window() -> None:
    letters = "a" * (2 * WINDOW + 100)
    assert [len(piece) for piece in split(letters, r"regex:\p{L}+")] == [WINDOW, WINDOW, 100]
    wide = "é" * (WINDOW // 2 + 1) + "言" * WINDOW
    pieces = split(wide, r"regex:\p{L}+")
    assert "".join(pieces) == wide
    assert all(WINDOW - 3 < len(piece.encode()) <= WINDOW for piece in pieces[:-1])
    exact = "b" * (WINDOW - 1) + " " + letters[: WINDOW - 1] + " c"
    assert split(exact, r"regex: ?\p{L}+(?!\p{L})") == splitter(r" ?\p{L}+(?!\p{L})")(exact)


# A search that takes exponentially many steps; one of as many steps as there is text, at each place; one that finds
# nothing; and ordinary ones. (rust/tokenizer/src/split/regex.rs counts the searches of these and more.)
HOSTILE = [
    (r"(?:a|a)*+b|(a*)*\1c|a", "a"),
    (r"a*(?=b)|.", "a"),
    (r"x(?=y)", "a"),
    (r"(?:a?){20}a{20}(?!a)|a", "a"),
    (split_oracle.LLAMA3, " "),
    (split_oracle.PATTERNS["o200k"], "A"),
]


@pytest.mark.alone
@pytest.mark.parametrize(("pattern", "unit"), HOSTILE)
def test_work_grows_as_the_text(pattern: str, unit: str) -> None:
    """Four times the text takes about four times as long, beyond what the first window costs."""

    def seconds(nbytes: int) -> float:
        text = unit * nbytes
        started = time.process_time()
        assert "".join(split(text, f"regex:{pattern}")) == text
        return time.process_time() - started

    less, more = seconds(3 * WINDOW), seconds(12 * WINDOW)
    assert more < 8 * less + 1, (less, more)
