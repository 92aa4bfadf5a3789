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
import functools
import hashlib
import json
import math
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from training import command, dist, lora, speed
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import read
from training.config.train import Train
from training.data import shard_file
from training.data.batches import Batches, ChatBatches, order_of
from training.data.shard_file import TokenStream
from training.journal import NAME as METRICS
from training.journal import Journal
from training.journal import read as read_metrics
from training.model.families import LanguageModel, language_model
from training.optim.groups import make_optimizers, set_lr
from training.optim.schedule import lr_at
from training.progress import Progress
from training.resume import Kept
from training.sample import sample
from training.scoring import Score, evaluate, token_nbytes
from training.speed import Way
from training.tokenizer_file import document_start
from training.tokenizer_file import load as load_tokenizer


@dataclass(frozen=True)
class Start:
    """A model to go on from."""

    vocab_size: int  # rows of the embedding: as many as there are tokens, or more
    weights: Callable[[], Mapping[str, Tensor]]  # f32, by the names of training/model/llama.py
    sha256: str  # of all that decides it
    prompts: Sequence[Sequence[int]]  # sample.prompts as it is asked them, in tokens
    stop_ids: Collection[int]  # the tokens that end what it writes


@dataclass(frozen=True)
class Inputs:
    """What a run is made from."""

    model: Model
    train: Train
    sample: Sample  # what is shown on the way; it decides nothing
    repro: bool
    tokenizer: Tokenizer
    text: TokenStream  # to learn from
    held_out: TokenStream  # to be scored on
    token_nbytes: NDArray[np.int64]  # (V,) bytes of text that each token stands for
    start: Start | None = None  # None: random weights

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding."""
        return self.start.vocab_size if self.start else self.text.vocab_size

    def data_sha256(self) -> dict[str, list[str]]:
        """The digests of the shards, by split."""
        streams = {"train": self.text, "val": self.held_out}
        return {name: [shard.payload_sha256 for shard in stream.shards] for name, stream in streams.items()}

    def digest(self) -> str:
        """Digest of all that decides the weights but the number of steps. In `repro` that is PyTorch's version too."""
        settings = [self.model.decisive(), {**self.train.decisive(), "steps": None}, self.repro]
        made_from: list[Any] = [
            self.data_sha256(),
            self.text.tokenizer_sha256,
            torch.__version__ if self.repro else None,
        ]
        if self.start:
            made_from.append(self.start.sha256)
        return hashlib.sha256(json.dumps([settings, made_from], sort_keys=True).encode()).hexdigest()


@dataclass
class Training:
    """A model while it is trained: what the steps change, and what a checkpoint holds beside the weights."""

    inputs: Inputs
    device: torch.device
    model: LanguageModel
    optimizers: list[Optimizer]
    batches: Batches | ChatBatches
    world: dist.World = field(default_factory=dist.World)
    step: int = 0  # optimizer steps made
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))  # (), nats, of the steps since the last record
    seconds: float = 0.0  # spent by the processes before this one
    way: Way | None = None  # how steps are computed; None until it was measured
    trial: list[dict[str, Any]] = field(default_factory=list)  # what was measured
    started: float = field(default_factory=time.monotonic)
    forwards: dict[Way, Callable[..., Tensor]] = field(default_factory=dict)  # the model as each way wants it

    @property
    def tokens_a_step(self) -> int:
        """Tokens that an optimizer step reads."""
        train = self.inputs.train
        return train.batch_size * train.grad_accum * self.batches.window

    @property
    def elapsed_s(self) -> float:
        """Seconds of all processes of this run."""
        return self.seconds + time.monotonic() - self.started

    def state(self, metrics: Journal | None) -> dict[str, Any]:
        """What a checkpoint holds beside the tensors, as JSON; of a run without metrics yet where that is None."""
        return {
            "run": self.inputs.digest(),
            "torch": torch.__version__,
            "step": self.step,
            "loss_sum": finite(float(self.loss_sum), self),
            "train_s": 0.0 if metrics is None else self.elapsed_s,
            "metrics_nbytes": 0 if metrics is None else metrics.mark(),
            "way": None if self.way is None else vars(self.way),
            "trial": self.trial,
        }


