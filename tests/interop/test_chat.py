"""The shared vectors of chat templates in Python; what transformers renders of the same messages has the same text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from training.chat import Template

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "chat_templates.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_shared_vectors(case: dict[str, Any]) -> None:
    template = VECTORS["templates"][case["template"]]
    words = (case["special_tokens"], case["bos_token"], case["eos_token"])
    if "error" in case:
        with pytest.raises(ValueError) as raised:
            Template(template, *words).prompt(case["messages"])
        assert case["error"] in str(raised.value)
        return
    parts = Template(template, *words).prompt(case["messages"])
    assert parts == case["parts"]
    assert all(part in case["special_tokens"] for part in parts[1::2])
    (theirs,), _ = render_jinja_template(
        [case["messages"]], chat_template=template, add_generation_prompt=True, bos_token=case["bos_token"]
    )
    assert "".join(parts) == theirs


def test_a_template_cannot_leave_its_sandbox() -> None:
    with pytest.raises(ValueError, match="cannot be used"):
        Template("{{ messages.__class__.__mro__[1].__subclasses__() }}", []).prompt([])
