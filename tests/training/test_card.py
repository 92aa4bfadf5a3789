"""The model card: what Hugging Face's own library reads of it, and that it says what the store knows."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from tests.interop import models
from tests.parity import models as models_of_parity
from tests.training.conftest import params, trained_files
from training import card, command, export
from training.format.file import read_model

EVALUATION = {
    "splits": {
        split: {"bpb": bpb, "low": bpb - 0.1, "high": bpb + 0.1, "n_bytes": 1234, "compressors": {"xz": 3.5}}
        for split, bpb in (("val", 2.5), ("test", 2.25))
    }
}


@pytest.fixture
def written(train: Callable[..., Path], tiny: Path, tmp_path: Path) -> Callable[..., tuple[ModelCard, dict[str, Any]]]:
    """written(evaluation, **overrides): the card of a tiny model, as the hub reads it, and card.json."""

    def make(evaluation: Any = None, **overrides: str) -> tuple[ModelCard, dict[str, Any]]:
        sizes = {"model__d_model": "64", "model__d_head": "16", "model__d_ff": "96", **overrides}
        out = train(train__steps="2", train__eval_tokens="1024", train__last_eval_tokens="1024", **sizes)
        given = params(export__dtype="f16", **sizes)
        export.build(given, *trained_files(out), tiny / "tokenizer", tiny / "shards", tmp_path / "model.bin")
        return read_card(tmp_path, given, evaluation)

    return make


def read_card(folder: Path, given: dict[str, Any], evaluation: Any = None) -> tuple[ModelCard, dict[str, Any]]:
    (folder / "params.json").write_text(json.dumps(given))
    if evaluation:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    card.main(
        argparse.Namespace(
            params=folder / "params.json",
            model=folder / "model.bin",
            evaluation=folder / "evaluation.json" if evaluation else None,
            out=folder,
        )
    )
    return ModelCard((folder / "README.md").read_text()), command.read_json(folder / "card.json")


def test_the_hub_reads_the_card(written: Callable[..., tuple[ModelCard, dict[str, Any]]], tmp_path: Path) -> None:
    shown, facts = written(EVALUATION, export__license="mit")
    model = read_model(tmp_path / "model.bin")
    n_parameters = sum(math.prod(stored.shape) for stored in model.stored.values())
    assert (shown.data.license, shown.data.library_name, shown.data.pipeline_tag) == (
        "mit",
        "transformers",
        "text-generation",
    )
    results = [(each.dataset_split, each.metric_type, each.metric_value) for each in shown.data.eval_results]
    assert results == [("validation", "bits_per_byte", 2.5), ("test", "bits_per_byte", 2.25)]
    assert shown.data.model_name == "pocketlm-tiny" == facts["name"]
    assert f"{n_parameters:,} parameters" in shown.text and facts["parameters"] == n_parameters
    assert "| validation | 2.500 | 2.400 … 2.600 | 1,234 | xz 3.500 |" in shown.text
    assert "- `file:tests/data/*.txt`" in shown.text
    assert f"Stored in f16 it needs {model.provenance['stored']['val_bpb']:.3f}" in shown.text
    assert facts["training"]["tokens_seen"] == 2 * 2 * 2 * 384
    assert set(facts["weights_bytes"]) == {"f32", "f16", "q8_0", "q4_0"}
    assert facts["weights_bytes"]["f16"] == sum(stored.data.size for stored in model.stored.values())
    assert str(tmp_path) not in (tmp_path / "README.md").read_text()


def test_what_nobody_knows_is_left_out(written: Callable[..., tuple[ModelCard, dict[str, Any]]]) -> None:
    shown, facts = written(model__family="fast")
    assert facts["license"] is None and "Licence: not stated." in shown.text
    assert "license" not in shown.data.to_dict() and "library_name" not in shown.data.to_dict()
    assert "transformers" not in shown.text, "it does not know this family"
    assert set(facts["scores"]) == {"val", "stored"} and "low" not in facts["scores"]["val"]


def test_a_model_that_others_trained(tmp_path: Path) -> None:
    """Of odd sizes, so that no block format fits; it brings its licence."""
    models_of_parity.write_random_model(
        tmp_path / "model.bin", models_of_parity.config(d_ff=50), 1, tokenizer=models.tokenizer().to_bytes()
    )
    model = read_model(tmp_path / "model.bin")
    origin = {"license": "apache-2.0", "name": "Theirs", "source": "hf://them/theirs", "sha256": None}
    model.provenance.clear()
    model.provenance.update({"import": origin})
    facts = card.facts({"params": {"preset": "mine"}}, model, None)
    shown = ModelCard(card.markdown(facts))
    assert (shown.data.license, shown.data.base_model) == ("apache-2.0", "them/theirs")
    assert "It comes from Theirs, `hf://them/theirs`." in shown.text
    assert list(facts["weights_bytes"]) == ["f32", "f16"]
    assert facts["scores"] == {} and "How good it is" not in shown.text and "Training" not in shown.text
