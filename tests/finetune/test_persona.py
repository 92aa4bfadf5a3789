"""The whole way, as a user goes it: 200 chats of a made-up person, SmolLM2-135M, and questions that it has not seen."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from stages.paths import BUILD, ROOT
from tests.finetune import persona


def built(*words: str) -> None:
    """`./doitw WORDS`."""
    done = subprocess.run(["./doitw", *words], cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def exact_matches(model: Path) -> int:
    """How many of the questions held out the model answers word for word, at temperature 0."""
    found = 0
    for question, answer in persona.questions(persona.HELD_OUT):
        asked = ["chat", model, "--prompt", question, "--temperature", "0", "--max-tokens", "40", "--device", "cpu"]
        done = subprocess.run([BUILD / "bin" / "pocketlm", *asked], capture_output=True, text=True, check=True)
        found += done.stdout.strip() == answer
    return found


@pytest.mark.slow
def test_the_tuned_model_answers_where_the_base_does_not(tmp_path: Path) -> None:
    """Some ten minutes on two cores."""
    assert persona.write(tmp_path / "chats.jsonl") == 200
    built("export", "cli", "preset=smollm2")
    built("export", "preset=finetune", "data.sources=" + json.dumps([f"file:{tmp_path}/chats.jsonl"]))
    n_questions = len(list(persona.questions(persona.HELD_OUT)))
    before, after = (exact_matches(BUILD / preset / "model.bin") for preset in ("smollm2", "finetune"))
    print(f"exact matches of {n_questions} questions held out: {before} before, {after} after")
    assert before <= 0.05 * n_questions
    assert after >= 0.9 * n_questions
