"""What a run keeps to go on from, and where it goes on: its own last checkpoint, or one of a run of another length.

    PARTIAL/<run>-<steps>/         checkpoints, metrics.jsonl and the best weights of a run that is not at its end
    PARTIAL/<run>-<steps>/extend/  the same as they were when the learning rate began to fall
    PARTIAL/done/<run>-<steps>/    what a run at its end needs no longer; whoever has its result deletes it

The best weights, best-..., are written when an evaluation finds them, and deleted once no checkpoint is left of before
the next ones: a kill between two writes loses neither.

<run> is a digest of all that decides the weights but the number of steps. Runs of unequal lengths have the same first
steps for as long as their learning rates are equal: under the schedule "linear" until the shorter one's begins to fall.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from training import checkpoint, dist, journal, stored
from training.command import say
from training.config.train import Train
from training.optim.schedule import decay_start, shared_steps


class Kept:
    """The folders of one run. What other runs keep is read, and never deleted."""

    def __init__(self, partial: Path, run: str, train: Train) -> None:
        self.partial, self.run, self.train = partial, run[:16], train
        self.folder = partial / f"{self.run}-{train.steps}"
        self.done = partial / "done" / self.folder.name
        self.metrics = self.folder / journal.NAME
        self.source = self.folder  # where the run goes on from
        # The step after which a longer run goes another way; None where that is not worth a checkpoint.
        self.extend_at = decay_start(train.steps, train) if train.schedule == "linear" else None

    def take_back(self) -> None:
        """Fetch what was set aside of a run at its end whose result was not published; in the process that leads."""
        if self.done.is_dir() and not checkpoint.found(self.folder):
            self.folder.mkdir(exist_ok=True)
            for path in list(self.done.iterdir()):
                path.rename(self.folder / path.name)

    def restore(self, model: nn.Module, optimizers: Sequence[Optimizer], fresh: dict[str, Any]) -> dict[str, Any]:
        """Give model and optimizers the state to go on from; returns the run's state there: `fresh` for a new run."""
        steps = self.train.steps
        state = checkpoint.read_latest(self.folder, model, optimizers, fresh, steps)
        if state is not None:
            say(f"resumed at step {state['step']} of {steps}")
            return state
        others = sorted(self._others(), reverse=True)
        for shared, length, place in others:
            state = checkpoint.read_latest(place, model, optimizers, fresh, shared)
            if state is not None:
                say(f"a run of {length} steps was kept: goes on from its step {state['step']}, to {steps}")
                self.source = place
                return state
        if others:
            say(f"starts anew: {self._why_not(*others[0][:2])}")
        return fresh

    def settle(self, state: dict[str, Any]) -> None:
        """After `restore`, in the process that leads: fetch what belongs to the checkpoint, and delete the best weights
        of steps that will be made again.
        """
        if self.source != self.folder:
            _copy(self.source, self.folder, state)
        for step, path in checkpoint.found(self.folder, checkpoint.BEST):
            if step >= state["step"]:
                stored.delete(path)

    def _why_not(self, shared: int, length: int) -> str:
        """Why no checkpoint of a run of another length will do."""
        steps = self.train.steps
        why = f"a run of {length} steps was kept, but the learning rates are those of {steps} only up to step {shared}"
        if shared == 0:
            return f"{why}: the warm-up takes a tenth of the steps at the most, and so differs"
        if self.train.schedule != "linear":
            return f'{why}; under train.schedule="linear" a run can be extended'
        return f"{why}, and it has no checkpoint so early"

    def save(self, model: nn.Module, optimizers: Sequence[Optimizer], state: dict[str, Any]) -> None:
        """Write a checkpoint to go on from after an interruption."""
        checkpoint.write(self.folder, model, optimizers, state)
        if dist.leads():
            _drop_old_bests(self.folder)

    def save_for_extension(self, model: nn.Module, optimizers: Sequence[Optimizer], state: dict[str, Any]) -> None:
        """Write the checkpoint that a longer run goes on from."""
        place = self.folder / "extend"
        if dist.leads():
            _copy(self.folder, place, state)
        checkpoint.write(place, model, optimizers, state, kept=1)
        if dist.leads():
            _drop_old_bests(place)

    def save_best(self, model: nn.Module, step: int) -> None:
        """Write the weights of a step that has scored best."""
        checkpoint.write_best(self.folder, model, step)

    def load_best(self, model: nn.Module, step: int) -> None:
        """Give the model such weights. Raises ValueError where they are not there."""
        for there, path in checkpoint.found(self.folder, checkpoint.BEST):
            if there == step:
                checkpoint.read_best(path, model)
                return
        raise ValueError(
            f"{self.folder}: the weights of step {step}, which scored best, are gone; "
            "set train.keep=last, or delete the folder to train again"
        )

    def last_good(self) -> str:
        """Where the run last stood well, for the message of its failure."""
        if found := checkpoint.found(self.folder):
            return f"the last good checkpoint is of step {found[0][0]}: {found[0][1]}"
        return "there is no checkpoint before it"

    def finish(self) -> None:
        """The run is at its end: set aside what it needs no longer."""
        shutil.rmtree(self.done, ignore_errors=True)
        self.done.mkdir(parents=True)
        for path in list(self.folder.iterdir()):
            if path.name != "extend":
                path.rename(self.done / path.name)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _others(self) -> Iterator[tuple[int, int, Path]]:
        """(first steps in common, length, folder with checkpoints) of the kept runs that differ in their length."""
        for folder in self.partial.glob(f"{self.run}-*"):
            length = folder.name.rpartition("-")[2]
            if folder != self.folder and length.isdecimal():
                for place in (folder, folder / "extend"):
                    if checkpoint.found(place):
                        yield shared_steps(self.train.steps, int(length), self.train), int(length), place


def _copy(source: Path, target: Path, state: dict[str, Any]) -> None:
    """What belongs to a checkpoint: the first bytes of metrics.jsonl, and the best weights. Raises ValueError where the
    former are fewer.
    """
    nbytes = state["metrics_nbytes"]
    with (source / journal.NAME).open("rb") as file:
        data = file.read(nbytes)
    if len(data) < nbytes:
        raise ValueError(f"{source / journal.NAME} has {len(data)} bytes, expected {nbytes}; delete {source}")
    target.mkdir(parents=True, exist_ok=True)
    (target / journal.NAME).write_bytes(data)
    for step, path in checkpoint.found(source, checkpoint.BEST):
        if state["best"] and step == state["best"][0]:
            stored.copy(path, target)


def _drop_old_bests(folder: Path) -> None:
    """Delete the best weights that no checkpoint of the folder goes back to: of two there before the oldest, the first.
    A checkpoint is written before its step's evaluation.
    """
    oldest = min((step for step, _ in checkpoint.found(folder)), default=0)
    for _, path in [pair for pair in checkpoint.found(folder, checkpoint.BEST) if pair[0] < oldest][1:]:
        stored.delete(path)
