"""`doit preview --compare`: which model a word means, and what is built of it, on the real store of the preset tiny."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages import compare, paths, settings
from stages.graph import GraphError
from stages.graph.manage.results import Results
from stages.project import GRAPH

TINY = f"{paths.TEST_PRESET}/train"


@pytest.fixture
def results() -> Results:
    return Results(GRAPH.look)


def test_a_preset_is_what_is_linked_of_it(results: Results) -> None:
    trained = results.find(TINY)
    assert compare._found(results, paths.TEST_PRESET) == trained
    assert compare._found(results, TINY) == trained
    assert compare._found(results, trained["key"][:12]) == trained
    exported = results.find(f"{paths.TEST_PRESET}/export")
    assert compare._found(results, exported["key"]) == exported
    assert compare._maker(results, exported) == trained


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("tinyy/train", "is neither a name"),
        (f"{paths.TEST_PRESET}/tokenizer", "is a result of tokenizer, and no model"),
        ("tinystories", "has no model yet; run `doit export preset=tinystories`"),
    ],
)
def test_what_is_no_model_is_said(results: Results, word: str, says: str) -> None:
    if (paths.BUILD / word / ".current" / "train").exists():
        pytest.skip(f"{word} was trained here")
    with pytest.raises(GraphError, match=says):
        compare._found(results, word)


def test_the_sizes_are_the_results_own() -> None:
    """Those that it left at their defaults too, where the preset sets them."""
    chosen = settings.resolve({"preset": "tiny", "model.family": "fast"}, {}, remember=False)
    found = compare._sizes({"model.n_layer": 3, "model.tie_embeddings": False, "train.lr": 1.0}, chosen)
    assert found["model.n_layer"] == "3" and found["model.tie_embeddings"] == "false"
    assert found["model.family"] == "llama" and "train.lr" not in found


def test_the_graph_of_a_result_is_linked_elsewhere(results: Results) -> None:
    receipt = results.find(TINY)
    plan = compare._plan(GRAPH.look, results, receipt, "exp.a")
    assert {plan.stages[name].scope for name in ("corpus", "tokenizer", "shards", "train", "export")} == {"exp.a"}
    assert plan.stages["wheel"].scope == "shared" and not plan.stages["export"].links
    assert plan.stages["export"].params["preset"] == paths.TEST_PRESET


def test_what_the_page_is_told(results: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained, exported = results.find(TINY), results.find(f"{paths.TEST_PRESET}/export")
    sides = [compare.Side(word, trained, exported) for word in ("one", "two")]
    served = compare.files(GRAPH, sides, tmp_path)
    told: dict[str, Any] = json.loads(served["compare.json"].read_text())
    assert told["also"] == "Both were made from the same parameters, sources and tools."
    for side, name, letter in zip(told["models"], ("one", "two"), "ab"):
        assert (side["name"], side["key"], side["url"]) == (name, trained["key"], f"models/{letter}.bin")
        assert side["parameters"] == [] and "val_bpb" in dict(side["metrics"])
        assert served[side["url"]].read_bytes()[:8] == b"POCKETLM"