def run(inputs: Inputs, partial: Path, out: Path, stop: command.StopRequest) -> None:
    """The whole run. Raises ValueError for inputs that do not fit, Interrupted after a signal."""
    training = build(inputs)
    kept = Kept(partial, inputs.digest(), inputs.train)
    metrics = resume(training, kept)
    threads = choose_way(training, stop)
    try:
        score = loop(training, kept, metrics, threads, stop)
    except command.Interrupted:
        if metrics:
            kept.save(training.model, training.optimizers, training.state(metrics))
        raise
    if score:
        save(training, score, kept, threads, out)
    dist.leave(training.world)


def load(
    params: dict[str, Any],
    shards_dir: Path,
    tokenizer_dir: Path,
    model: Model | None = None,
) -> Inputs:
    """Settings, tokenizer and shards. params: as a stage writes them. model: its sizes, where they are not in params.

    Raises ValueError where they do not fit.
    """
    tokenizer = load_tokenizer(tokenizer_dir)
    # The text may be larger than memory, and the stage engine has its digest: only the shorter split is read whole.
    text = shard_file.open_split(shards_dir, "train", every_byte=False)
    held_out = shard_file.open_split(shards_dir, "val")
    for stream in (text, held_out):
        shard_file.check_tokenizer(stream, tokenizer_dir)
    return Inputs(
        model=model or read(params, Model),
        train=read(params, Train),
        sample=read(params, Sample),
        repro=params["profile"] == "repro",
        tokenizer=tokenizer,
        text=text,
        held_out=held_out,
        token_nbytes=token_nbytes(tokenizer),
    )


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
    model = language_model(shape, inputs.vocab_size)
    if inputs.start:
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
        order_of(inputs.text, shape.ctx_len, train.batch_size, train.seed),
        world,
    )


def count(model: LanguageModel) -> int:
    """The number of weights."""
    return sum(weight.numel() for weight in model.parameters())


def resume(training: Training, kept: Kept) -> Journal | None:
    """Go on from the checkpoint that is kept, if there is one; returns the metrics up to there, open for more, to the
    process that leads.
    """
    fresh = training.state(None)
    if not training.world.leads:
        training.world.wait()  # the one that leads may have to move what is kept
    state = kept.restore(training.model, training.optimizers, fresh)
    if training.world.leads:
        training.world.wait()
    if state["torch"] != fresh["torch"]:
        command.say(f"PyTorch {state['torch']} made the steps so far, {fresh['torch']} goes on")
    training.step, training.seconds, training.trial = state["step"], state["train_s"], state["trial"]
    training.loss_sum = torch.tensor(state["loss_sum"], dtype=torch.float32, device=training.device)
    training.way = Way.noted(state["way"]) if state["way"] else None
    if not training.world.leads:
        return None
    metrics = Journal(kept.metrics, state["metrics_nbytes"])
    read_metrics(kept.metrics)  # a flaw of what is there must not end hours of training
    return metrics


def choose_way(training: Training, stop: command.StopRequest) -> speed.Threads:
    """How steps are computed from here on: as they were, or as a few steps now show to be fastest."""
    inputs, device = training.inputs, training.device
    if inputs.repro:
        training.way = Way(1, "f32", False)
    elif training.world.size > 1:  # they would measure one another
        training.way = speed.unmeasured(inputs.train, device)
    elif training.way is None:
        trial = functools.partial(trial_step, training, stop)
        training.way, training.trial = speed.choose(inputs.train, device, training.model, training.optimizers, trial)
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


def trial_step(training: Training, stop: command.StopRequest, way: Way) -> float:
    """One step in a way that is tried; returns its loss in nats, read back from the device."""
    stop.check()
    return float(train_step(training, way))


