"""TensorBoard and Weights & Biases: the curves of a run for their pages, where train.loggers asks for them.

Each is imported only then. Nothing goes over the network: Weights & Biases writes its files as it does without one
(`wandb sync DIR/wandb/offline-*` sends them). A run that is taken up again goes on in the same curves.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol


class Logger(Protocol):
    """One of them."""

    def resume(self, step: int) -> None:
        """What was logged after this step did not happen."""

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Points of curves, by name."""

    def text(self, step: int, text: str) -> None:
        """What the model writes."""

    def close(self) -> None:
        """Nothing more comes."""


class TensorBoard:
    """`tensorboard --logdir` shows it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        self.writer: Any = None

    def resume(self, step: int) -> None:
        """Open it."""
        writers = _imported("torch.utils.tensorboard", "tensorboard")
        self.writer = writers.SummaryWriter(str(self.folder), purge_step=step + 1 if step else None)
        if not step:
            rows = [f"| {name} | {value} |" for name, value in _flat(self.settings).items()]
            self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]), 0)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Scalars."""
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)

    def text(self, step: int, text: str) -> None:
        """As it stands, not as Markdown."""
        self.writer.add_text("sample", "".join(f"    {line}\n" for line in text.splitlines()), step)

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()


class WandB:
    """A run of its own for each process that trains: without a network it cannot go on in one that is there, so all of
    them have the id of the training, under which they come together when they are sent.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        self.run: Any = None

    def resume(self, step: int) -> None:
        """Open it. A step that is logged again is left out by Weights & Biases: its steps only grow."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wandb = _imported("wandb", "wandb")
        quiet = wandb.Settings(mode="offline", silent=True, console="off", disable_git=True, save_code=False)
        self.run = wandb.init(
            project="pocketlm",
            id=self.folder.name,
            dir=str(self.folder),
            config=_flat(self.settings),
            settings=quiet,
        )

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Metrics."""
        self.run.log(dict(figures), step=step)

    def text(self, step: int, text: str) -> None:
        """As a metric of text."""
        self.run.log({"sample": text}, step=step)

    def close(self) -> None:
        """Write what is left."""
        self.run.finish()


KINDS: dict[str, type[TensorBoard] | type[WandB]] = {"tensorboard": TensorBoard, "wandb": WandB}


class Loggers:
    """All that were asked for; none where none was."""

    def __init__(self, names: Sequence[str], folder: Path | None, settings: Mapping[str, Any]) -> None:
        """folder: of the logs of this run. Raises ValueError where there is none and there should be."""
        if names and folder is None:
            raise ValueError(f"train.loggers={', '.join(names)}: give a folder for them, --logs DIR")
        self.each: list[Logger] = [KINDS[name](folder, settings) for name in dict.fromkeys(names) if folder is not None]

    def resume(self, step: int) -> None:
        """Open them. Raises ValueError where one is not installed."""
        for logger in self.each:
            logger.resume(step)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Points of curves, by name."""
        for logger in self.each:
            logger.figures(step, figures)

    def text(self, step: int, text: str) -> None:
        """What the model writes."""
        for logger in self.each:
            logger.text(step, text)

    def close(self) -> None:
        """Nothing more comes."""
        for logger in self.each:
            logger.close()


def _imported(module: str, package: str) -> ModuleType:
    """Raises ValueError that says how to get it."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f'train.loggers names {package}, which is not installed ({error}); "./doitw train" installs it by '
            f"locks/{package}.txt, or install it yourself, or leave it out"
        ) from error


def _flat(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """{"train": {"lr": 1}} -> {"train.lr": 1}"""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found
