"""The export of a checkpoint: the model as it was at that step, from a whole file alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import command, params, start, trained_files, write_params
from tests.training.test_train import FAST
from training import checkpoint, export, export_checkpoint, reference
from training.format.file import ModelFile, read_model

SHORT = {"train__steps": "3", "train__checkpoint_seconds": "0", "sample__tokens": "2", "train__eval_tokens": "1024"}
TIED = {"model__tie_embeddings": "true"}


def checkpoints(out: Path) -> list[Path]:
    """Of a run that ended, the newest first."""
    (folder,) = (out / "partial" / "done").iterdir()
    return [path for _, path in checkpoint.found(folder)]


def exported(path: Path, tiny: Path, out: Path, **overrides: str) -> ModelFile:
    settings = write_params(out.parent / f"{out.name}.json", **overrides)
    inputs = ("--shards", tiny / "shards", "--tokenizer", tiny / "tokenizer")
    command("export_checkpoint", "--params", settings, "--checkpoint", path, *inputs, "--out", out)
    assert [each.name for each in out.iterdir()] == [export.NAME]
    return read_model(out / export.NAME)


@pytest.mark.parametrize("family", [{}, TIED, FAST], ids=["llama", "tied", "fast"])
def test_the_checkpoint_of_the_last_step_is_the_model(
    train: Callable[..., Path], tiny: Path, tmp_path: Path, family: dict[str, str]
) -> None:
    trained = train(**SHORT, **family)
    final = tmp_path / "final.bin"
    export.build(params(**family), *trained_files(trained), tiny / "tokenizer", tiny / "shards", final)
    last, before = checkpoints(trained)
    # A narrower dtype would have to be scored, and is not taken.
    given = {"export__dtype": "q8_0", **SHORT, **family}
    model, earlier = (exported(path, tiny, tmp_path / path.stem, **given) for path in (last, before))
    expected = read_model(final)
    assert model.config == expected.config and model.stored.keys() == expected.stored.keys()
    for name, stored in expected.stored.items():
        assert np.array_equal(model.stored[name].values(), stored.values()), name
    assert np.array_equal(model.golden.logits, expected.golden.logits)
    changed = [not np.array_equal(earlier.stored[name].values(), model.stored[name].values()) for name in model.stored]
    assert any(changed)
    logits = reference.last_logits(earlier.config, earlier.stored, earlier.golden.ids).numpy()
    assert np.abs(logits - earlier.golden.logits).max() <= 1e-5 * max(float(logits.std()), 0.1)
    run, at_end = earlier.provenance["run"], expected.provenance["run"]
    assert run["steps"] == 2 and run["tokens_seen"] == at_end["tokens_seen"] // 3 * 2
    assert run["val_bpb"] is None and earlier.provenance["stored"] == {"dtype": "f32", "val_bpb": None}
    assert all(run[name] == at_end[name] for name in ("data_sha256", "parameters", "train_bytes", "torch"))


@pytest.mark.parametrize("damage", ["cut", "flipped", "renamed"])
def test_a_torn_file_is_never_exported(train: Callable[..., Path], tiny: Path, tmp_path: Path, damage: str) -> None:
    whole = checkpoints(train(**SHORT))[0]
    data = bytearray(whole.read_bytes())
    torn = tmp_path / (whole.name if damage != "renamed" else "step-00000003-0123456789abcdef.safetensors")
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    torn.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    inputs = ("--shards", tiny / "shards", "--tokenizer", tiny / "tokenizer")
    settings = write_params(tmp_path / "params.json", **SHORT)
    words = ("--params", settings, "--checkpoint", torn, *inputs, "--out", tmp_path / "out")
    with start("export_checkpoint", *words) as child:
        _, said = child.communicate()
    assert child.returncode == 1 and "its sha256 is not the one in its name" in said
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_shape_is_refused(train: Callable[..., Path], tiny: Path, tmp_path: Path) -> None:
    path = checkpoints(train(**SHORT))[0]
    for other, said in ({"model__n_layer": "1"}, "not those of the settings"), ({"model__d_ff": "64"}, "size mismatch"):
        made_from = export_checkpoint.inputs.load(params(**other), tiny / "shards", tiny / "tokenizer")
        with pytest.raises(ValueError, match=said):
            export_checkpoint.model_at(made_from, path)


def test_nothing_beside_the_checkpoint_is_touched(train: Callable[..., Path], tiny: Path, tmp_path: Path) -> None:
    """What a training writes just now lies in the same folder."""
    path = checkpoints(train(**SHORT))[0]
    folder = tmp_path / "kept"
    shutil.copytree(path.parent, folder)
    (folder / ".tmp-1234").write_bytes(b"half")
    before = {each: each.stat().st_mtime_ns for each in folder.iterdir()}
    exported(folder / path.name, tiny, tmp_path / "out", **SHORT)
    assert {each: each.stat().st_mtime_ns for each in folder.iterdir()} == before