def loop(
    training: Training, kept: Kept, metrics: Journal | None, threads: speed.Threads, stop: command.StopRequest
) -> Score | None:
    """Steps to the last one, with records, evaluations and checkpoints between them; returns the last score. Those are
    for the process that leads, which has the metrics.

    Raises ValueError where the loss is not finite, Interrupted after a signal.
    """
    train, text = training.inputs.train, training.inputs.text
    assert training.way is not None
    training.started = saved = time.monotonic()
    with Progress(train.steps, training.tokens_a_step, training.step) as progress:
        while True:
            stop.signum = training.world.largest(stop.signum, training.device)
            stop.check()
            if training.step == kept.extend_at and metrics:
                kept.save_for_extension(training.model, training.optimizers, training.state(metrics))
            last = training.step == train.steps
            if last and not metrics:
                return None
            if (training.step % train.eval_every == 0 or last) and metrics:
                score = validate(training, train.last_eval_tokens if last else train.eval_tokens, stop)
                sampled = sample_text(training, stop)
                record(training, metrics, {"val_bpb": score.bpb, "last": last})  # nothing stops between here and a step
                progress.evaluated(score.bpb, sampled)
                if last:
                    return score

            step_started = time.monotonic()
            training.loss_sum += train_step(training, training.way)
            training.step += 1
            threads.step_took(time.monotonic() - step_started)

            loss_nats = None
            if training.step % train.log_every == 0:
                loss_nats = finite(float(training.loss_sum), training) / train.log_every
                training.loss_sum.zero_()
                train_bpb = loss_nats / math.log(2) * text.n_tokens / text.text_nbytes
                lr = lr_at(training.step - 1, train)
                if metrics:
                    record(training, metrics, {"loss_nats": loss_nats, "train_bpb": train_bpb, "lr": lr})
            progress.advance(training.step, loss_nats)
            if metrics and time.monotonic() - saved >= train.checkpoint_seconds:
                kept.save(training.model, training.optimizers, training.state(metrics))
                saved = time.monotonic()


def train_step(training: Training, way: Way) -> Tensor:
    """One optimizer step on the batches of step `training.step`; returns the mean loss in nats, (), on the device."""
    train, device, world = training.inputs.train, training.device, training.world
    if way not in training.forwards:
        training.forwards[way] = speed.compiled(way, training.model)
    total = torch.zeros((), device=device)
    for micro in world.share(train.grad_accum):
        batch = training.batches.batch(training.step * train.grad_accum + micro)
        ids = torch.from_numpy(batch.ids).to(device)  # (B, T + 1)
        targets = ids[:, 1:]
        learnt = None if batch.learnt is None else torch.from_numpy(batch.learnt).to(device)  # (B, T)
        with speed.autocast(way, device):
            logits = training.forwards[way](ids[:, :-1], learnt)  # (B, T, V), or (N, V)
        targets = targets.flatten() if learnt is None else targets[learnt]
        loss = F.cross_entropy(logits.flatten(0, -2).float(), targets) / train.grad_accum  # ()
        loss.backward()
        total += loss.detach()
    world.sum_gradients(training.model)
    if train.grad_clip > 0:
        torch.nn.utils.clip_grad_norm_(training.model.parameters(), train.grad_clip)
    set_lr(training.optimizers, lr_at(training.step, train))
    for optimizer in training.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return world.sum(total)


def validate(training: Training, max_tokens: int, stop: command.StopRequest) -> Score:
    """The score on the held-out text, or on about max_tokens of it."""
    inputs = training.inputs
    return evaluate(
        training.model,
        inputs.held_out,
        inputs.token_nbytes,
        inputs.model.ctx_len,
        inputs.train.eval_overlap,
        training.device,
        max_tokens,
        between=stop.check,
    )


def sample_text(training: Training, stop: command.StopRequest) -> str:
    """What the model writes at the moment, after the first prompt; "" where there is none. To look at only."""
    inputs = training.inputs
    if not inputs.sample.prompts:
        return ""
    prompt = inputs.sample.prompts[0]
    written = sample(
        training.model,
        inputs.tokenizer,
        inputs.start.prompts[0] if inputs.start else document_start(inputs.tokenizer, prompt),
        inputs.sample,
        inputs.sample.seed,
        inputs.model.ctx_len,
        inputs.start.stop_ids if inputs.start else {inputs.text.separator_id},
        training.device,
        between=stop.check,
    )
    return f"{prompt}\n{written}" if inputs.text.masked else prompt + written


