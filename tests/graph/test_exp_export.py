"""`doit exp export`: what MLflow and Weights & Biases then have is what the store has."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stages.graph import Stage
from tests.graph.experiments import TRAIN, Lab

CURVE = TRAIN + 'open(out + \'/weights\', \'w\').write(\'{"step": 1, "loss": 5}\\n{"step": 2, "loss": 4.5}\\n\')\n'


@pytest.fixture
def filled(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Two named results, each with a curve."""
    stages_of = lab.stages_of

    def with_curve(words: Mapping[str, str]) -> list[Stage]:
        return [
            replace(each, curves={"loss": "weights:step,loss"}) if each.name == "train" else each
            for each in stages_of(words)
        ]

    monkeypatch.setattr(lab, "stages_of", with_curve)
    lab.write("train.py", CURVE)
    assert lab.doit("exp", "run", "train.lr=1,2", "--name", "e").status == 0
    return lab


def test_mlflow(filled: Lab, tmp_path: Path) -> None:
    import mlflow

    file = str(tmp_path / "runs.db")
    result = filled.doit("exp", "export", "--mlflow", file, "--name", "lab")
    assert result.status == 0, result.err
    assert result.out == f"2 runs in the experiment lab of {file}, 0 there before\n"
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{file}")
    experiment = client.get_experiment_by_name("lab")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    rows = {row["names"][0]: row for row in filled.table()}
    assert runs.keys() == rows.keys()
    for name, row in rows.items():
        data = runs[name].data
        assert data.tags["doit.key"] == row["key"] and runs[name].info.status == "FINISHED"
        assert data.metrics["loss"] == row["metrics"]["loss"]
        assert float(data.params["train.lr"]) == row["params"]["train.lr"] and data.params["train.layers"] == "2"
        points = client.get_metric_history(runs[name].info.run_id, "curve.loss")
        assert [(each.step, each.value) for each in points] == [(1, 5.0), (2, 4.5)]
    filled.doit("exp", "run", "train.lr=3")
    again = filled.doit("exp", "export", "--mlflow", file, "--name", "lab")
    assert again.out == f"1 run in the experiment lab of {file}, 2 there before\n"


def test_wandb_offline(filled: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)  # even with one nothing is sent
    result = filled.doit("exp", "export", "--wandb", "lab", "--filter", "train.lr>1")
    assert result.status == 0, result.err
    assert result.out.startswith("1 run in the project lab; `wandb sync ")
    (row,) = filled.table("--filter", "train.lr>1")
    (written,) = (filled.build / "run/wandb/wandb").glob("offline-run-*/*.wandb")
    assert row["key"][:32] in written.name
    data = written.read_bytes()
    for word in (b"train.lr", b"curve.loss", b"doit.key"):
        assert word in data, word


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "exp export takes one of --mlflow URI and --wandb PROJECT"),
        (("--mlflow", "a", "--wandb", "b"), "exp export takes one of"),
        (("--wandb", "b", "--name", "c"), "--name is MLflow's"),
        (("--mlflow", "a", "trian"), "'trian' is not a stage; did you mean train?"),
    ],
)
def test_wrong_words(lab: Lab, words: tuple[str, ...], message: str) -> None:
    lab.doit("train")
    result = lab.doit("exp", "export", *words)
    assert result.status == 2 and message in result.err


def test_without_the_package(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.doit("train")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    result = lab.doit("exp", "export", "--mlflow", "runs")
    assert result.status == 1 and "exp export needs the package mlflow, which is not there" in result.err
