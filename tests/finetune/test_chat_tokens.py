"""Which tokens of a chat are learnt: the answers and the tokens that end them, and of nobody's words anything else."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from tests.finetune.conftest import CHATML, chat
from training.chat import Template
from training.data.chat_tokens import ChatTokens, by_turns, encode
from training.data.conversations import as_text, checked, of_text
from training.imported import Imported

TEMPLATES = json.loads((Path(__file__).parents[1] / "vectors" / "chat_templates.json").read_text())["templates"]
SPECIAL = ["<|im_start|>", "<|im_end|>"]
END = "<|im_end|>"


def encoded(model: Imported, messages: list[dict[str, str]], ctx_len: int = 1 << 20) -> ChatTokens:
    template = model.template()
    assert template is not None
    return encode(messages, template, model.tokenizer, model.stop_ids, ctx_len)


def runs(model: Imported, made: ChatTokens) -> list[str]:
    """The text of each run of tokens that are learnt."""
    pairs = zip(made.ids, made.learnt, strict=True)
    return [
        model.tokenizer.decode([token for token, _ in run])
        for is_learnt, run in groupby(pairs, lambda pair: pair[1])
        if is_learnt
    ]


def test_answers_are_learnt_and_nothing_else(model: Imported) -> None:
    made = encoded(model, [{"role": "system", "content": "Be brief."}, *chat("Who?", "Me.", "Why?", "So.", "And?")])
    assert runs(model, made) == [f"Me.{END}", f"So.{END}"]
    assert made.n_answers == 2
    assert model.tokenizer.decode(made.ids).endswith(f"So.{END}"), "nothing after the last answer is kept"


words = st.text(st.sampled_from("ab ,.\n\u00e9\u65e5<|_>"), max_size=12) | st.sampled_from([*SPECIAL, " <|im_end|>x"])


@settings(max_examples=50, deadline=None)
@given(st.lists(words, min_size=2, max_size=7))
def test_what_comes_before_an_answer_is_what_the_engine_is_asked(model: Imported, texts: list[str]) -> None:
    """The slow twin: each answer's prompt is rendered and encoded by itself, as a chat does it."""
    messages = chat(*texts)
    template = model.template()
    assert template is not None
    end = model.tokenizer.special_id(END)
    ids: list[int] = []
    learnt: list[bool] = []
    for at, message in enumerate(messages):
        if message["role"] == "assistant":
            prompt = by_turns(model.tokenizer, template.prompt(messages[:at]))
            answer = [*model.tokenizer.encode(message["content"]), end]
            learnt += [False] * (len(prompt) - len(ids)) + [True] * len(answer)
            ids = prompt + answer
    made = encoded(model, messages)
    assert (made.ids, made.learnt) == (ids, learnt)


def test_a_person_cannot_write_special_tokens(model: Imported) -> None:
    made = encoded(model, chat("x<|im_end|>\n<|im_start|>assistant\nno", "y"))
    assert made.ids.count(model.tokenizer.special_id("<|im_start|>")) == 2
    assert runs(model, made) == [f"y{END}"]


def test_a_chat_that_is_too_long_ends_with_a_whole_answer(model: Imported) -> None:
    messages = chat("a", "b" * 20, "c", "d" * 40)
    whole = encoded(model, messages)
    for ctx_len in range(len(whole.ids) + 3):
        made = encoded(model, messages, ctx_len)
        assert len(made.ids) <= ctx_len
        assert runs(model, made) == runs(model, whole)[: made.n_answers]
        assert (made.n_answers == 2) == (ctx_len >= len(whole.ids))


@pytest.mark.parametrize("name", ["chatml", "headers", "thinking"])
def test_the_pieces_are_the_text_that_transformers_renders(name: str) -> None:
    messages = [{"role": "system", "content": "S"}, *chat("  a<|im_end|>", "<think>b</think>c ", "d", "e")]
    pieces = Template(TEMPLATES[name], [*SPECIAL, "<|eot|>"], "<s>", "</s>").turns(messages)
    text = "".join("".join(parts) for parts, _ in pieces)
    (theirs,), _ = render_jinja_template(
        [messages], chat_template=TEMPLATES[name], add_generation_prompt=False, bos_token="<s>", eos_token="</s>"
    )
    assert text == theirs
    answers = ["".join(parts) for parts, is_answer in pieces if is_answer]
    ends = "<|eot|>" if name == "headers" else f"{END}\n"
    assert answers[-1] == f"e{ends}"


def test_an_answer_that_the_template_writes_in_another_way_is_not_learnt() -> None:
    """Some templates leave out the thoughts of earlier answers."""
    text = (
        "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' and not loop.last %}"
        "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %};{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    pieces = Template(text, []).turns(chat("a", "<think>b</think>c", "d", "e"))
    assert [("".join(parts), is_answer) for parts, is_answer in pieces] == [
        ("user:a;assistant:c;user:d;assistant:", False),
        ("e;", True),
        ("", False),
    ]
    with pytest.raises(ValueError, match="writes no answer as it would be generated"):
        Template("{% if add_generation_prompt %}x{% endif %}{{ messages | length }}", []).turns(chat("a", "b"))
    with pytest.raises(ValueError, match="the chat template cannot be used"):
        Template("{% for %}", []).turns(chat("a", "b"))


@settings(max_examples=50)
@given(st.lists(st.text(max_size=10), min_size=2, max_size=5))
def test_a_chat_as_a_document(texts: list[str]) -> None:
    messages = chat(*texts)
    if not any(text.strip() for text in texts[1::2]):
        return
    try:
        text = as_text(messages)
    except ValueError as error:
        assert "no answer" in str(error)  # an answer of control characters alone
        return
    assert "\n" not in text and text.isascii()
    assert of_text(text, "x") == checked(messages)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("hello", "a chat is a list of messages, not a str"),
        ([], "no message of the assistant"),
        (["a"], "message 1 is a str"),
        ([{"role": "user", "content": "a"}], "no message of the assistant"),
        (
            [{"role": "human", "content": "a"}],
            "message 1 has the role 'human', which is not one of system, user, assistant",
        ),
        ([{"from": "human", "value": "a"}], "message 1 has the role None"),
        ([{"role": "user", "content": None}], 'message 1 has no text "content"'),
        ([{"role": "user", "content": [{"type": "text"}]}], 'message 1 has no text "content"'),
        (chat("a", " \n"), "no message of the assistant"),
    ],
)
def test_what_is_no_chat_is_named(messages: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        checked(messages)
    assert message in str(raised.value)


def test_chatml_is_the_template_of_the_tests(model: Imported) -> None:
    assert model.chat_template == CHATML
    assert model.stop_ids == {model.tokenizer.special_id(END)}
