"""Shards in, a trained model out: load, build, loop, save. (From an imported model on: training/finetune.py.)

Writes OUT/model.safetensors  the weights in f32, with the names of training/model/
       OUT/metrics.jsonl      one line an interval or evaluation
       OUT/summary.json       what the run was and how good it got
       OUT/timings.json       how long it took, and what was found fastest
While it runs, training/resume.py keeps what the same command goes on from, after a kill, SIGINT or SIGTERM, in the
folder --resume (OUT/partial without it). Under the profile repro (one thread, f32) every output but timings.json has
the same bytes, interrupted or not.

Letters of shapes: B sequences of a batch, T tokens of each, V = vocab_size.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training import command, dist, speed
from training.config.section import read
from training.config.train import Train
from training.inputs import Inputs, load, parser
from training.optim.groups import set_lr
from training.optim.schedule import lr_at
from training.pieces import whole
from training.prepare import build, choose_way, resume
from training.results import save
from training.resume import Kept
from training.scoring import Score
from training.speed import Threads, Way
from training.state import Diverged, Training
from training.watch import Watch


def train_step(training: Training, way: Way) -> Tensor:
    """One optimizer step on the batches of step `training.step`; returns the mean loss in nats, (), on the device."""
    train, device, world = training.inputs.train, training.device, training.world
    forward = training.forward(way)
    total = torch.zeros((), device=device)
    for micro in world.share(train.grad_accum):
        batch = training.batches.batch(training.step * train.grad_accum + micro)
        ids = torch.from_numpy(batch.ids).to(device)  # (B, T + 1)
        targets = ids[:, 1:]  # (B, T)
        learnt = None if batch.learnt is None else torch.from_numpy(batch.learnt).to(device)  # (B, T)
        with speed.autocast(way, device):
            logits = forward(ids[:, :-1], learnt)  # (B, T, V); with `learnt` only where that is true: (N, V)
        targets = targets.flatten() if learnt is None else targets[learnt]  # (B * T,), or (N,)
        loss = F.cross_entropy(logits.flatten(0, -2).float(), targets) / train.grad_accum  # ()
        loss.backward()
        total += loss.detach()
    world.sum_gradients(training.model)
    largest = train.grad_clip or float("inf")
    training.grad_norm = whole(torch.nn.utils.clip_grad_norm_(training.model.parameters(), largest))  # (), uncut
    set_lr(training.optimizers, lr_at(training.step, train))
    for optimizer in training.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return world.sum(total)


def loop(training: Training, kept: Kept, watch: Watch, threads: Threads, stop: command.StopRequest) -> Score | None:
    """Steps to the last one, with records, evaluations and checkpoints between them; returns the last score. Those are
    for the process that leads.

    Raises Diverged, a ValueError, where the loss runs away, Interrupted after a signal.
    """
    train, world = training.inputs.train, training.world
    joins = world.leads or training.in_pieces  # whether this process has a part in evaluations and checkpoints
    assert training.way is not None
    training.started = saved = time.monotonic()
    while True:
        stop.signum = world.largest(stop.signum, training.device)
        stop.check()
        if joins and training.step == kept.extend_at:
            kept.save_for_extension(training.model, training.optimizers, training.state(watch.metrics))
        last = training.step == train.steps
        if joins and (training.step % train.eval_every == 0 or last):
            score = watch.evaluate(training, last, stop)
            if last:
                return score
        if last:
            return None

        began = time.monotonic()
        training.loss_sum += train_step(training, training.way)
        training.step += 1
        threads.step_took(time.monotonic() - began)

        watch.stepped(training)
        if joins and training.agreed(time.monotonic() - saved >= train.checkpoint_seconds):
            kept.save(training.model, training.optimizers, training.state(watch.metrics))
            saved = time.monotonic()


def run(inputs: Inputs, partial: Path, out: Path, stop: command.StopRequest, logs: Path | None = None) -> None:
    """The whole run. logs: where train.loggers write. Raises ValueError for inputs that do not fit, Interrupted after
    a signal.
    """
    training = build(inputs)
    kept = Kept(partial, inputs.digest(), inputs.train, writes=training.world.leads)
    metrics = resume(training, kept)
    threads = choose_way(training, train_step, stop)
    with Watch(training, metrics, logs and logs / kept.folder.name) as watch:
        try:
            score = loop(training, kept, watch, threads, stop)
        except command.Interrupted:
            if training.world.leads or training.in_pieces:
                kept.save(training.model, training.optimizers, training.state(metrics))
            raise
        except Diverged as diverged:
            raise ValueError(f"{diverged}; {kept.last_good()}") from diverged
    if score:
        save(training, score, kept, threads, out)
    dist.leave(training.world)


def execute(arguments: argparse.Namespace, load_inputs: Callable[[dict[str, Any]], Inputs]) -> None:
    """The command. load_inputs: from parameters.

    Raises ValueError for inputs that do not fit, Interrupted after a signal.
    """
    params = command.params_of(arguments)
    speed.hint(params["profile"])
    dist.launch(read(params, Train).processes, params["profile"] == "repro")
    partial = arguments.resume or arguments.out / "partial"
    stop = command.StopRequest()
    with speed.memory_named():
        run(load_inputs(params), partial, arguments.out, stop, arguments.logs)
    if arguments.resume is None and command.speaks():
        shutil.rmtree(partial)


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    execute(arguments, lambda params: load(params, arguments.shards, arguments.tokenizer))


if __name__ == "__main__":
    arguments = parser("train", "Train the model.")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    sys.exit(command.run(main, arguments))
