"""Before the first step: a model on its device with all that trains it, its checkpoint, and how steps are computed."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from training import command, dist, lora, pieces, speed
from training.ahead import Ahead
from training.data.batches import order_of
from training.inputs import Inputs
from training.journal import Journal
from training.journal import read as read_metrics
from training.model.families import language_model
from training.optim.groups import make_optimizers
from training.resume import Kept
from training.speed import Way
from training.state import Best, Training, count

Step = Callable[[Training, Way], Tensor]  # one optimizer step; returns its mean loss in nats, ()


def build(inputs: Inputs) -> Training:
    """A model on its device, with optimizers and batches. Raises ValueError where it does not fit into memory."""
    shape, train = inputs.model, inputs.train
    world = dist.join()
    world.share(train.grad_accum)
    device = speed.pick_device(train.device, inputs.repro)
    if inputs.repro:
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
    if train.lora_rank and not inputs.start:
        raise ValueError(
            f"train.lora_rank={train.lora_rank} is for imported models; random weights are trained in full"
        )
    with torch.device("meta"):  # weights without memory, to count them
        n_weights = count(language_model(shape, inputs.vocab_size))
    speed.check_memory(n_weights, 0 if train.lora_rank else n_weights, device)
    in_pieces = train.shard and world.size > 1
    with torch.device("meta" if in_pieces else "cpu"):
        model = language_model(shape, inputs.vocab_size)
    if in_pieces:
        drawn = model.first_weights(torch.Generator().manual_seed(train.seed))
        pieces.cut(model, inputs.start.weights().items() if inputs.start else drawn, device, world.size)
    elif inputs.start:
        model.load_state_dict(inputs.start.weights())
    else:
        model.initialise(torch.Generator().manual_seed(train.seed))
    if train.lora_rank:
        lora.add(model, train.lora_rank, train.lora_alpha, train.seed)
    model.to(device)
    return Training(
        inputs,
        device,
        model,
        make_optimizers(model, train, device),
        Ahead(order_of(inputs.text, shape.ctx_len, train.batch_size, train.seed), device, world.size),
        scaler_of(inputs, device),
        world,
    )


def scaler_of(inputs: Inputs, device: torch.device) -> torch.amp.GradScaler:
    """What scales the loss, so that gradients do not vanish in f16 (Micikevicius et al. 2018, arXiv:1710.03740)."""
    return torch.amp.GradScaler(device.type, enabled=inputs.train.precision == "f16" and not inputs.repro)


def resume(training: Training, kept: Kept) -> Journal | None:
    """Go on from the checkpoint that is kept, if there is one; returns the metrics up to there, open for more, to the
    process that leads.
    """
    fresh = training.state(None)
    if training.world.leads:
        kept.take_back()
    training.world.wait()
    state = kept.restore(training.model, training.optimizers, fresh)
    training.world.wait()
    if training.world.leads:
        kept.settle(state)
    if state["torch"] != fresh["torch"]:
        command.say(f"PyTorch {state['torch']} made the steps so far, {fresh['torch']} goes on")
    training.step, training.seconds, training.trial = state["step"], state["train_s"], state["trial"]
    training.loss_sum = torch.tensor(state["loss_sum"], dtype=torch.float32, device=training.device)
    training.lost_at = training.lost_at.to(training.device)
    training.losses, training.skipped = state["losses"], state["skipped"]
    training.skipped_in_a_row = state["skipped_in_a_row"]
    training.scaler.load_state_dict(state["scaler"])
    training.best = Best(*state["best"]) if state["best"] else None
    training.way = Way.noted(state["way"]) if state["way"] else None
    if not training.world.leads:
        return None
    metrics = Journal(kept.metrics, state["metrics_nbytes"])
    read_metrics(kept.metrics)  # a flaw of what is there must not end hours of training
    return metrics


def trial_step(training: Training, step: Step, stop: command.StopRequest, way: Way) -> float:
    """One step in a way that is tried; returns its loss in nats, read back from the device."""
    stop.check()
    return float(step(training, way))


def choose_way(training: Training, step: Step, stop: command.StopRequest) -> speed.Threads:
    """How steps are computed from here on: as they were, or as a few steps now show to be fastest."""
    inputs, device = training.inputs, training.device
    if inputs.repro:
        training.way = Way(1, "f32", False)
    elif training.world.size > 1:  # they would measure one another
        training.way = speed.unmeasured(inputs.train, device)
    elif training.way is None:
        trial = functools.partial(trial_step, training, step, stop)
        training.way, training.trial = speed.choose(inputs.train, device, training.model, training.optimizers, trial)
        training.grad_norm = torch.zeros(())  # that of a way which was given up may not be finite
        training.scaler, training.skipped, training.skipped_in_a_row = scaler_of(inputs, device), 0, 0
    way, steps, a_step = training.way, inputs.train.steps, training.tokens_a_step
    torch.set_num_threads(way.threads)
    command.say(
        f"{count(training.model):,} parameters, {inputs.text.n_tokens:,} tokens; {steps} steps of {a_step:,} tokens "
        f"({steps * a_step / inputs.text.n_tokens:.1f} epochs); {device.type}, {way.precision}"
        + f", {way.threads} thread{'s' * (way.threads != 1)}" * (device.type == "cpu")
        + ", compiled" * way.compile
        + f", {training.world.size} processes" * (training.world.size > 1)
    )
    fixed = inputs.repro or training.world.size > 1
    return speed.Threads([way.threads] if fixed else speed.thread_counts(device), way.threads)
