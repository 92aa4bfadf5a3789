"""An imported model trained further: from its own weights, to the end or after a kill, and into model.bin."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.finetune.conftest import CHATML, SENTENCES, params, small_model, tuned
from tests.interop import models
from training import checkpoint, command, export_checkpoint, export_finetuned, finetune, imported, reference, train
from training.config.sample import Sample
from training.data.shard_file import open_split
from training.format.file import read_model
from training.model.llama import Llama


def test_it_begins_with_the_imported_weights_and_learns(imported_dir: Path, shards_dir: Path, tmp_path: Path) -> None:
    out = tuned(tmp_path, shards_dir, imported_dir, train__steps="30", train__eval_every="30")
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    before, after = (record["val_bpb"] for record in records if "val_bpb" in record)
    assert after < before / 4, (before, after)
    at_start = tuned(tmp_path / "0", shards_dir, imported_dir, train__steps="1", train__lr="0", train__log_every="1")
    (record,) = (each for each in map(json.loads, (at_start / "metrics.jsonl").open()) if "train_bpb" in each)
    text = open_split(shards_dir, "train")
    n_learnt = int(text.read_learnt(0, text.n_tokens).sum())  # bits per byte are of the answers, not of the questions
    assert record["train_bpb"] == pytest.approx(record["loss_nats"] / math.log(2) * n_learnt / text.text_nbytes)
    model = imported.read(imported_dir)
    from safetensors.numpy import load_file

    weights = load_file(at_start / "model.safetensors")
    assert all(np.array_equal(weights[name], stored.values()) for name, stored in model.tensors.items())


def test_killed_and_resumed_the_bytes_are_the_same(imported_dir: Path, shards_dir: Path, tmp_path: Path) -> None:
    class StopAt(command.StopRequest):
        """Stops after so many looks."""

        def __init__(self, looks: int) -> None:
            self.signum, self.looks = 0, looks

        def check(self) -> None:
            self.looks -= 1
            if self.looks == 0:
                self.signum = 15
            super().check()

    steps = {"train__steps": "8"}
    whole = tuned(tmp_path / "whole", shards_dir, imported_dir, **steps)
    inputs = finetune.load(params(**steps), shards_dir, imported_dir)
    out = tmp_path / "stopped"
    with pytest.raises(command.Interrupted):
        train.run(inputs, out / "partial", out, StopAt(12))
    assert list((out / "partial").glob("*/step-*"))
    tuned(out, shards_dir, imported_dir, **steps)
    for name in ("model.safetensors", "metrics.jsonl", "summary.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_another_imported_model_is_another_run(imported_dir: Path, shards_dir: Path) -> None:
    inputs = finetune.load(params(), shards_dir, imported_dir)
    model = imported.read(imported_dir)
    name = min(model.tensors)
    changed = model.tensors[name].data.copy()
    changed[0] ^= 1
    model.tensors[name] = model.tensors[name]._replace(data=changed)
    other = finetune.start_of(model, Sample(), chats=True)
    assert inputs.start is not None
    assert inputs.digest() != dataclasses.replace(inputs, start=other).digest()


@pytest.mark.parametrize("dtype", ["f32", "q8_0"])
def test_export_has_the_trained_weights_and_all_the_rest(
    imported_dir: Path, shards_dir: Path, tmp_path: Path, dtype: str
) -> None:
    out = tuned(tmp_path / "run", shards_dir, imported_dir, train__steps="4")
    given = params(export__dtype=dtype)
    given["params"].pop("train")
    files = (out / "model.safetensors", out / "summary.json", imported_dir, shards_dir)
    header = export_finetuned.build(given, *files, tmp_path / "model.bin")
    model, came = read_model(tmp_path / "model.bin"), imported.read(imported_dir)
    assert (model.config, model.chat_template, model.architecture) == (came.config, CHATML, "llama")
    assert model.tokenizer_bytes == came.tokenizer.to_bytes()
    assert header["provenance"]["import"] == came.origin
    run, stored = header["provenance"]["run"], header["provenance"]["stored"]
    assert stored["val_bpb"] == run["val_bpb"] if dtype == "f32" else stored["val_bpb"] != run["val_bpb"]
    assert stored["val_bpb"] == pytest.approx(run["val_bpb"], rel=0.05)
    expected = reference.last_logits(model.config, model.stored, model.golden.ids).numpy()
    assert abs(expected - model.golden.logits).max() <= 1e-5 * expected.std()


@pytest.mark.parametrize("architecture", sorted(models.CLASSES))
@pytest.mark.parametrize("tied", [True, False])
def test_logits_and_gradients_are_those_of_transformers(tmp_path: Path, architecture: str, tied: bool) -> None:
    made = models.model(architecture, tied)
    start = finetune.start_of(small_model(tmp_path, architecture, tied=tied), Sample(), chats=True)
    model = small_model(tmp_path / "again", architecture, tied=tied)
    ours = Llama(finetune.shape_of(model), start.vocab_size)
    ours.load_state_dict(start.weights())
    ids = torch.randint(0, 300, (2, 40), generator=torch.Generator().manual_seed(1))
    got, expected = ours(ids), made(ids).logits
    assert float((got - expected).abs().max()) <= 1e-5 * float(expected.std())
    for logits in (got, expected):
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    theirs = dict(made.named_parameters())
    for name, weight in ours.named_parameters():
        grad, their_grad = weight.grad, theirs[name].grad
        assert grad is not None and their_grad is not None
        assert float((grad - their_grad).norm() / their_grad.norm()) < 1e-4, name


def test_what_the_prompts_are(imported_dir: Path) -> None:
    model = imported.read(imported_dir)
    (asked,) = finetune.prompts(model, Sample(prompts=("Who?",)), chats=True)
    assert model.tokenizer.decode(asked) == "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    (begun,) = finetune.prompts(model, Sample(prompts=("Who?",)), chats=False)
    assert begun == [0, *model.tokenizer.encode("Who?")]


def test_text_instead_of_chats(imported_dir: Path, tmp_path: Path) -> None:
    """The same model, trained on documents: shards without a mask, by its tokenizer."""
    from training.data import shard_writer

    model = imported.read(imported_dir)
    for split in ("train", "val"):
        shard_writer.write(tmp_path, split, [[" ".join(SENTENCES) * 4], ["over the dog. " * 9]], model.tokenizer)
    out = tuned(
        tmp_path / "out", tmp_path, imported_dir, train__steps="6", train__eval_every="6", train__eval_overlap="8"
    )
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    before, after = (record["val_bpb"] for record in records if "val_bpb" in record)
    assert after < before


@pytest.mark.parametrize("adapters", [{}, {"train__lora_rank": "3"}], ids=["full", "adapters"])
def test_a_checkpoint_of_the_last_step_is_the_model(
    imported_dir: Path, shards_dir: Path, tmp_path: Path, adapters: dict[str, str]
) -> None:
    """One with adapters holds little more than these; here they are merged."""
    from safetensors.numpy import load_file

    settings = {"train__steps": "2", **adapters}
    out = tuned(tmp_path / "out", shards_dir, imported_dir, tmp_path / "kept", **settings)
    (folder,) = (tmp_path / "kept" / "done").iterdir()
    step, path = checkpoint.found(folder)[0]
    assert step == 2
    made_from = finetune.load(params(**settings), shards_dir, imported_dir)
    weights = export_checkpoint.model_at(made_from, path).state_dict()
    expected = load_file(out / "model.safetensors")
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(weights[name].numpy(), value), name
