"""The export: the golden answer, the provenance and the picture of the run."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pocketlm_tokenizer import Tokenizer

from tests.training.conftest import never_stop, params, trained_files
from training import export, plot, reference
from training import train as training_run
from training.config.model import Model
from training.config.section import read
from training.data.shard_file import open_split
from training.format.file import read_model
from training.model.llama import Llama
from training.scoring import evaluate, token_nbytes


@pytest.fixture
def trained(train: Callable[..., Path]) -> Path:
    return train(train__steps="3", sample__tokens="2", train__eval_tokens="1024")


# Widths of whole blocks, which tiny's are not.
IN_BLOCKS = {"model__d_model": "64", "model__d_head": "16", "model__d_ff": "96"}


@pytest.mark.parametrize("family", ["llama", "fast"])
@pytest.mark.parametrize("dtype", ["f32", "f16", "q8_0", "q4_0"])
def test_golden_is_the_answer_of_the_stored_weights(
    train: Callable[..., Path], tiny: Path, tmp_path: Path, dtype: str, family: str
) -> None:
    path = tmp_path / "model.bin"
    sizes = {**IN_BLOCKS, "model__family": family}
    trained = train(train__steps="3", sample__tokens="2", train__eval_tokens="1024", **sizes)
    given = params(export__dtype=dtype, **sizes)
    export.build(given, *trained_files(trained), tiny / "tokenizer", tiny / "shards", path)
    model = read_model(path)
    tokenizer = Tokenizer.from_bytes(model.tokenizer_bytes)
    prompt = params()["params"]["export"]["golden_prompt"]
    assert list(model.golden.ids) == [0, *tokenizer.encode(prompt)][:64]
    assert model.architecture == family
    logits = reference.last_logits(model.config, model.stored, model.golden.ids).numpy()
    assert np.abs(logits - model.golden.logits).max() <= 1e-5 * max(float(logits.std()), 0.1)
    assert model.stored["model.layers.0.mlp.up_proj.weight"].dtype == dtype
    assert model.stored["model.embed_tokens.weight"].dtype == ("q8_0" if dtype == "q4_0" else dtype)
    assert model.stored["model.norm.weight"].dtype == "f32"


@pytest.fixture(scope="module")
def scored(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """A model trained for a while, exported in each dtype: its provenance, and bits per byte of the file's tensors."""
    out = tmp_path_factory.mktemp("scored")
    settings = params(sample__tokens="2", train__eval_every="1000", train__last_eval_tokens="4096", **IN_BLOCKS)
    inputs = training_run.load(settings, tiny / "shards", tiny / "tokenizer")
    training_run.run(inputs, out / "partial", out, never_stop())
    stream = open_split(tiny / "shards", "val")
    sizes = token_nbytes(Tokenizer.load(tiny / "tokenizer" / "tokenizer.tok"))
    found: dict[str, dict[str, Any]] = {}
    for dtype in ("f32", "f16", "q8_0", "q4_0"):
        given, path = params(export__dtype=dtype, **IN_BLOCKS), out / f"{dtype}.bin"
        header = export.build(given, *trained_files(out), tiny / "tokenizer", tiny / "shards", path)
        llama = Llama(read(given, Model), stream.vocab_size)
        llama.load_state_dict({name: torch.from_numpy(value) for name, value in read_model(path).tensors.items()})
        score = evaluate(llama, stream, sizes, 384, 64, torch.device("cpu"), 4096)
        found[dtype] = {"bpb": score.bpb, "provenance": header["provenance"]}
    return found


# q8_0 within 0.5 %, q4_0 within 4 % of f32; f16 rounds to 2^-11.
@pytest.mark.parametrize(("dtype", "share"), [("f32", 1e-6), ("f16", 1e-3), ("q8_0", 0.005), ("q4_0", 0.04)])
def test_what_a_narrower_file_costs(scored: dict[str, dict[str, Any]], dtype: str, share: float) -> None:
    provenance = scored[dtype]["provenance"]
    assert provenance["stored"] == {"dtype": dtype, "val_bpb": pytest.approx(scored[dtype]["bpb"], rel=1e-6)}
    f32_bpb = provenance["run"]["val_bpb"]
    assert f32_bpb < 4, "the model has learnt something"  # 2.3 bits a byte would be a good model; noise costs 8
    assert provenance["stored"]["val_bpb"] == pytest.approx(f32_bpb, rel=share)
    said = export.cost(provenance)
    assert ("against f32" in said) == (dtype != "f32")
    assert f"{f32_bpb:.3f}" in said