def record(training: Training, metrics: Journal, figures: dict[str, Any]) -> None:
    """Add a line to metrics.jsonl: nothing of it depends on the clock."""
    metrics.write({"step": training.step, "tokens": training.step * training.tokens_a_step, **figures})


def finite(loss: float, training: Training) -> float:
    """The loss. Raises ValueError where it is not a finite number."""
    if not math.isfinite(loss):
        lr = training.inputs.train.lr
        raise ValueError(f"the loss is {loss} at step {training.step}; lower train.lr (now {lr:g})")
    return loss


def save(training: Training, score: Score, kept: Kept, threads: speed.Threads, out: Path) -> None:
    """Write the outputs: weights, metrics, summary and timings."""
    inputs, way, seconds = training.inputs, training.way, training.elapsed_s
    assert way is not None
    lora.merge(training.model)
    tokens_seen = training.step * training.tokens_a_step
    summary: dict[str, Any] = {
        "steps": training.step,
        "tokens_seen": tokens_seen,
        "parameters": count(training.model),
        "val_bpb": score.bpb,
        "val_tokens": score.n_tokens,
        "val_bytes": score.n_bytes,
        "val_ctx_len": inputs.model.ctx_len,
        "val_overlap": inputs.train.eval_overlap,
        "train_tokens": inputs.text.n_tokens,
        "train_bytes": inputs.text.text_nbytes,
        "vocab_size": inputs.text.vocab_size,
        "tokenizer_sha256": inputs.text.tokenizer_sha256,
        "data_sha256": inputs.data_sha256(),
        "profile": "repro" if inputs.repro else "fast",
        "device": training.device.type,
        "precision": way.precision,
        "compile": way.compile,
        "torch": torch.__version__.partition("+")[0],
        "numpy": np.__version__,
        "settings": {"model": inputs.model.decisive(), "train": inputs.train.decisive()},
    }
    timings = {
        "threads": threads.threads,
        "trial": training.trial,
        "train_s": round(seconds, 1),
        "tokens_a_second": round(tokens_seen / seconds),
    }
    with command.publishing(out) as temporary:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in training.model.state_dict().items()}
        try:
            save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
        except SafetensorError as error:  # it has lost the number by which `command.run` would know a full disk
            raise OSError(f"{out / 'model.safetensors'} cannot be written: {error}") from error
        shutil.copyfile(kept.metrics, temporary / METRICS)
        command.write_json(temporary / "summary.json", summary)
        command.write_json(temporary / "timings.json", timings)
    kept.finish()
    took = "" if inputs.repro else f" in {seconds:.0f} s"
    command.say(f"{score.bpb:.3f} bits/byte on {score.n_bytes:,} held-out bytes after {tokens_seen:,} tokens{took}")


def execute(arguments: argparse.Namespace, load_inputs: Callable[[dict[str, Any]], Inputs]) -> None:
    """The command. load_inputs: from parameters.

    Raises ValueError for inputs that do not fit, Interrupted after a signal.
    """
    params = command.params_of(arguments)
    if platform.system() == "Linux" and "GLIBC_TUNABLES" not in os.environ and params["profile"] == "fast":
        command.say(
            "GLIBC_TUNABLES is not set: on a CPU glibc's allocator may halve the speed; "
            "set glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296 "
        )
    dist.launch(read(params, Train).processes, params["profile"] == "repro")
    partial = arguments.resume or arguments.out / "partial"
    stop = command.StopRequest()
    try:
        run(load_inputs(params), partial, arguments.out, stop)
    except (MemoryError, RuntimeError) as error:
        if not speed.out_of_memory(error):
            raise
        raise ValueError("out of memory; make train.batch_size, the context or the model smaller") from error
    if arguments.resume is None and command.speaks():
        shutil.rmtree(partial)


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every training."""
    arguments = command.parser(module, description)
    arguments.add_argument("--shards", type=Path, required=True, metavar="DIR", help="the folder of shards")
    arguments.add_argument("--resume", type=Path, metavar="DIR", help="where checkpoints are kept and taken up again")
    return arguments


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    execute(arguments, lambda params: load(params, arguments.shards, arguments.tokenizer))


if __name__ == "__main__":
    arguments = parser("train", "Train the model.")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    sys.exit(command.run(main, arguments))
