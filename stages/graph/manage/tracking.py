"""Stored results as runs of MLflow and of Weights & Biases: rows in; a run of theirs for each out, with parameters,
metrics, curves and the key. What was sent before is not sent twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from ..declare.stage import Stage
from .charts import read_curve
from .results import Results
from .rows import Row

TAG = "doit.key"  # of a run of MLflow: the result that it shows
BATCH = 100  # values that MLflow takes at a time
LONGEST = 500  # characters of a parameter there
ID_DIGITS = 32  # of the key, in the id of a run of Weights & Biases


def to_mlflow(mlflow: ModuleType, uri: str, name: str, results: Results, stage: Stage, rows: Sequence[Row]) -> int:
    """Make a run in the experiment `name` for each row that has none there yet; returns how many that were."""
    client, entities = mlflow.MlflowClient(tracking_uri=uri), mlflow.entities
    experiment = client.get_experiment_by_name(name)
    number = client.create_experiment(name) if experiment is None else experiment.experiment_id
    sent = 0
    for row in rows:
        if client.search_runs([number], f"tags.`{TAG}` = '{row.key}'", max_results=1):
            continue
        begun, ended = (round(1000 * seconds) for seconds in (row.started, row.started + row.duration_s))
        run = client.create_run(number, start_time=begun, run_name=_title(row)).info.run_id
        metrics = [entities.Metric(metric, value, ended, 0) for metric, value in row.metrics.items()]
        for curve, points in _curves(results, stage, row):
            metrics += [entities.Metric(f"curve.{curve}", y, ended, round(x)) for x, y in points]
        params = [entities.Param(param, str(value)[:LONGEST]) for param, value in row.params.items()]
        for some in _batches(metrics):
            client.log_batch(run, metrics=some)
        for some in _batches(params):
            client.log_batch(run, params=some)
        client.set_tag(run, TAG, row.key)  # last: a run that a kill left half done has none
        client.set_terminated(run, end_time=ended)
        sent += 1
    return sent


def to_wandb(wandb: ModuleType, project: str, folder: str, results: Results, stage: Stage, rows: Sequence[Row]) -> int:
    """Make a run in `project` for each row, which takes the place of an earlier one of that result; returns how many.

    folder: where wandb writes, and where the runs stay in its offline mode.
    """
    os.makedirs(folder, exist_ok=True)
    quiet = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)
    for row in rows:
        run = wandb.init(
            project=project,
            id=row.key[:ID_DIGITS],
            name=_title(row),
            config={**row.params, TAG: row.key},
            dir=folder,
            settings=quiet,
        )
        for curve, points in _curves(results, stage, row):
            run.define_metric(f"curve.{curve}", step_metric=f"x.{curve}")
            for x, y in points:
                run.log({f"curve.{curve}": y, f"x.{curve}": x})
        run.summary.update(dict(row.metrics))
        run.finish()
    return len(rows)


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for at in range(0, len(values), BATCH):
        yield values[at : at + BATCH]


def _title(row: Row) -> str:
    return ",".join(row.names) or row.key[:10]


def _curves(results: Results, stage: Stage, row: Row) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    for name, where in stage.curves.items():
        yield name, read_curve(where, results.look.store.entry(row.key))
