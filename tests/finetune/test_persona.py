"""The whole way, as a user goes it: 200 chats of a made-up person, SmolLM2-135M, and questions that it has not seen, in
the command line and in the page.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from stages import check, tools
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


def asked_in_the_page(base: Path, tuned: Path, folder: Path) -> None:
    """Ask both the same in Chromium: tests/e2e/persona.spec.ts says how many answers must come word for word."""
    questions = list(persona.questions(persona.HELD_OUT))
    given = folder / "finetuned.json"
    given.write_text(json.dumps({"base": str(base), "tuned": str(tuned), "questions": questions}), encoding="utf-8")
    env = {
        **os.environ,
        "E2E_BUNDLE": str(tuned.parent / "web"),
        "E2E_FINETUNED": str(given),
        "E2E_CHROMIUM": tools.chromium() or "",
        "E2E_OUT": str(folder / "e2e"),
    }
    words = ["npm", "run", "--silent", "e2e", "--", "persona.spec.ts"]
    with check.web_copy(ROOT) as copy:
        done = subprocess.run(words, cwd=copy, env=env, text=True, capture_output=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "2 passed" in done.stdout, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.alone  # builds in this checkout
def test_the_tuned_model_answers_where_the_base_does_not(tmp_path: Path) -> None:
    """A quarter of an hour on two cores."""
    assert persona.write(tmp_path / "chats.jsonl") == 200
    built("export", "cli", "preset=smollm2")
    built("web", "preset=finetune", "data.sources=" + json.dumps([f"file:{tmp_path}/chats.jsonl"]))
    n_questions = len(list(persona.questions(persona.HELD_OUT)))
    before, after = (exact_matches(BUILD / preset / "model.bin") for preset in ("smollm2", "finetune"))
    print(f"exact matches of {n_questions} questions held out: {before} before, {after} after")
    assert before <= 0.05 * n_questions
    assert after >= 0.9 * n_questions
    asked_in_the_page(BUILD / "smollm2" / "model.bin", BUILD / "finetune" / "model.bin", tmp_path)
