"""Shards in, a trained model out: load, build, loop, save. (From an imported model on: training/finetune.py.)

Writes OUT/model.safetensors  the weights in f32, with the names of training/model/
       OUT/metrics.jsonl      one line an interval or evaluation
       OUT/samples.jsonl      one line an evaluation: what the model wrote then
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
from training.speed import Threads, Way
from training.state import Diverged, Training
from training.watch import Outcome, Watch


def train_step(training: Training, way: Way) -> Tensor:
    """One optimizer step in a way (threads, precision, compiled or not); returns its mean loss in nats, ()."""
    train, device, world, scaler = training.inputs.train, training.device, training.world, training.scaler
    forward = training.forward(way)
    total = torch.zeros((), device=device)  # (), this process's part of the mean
    for micro in world.share(train.grad_accum):
        ids, mask = training.ahead.take(training.step * train.grad_accum + micro)  # (B, T + 1); (B, T) bool, None: all
        with speed.autocast(way, device):
            loss = forward(ids[:, :-1], mask, ids[:, 1:]) / train.grad_accum  # (), mean over the (B, T) targets in mask
        scaler.scale(loss).backward()
        total += loss.detach()
    world.sum_gradients(training.model)
    for optimizer in training.optimizers:
        scaler.unscale_(optimizer)
    largest = train.grad_clip or float("inf")
    grad_norm = whole(torch.nn.utils.clip_grad_norm_(training.model.parameters(), largest))  # (), before clipping
    set_lr(training.optimizers, lr_at(training.step, train))
    taken = training.takes(grad_norm)  # f16 may be too narrow for the gradients: then the loss is scaled by less
    for optimizer in training.optimizers:
        if taken:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    scaler.update()
    return world.sum(total)


def loop(training: Training, kept: Kept, watch: Watch, threads: Threads, stop: command.StopRequest) -> Outcome | None:
    """Steps to the last one, with records, evaluations and checkpoints between them; returns what comes out. Those are
    for the process that leads. A turn first does what is due after `training.step` steps, then makes the next one.

    Raises Diverged, a ValueError, where the loss runs away, Interrupted after a signal.
    """
    train, world = training.inputs.train, training.world
    joins = world.leads or training.in_pieces  # whether this process has a part in evaluations and checkpoints
    assert training.way is not None
    training.started = saved = time.monotonic()
    while True:
        stop.signum = world.largest(stop.signum, training.device)
        stop.check()
        if joins and training.step == kept.extend_at:  # the last step that a longer run shares with this one
            kept.save_for_extension(training.model, training.optimizers, training.state(watch.metrics))
        last = training.step == train.steps
        if joins and (training.step % train.eval_every == 0 or last):
            score = watch.evaluate(training, last, stop)
            if last:
                return watch.publish(training, kept, score)
            if training.improves(score.bpb):
                kept.save_best(training.model, training.step)
        if last:
            return None

        began = time.monotonic()
        training.stepped(train_step(training, training.way))
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
    kept = Kept(partial, inputs.digest(), inputs.train)
    metrics = resume(training, kept)
    threads = choose_way(training, train_step, stop)
    with Watch(training, metrics, logs and logs / kept.folder.name) as watch:
        try:
            outcome = loop(training, kept, watch, threads, stop)
        except command.Interrupted:
            if training.world.leads or training.in_pieces:
                kept.save(training.model, training.optimizers, training.state(metrics))
            raise
        except Diverged as diverged:
            raise ValueError(f"{diverged}; {kept.last_good()}") from diverged
    if outcome:
        save(training, outcome, kept, threads, out)
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