def test_the_figures_of_another_text_are_refused(trained: Path, tiny: Path, tmp_path: Path) -> None:
    path = trained / "summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps({**summary, "val_bytes": summary["val_bytes"] + 1}))
    given = params(export__dtype="f16")
    with pytest.raises(ValueError, match="the held-out text is not that of the training"):
        export.build(given, *trained_files(trained), tiny / "tokenizer", tiny / "shards", tmp_path / "model.bin")
    assert not (tmp_path / "model.bin").exists()


def test_rows_that_are_not_whole_blocks_are_refused(trained: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows of a multiple of 32 weights for q8_0, got 60"):
        export.build(
            params(export__dtype="q4_0"),
            *trained_files(trained),
            tiny / "tokenizer",
            tiny / "shards",
            tmp_path / "model.bin",
        )
    assert not (tmp_path / "model.bin").exists()


def test_equal_builds_are_equal_bytes(trained: Path, tiny: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export.build(
            params(), *trained_files(trained), tiny / "tokenizer", tiny / "shards", tmp_path / name / "model.bin"
        )
    assert (tmp_path / "a" / "model.bin").read_bytes() == (tmp_path / "b" / "model.bin").read_bytes()
    model = read_model(tmp_path / "a" / "model.bin")
    run = model.provenance["run"]
    assert run["tokens_seen"] == 3 * 2 * 2 * 384
    assert run["val_bpb"] == json.loads((trained / "summary.json").read_text())["val_bpb"]
    assert str(tmp_path) not in json.dumps(model.header)
    assert model.config["bos_token_id"] == model.config["eos_token_id"] == 0


def test_what_does_not_fit_is_refused(trained: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tensors are not those of the settings \(lm_head\.weight\); train again"):
        tied = params(model__tie_embeddings="true")
        export.build(tied, *trained_files(trained), tiny / "tokenizer", tiny / "shards", tmp_path / "model.bin")
    (tmp_path / "tokenizer.tok").write_bytes(Tokenizer.train(["another text"], vocab_size=300).to_bytes())
    with pytest.raises(ValueError, match="is not the tokenizer that the model was trained with"):
        export.build(params(), *trained_files(trained), tmp_path, tiny / "shards", tmp_path / "model.bin")
    (trained / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="not a safetensors file"):
        export.build(params(), *trained_files(trained), tiny / "tokenizer", tiny / "shards", tmp_path / "model.bin")
    assert not (tmp_path / "model.bin").exists()


def test_the_curve_is_a_picture_of_the_figures() -> None:
    val = [(0.0, 5.9), (50.0, 3.0), (100.0, 2.5)]
    picture = plot.training_svg("a < b", [(10.0, 5.0), (20.0, 4.0), (100.0, float("nan"))], val)
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title") == "a < b"
    dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in root.iter(f"{space}circle")]
    xs, ys = [x for x, _ in dots], [y for _, y in dots]
    assert xs == sorted(xs) and ys == sorted(ys)  # a falling loss falls on the page too
    assert (xs[1] - xs[0]) == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert all(0 <= x <= plot.WIDTH and 0 <= y <= plot.HEIGHT for x, y in dots)
    assert "2.500" in picture and "nan" not in picture
    assert ElementTree.fromstring(plot.training_svg("empty", [], [])) is not None


def test_what_else_was_measured_is_drawn_below() -> None:
    """One curve under the other, each within its own part; one without points takes no room."""
    rates = [(step, 1e-3 * step) for step in (0.0, 50.0, 100.0)]
    curves = [plot.Curve("learning rate", rates), plot.Curve("gradient norm", rates), plot.Curve("speed", [])]
    val = [(0.0, 5.9), (50.0, 2.0), (100.0, 2.5)]
    root = ElementTree.fromstring(plot.training_svg("x", [(10.0, 5.0)], val, curves, [(50.0, 2.0)]))
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("height") == str(plot.HEIGHT + 2 * plot.SMALL)
    said = "".join(root.itertext())
    assert "learning rate" in said and "gradient norm" in said and "speed" not in said and "kept: 2.000" in said
    lines = [line.get("d", "") for line in root.iter(f"{space}path") if line.get("class") == "other"]
    assert len(lines) == 2
    for index, line in enumerate(lines):
        points = [tuple(map(float, point.split())) for point in line[1:].split("L")]
        top = plot.HEIGHT + index * plot.SMALL
        assert all(0 <= x <= plot.WIDTH and top <= y <= top + plot.SMALL for x, y in points)
        assert [y for _, y in points] == sorted((y for _, y in points), reverse=True), "what rises goes up"


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_what_never_changes_is_drawn_too(value: float) -> None:
    """A training may be so short that its speed is told as 0."""
    flat = [(10.0, value), (12.0, value)]
    picture = plot.training_svg("x", flat, flat, [plot.Curve("speed", flat)])
    assert ElementTree.fromstring(picture) is not None and "nan" not in picture
