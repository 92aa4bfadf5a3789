"""exp export: stored results, shown in another tracker."""

from __future__ import annotations

import os
import sys
from typing import Any

from ..errors import GraphError, UsageError
from .base import locked, option, with_condition
from .extra import extra
from .part import Part


class ExpExport(Part):
    """Send results to MLflow or Weights & Biases."""

    name = "exp export"
    doc_purpose = "send results to MLflow or Weights & Biases: parameters, metrics, curves"
    doc_usage = "[STAGE] --mlflow URI | --wandb PROJECT [--filter EXPR] [--all] [--name NAME]"
    doc_description = (
        "The results are chosen as in `exp show`. URI: a server of MLflow's, or a file for its database; what is "
        "there already is not sent again. Weights & Biases takes its settings from the environment; with "
        "WANDB_MODE=offline nothing leaves the machine, and `wandb sync` sends it later. Nothing is read back."
    )
    cmd_options = (
        option("mlflow", "mlflow", "a run in MLflow for each result", metavar="URI"),
        option("wandb", "wandb", "a run in Weights & Biases for each result", metavar="PROJECT"),
        option("label", "name", "MLflow's experiment; else the stage's name", metavar="NAME"),
        option("condition", "filter", "only the results for which this is true", metavar="EXPR"),
        option("every", "all", "every result in the store"),
    )

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit, which takes a condition with a "=" in it for the setting of a variable."""
        return super().parse_execute(with_condition(in_args))

    def _execute(self, mlflow: str, wandb: str, label: str, condition: str, every: bool, pos_args: Any = None) -> int:
        from ..manage import tracking
        from ..show.report import Report

        if bool(mlflow) == bool(wandb):
            raise UsageError("exp export takes one of --mlflow URI and --wandb PROJECT")
        if label and wandb:
            raise UsageError("--name is MLflow's; the project of Weights & Biases is what --wandb names")
        from ..show.units import counted

        graph = self.graph()
        results, name, rows, _ = self.chosen(pos_args, every, condition)
        stage = graph.plan.stages.get(name)
        if stage is None:
            raise UsageError(f"there is no stage {name} now: what its metrics are is not known")
        graph.session.report = Report(sys.stderr)
        with locked(graph):
            package = extra(graph, "mlflow" if mlflow else "wandb", "exp export")
        try:
            if mlflow:
                where = mlflow if "://" in mlflow else f"sqlite:///{os.path.abspath(mlflow)}"
                sent = tracking.to_mlflow(package, where, label or name, results, stage, rows)
                runs, there = counted(sent, "run"), len(rows) - sent
                said = f"{runs} in the experiment {label or name} of {mlflow}, {there} there before"
            else:
                folder = f"{graph.plan.build}/run/wandb"
                sent = tracking.to_wandb(package, wandb, folder, results, stage, rows)
                said = f"{counted(sent, 'run')} in the project {wandb}"
                if os.environ.get("WANDB_MODE") == "offline":
                    said += f"; `wandb sync {os.path.relpath(folder)}/wandb/offline-run-*` sends them"
        except GraphError:
            raise
        except Exception as error:  # each package has its own kinds
            said = str(error).partition("\n")[0] or type(error).__name__
            raise GraphError(f"{package.__name__}: {said}") from error
        self.outstream.write(f"{said}\n")
        return 0
