"""The tokenizer in wasm gives the ids that the native one gives: it normalises with the JavaScript engine's tables."""

from __future__ import annotations

import json
import random
import subprocess
import unicodedata
from pathlib import Path

import pytest
from pocketlm_tokenizer import SPLITS, Tokenizer

from tests.parity.conftest import BUILD
from tests.parity.models import config, write_random_model

PACKAGE = BUILD / "shared" / ".current" / "wasm" / "pkg"
ATOMS = [
    *("it's", " we'LL", "The ", "naïve ", "  ", "\r\n", "\t", "1234567", "x²", "<|endoftext|>", "—", "🙂", "ﬁ", "日本"),
    *("e\u0301", "\u0301", "\u1100\u1161\u11a8", "A\u030a", "\u212b", "s\u0323\u0307", "\u0958", "\u2126", "한"),
]


def with_nfc(split: str) -> Tokenizer:
    """A small vocabulary of this split that asks for NFC, as Qwen's does."""
    trained = Tokenizer.train([" ".join(ATOMS) * 3], 330, split=split)
    content = json.loads(trained.to_hf_json())
    content["normalizer"] = {"type": "NFC"}
    return Tokenizer.from_hf_json(json.dumps(content))


@pytest.mark.parametrize("split", SPLITS)
def test_the_ids_are_the_native_ones(tmp_path: Path, split: str) -> None:
    tokenizer = with_nfc(split)
    model = write_random_model(
        tmp_path / "model.bin", config(vocab_size=tokenizer.vocab_size), 1, tokenizer=tokenizer.to_bytes()
    )
    generator = random.Random(split)
    texts = ["".join(generator.choices(ATOMS, k=generator.randrange(40))) for _ in range(300)]
    assert any(unicodedata.normalize("NFC", text) != text for text in texts)
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    script = Path(__file__).with_name("encode.mjs")
    done = subprocess.run(
        ["node", str(script), str(PACKAGE), str(model.path), str(tmp_path / "texts.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [tokenizer.encode(text) for text in texts]
