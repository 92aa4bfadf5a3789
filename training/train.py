"""Shards in, a trained model out: load, build, loop, save.

Writes OUT/model.safetensors  the weights in f32, with Hugging Face's names
       OUT/metrics.jsonl      one line an interval or evaluation
       OUT/loss.svg, OUT/samples.txt
       OUT/summary.json       what the run was and how good it got
       OUT/timings.json       how long it took, and what was found fastest
While it runs, checkpoints, metrics.jsonl and samples.txt are in the folder --resume (OUT/partial without it); the same
command goes on from there after a kill, SIGINT or SIGTERM. Under the profile repro (one thread, f32) every output but
timings.json has the same bytes, interrupted or not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from training import checkpoint, command, config, plot, shard_file, speed
from training.batches import Batches
from training.evaluate import Score, evaluate, token_nbytes
from training.model import Llama
from training.progress import Progress
from training.sample import sample
from training.schedule import lr_at
from training.speed import Way
from training.tokenizer_file import load as load_tokenizer


class StopRequest:
    """SIGINT and SIGTERM as a request that is honoured at the next safe point."""

    def __init__(self) -> None:
        self.signum = 0
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: object) -> None:
        self.signum = signum

    def check(self) -> None:
        """Raises Interrupted once a signal came."""
        if self.signum:
            raise command.Interrupted(
                self.signum, f"stopped by {signal.Signals(self.signum).name}; the same command goes on from here"
            )


class Journal:
    """A text file that grows, and that a resumed run cuts back to where its checkpoint saw it.

    Raises ValueError where the file is shorter than that.
    """

    def __init__(self, path: Path, nbytes: int) -> None:
        self.file = path.open("ab")
        if (got := self.file.seek(0, os.SEEK_END)) < nbytes:
            raise ValueError(
                f"{path} has {got} bytes, but its checkpoint saw {nbytes}; "
                f"put it back, or delete {path.parent} to train from the start"
            )
        self.file.truncate(nbytes)
        self.file.seek(nbytes)

    def write(self, text: str) -> None:
        self.file.write(text.encode())
        self.file.flush()

    def mark(self) -> int:
        """Force it to the disk; returns its length."""
        os.fsync(self.file.fileno())
        return self.file.tell()


def make_optimizer(model: Llama, train: config.Train, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), with decay on the matrices alone."""
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    norms = [weight for weight in model.parameters() if weight.dim() == 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": train.weight_decay}, {"params": norms, "weight_decay": 0.0}],
        lr=train.lr,
        betas=(train.beta1, train.beta2),
        fused=device.type != "mps",
    )


def run(
    params: dict[str, Any], shards_dir: Path, tokenizer_dir: Path, partial: Path, out: Path, stop: StopRequest
) -> None:
    """The whole run. params: as a stage writes them.

    Raises ValueError for inputs that do not fit, Interrupted after a signal.
    """
    # Load.
    shape, train = config.section_from(params, config.Model), config.section_from(params, config.Train)
    repro = params["profile"] == "repro"
    tokenizer = load_tokenizer(tokenizer_dir)
    text, held_out = shard_file.open_split(shards_dir, "train"), shard_file.open_split(shards_dir, "val")
    for stream in (text, held_out):
        shard_file.check_tokenizer(stream, tokenizer_dir)
    batches = Batches(text, shape.ctx_len, train.batch_size, train.seed)
    if batches.window < shape.ctx_len:
        command.say(
            f"the training text has only {text.n_tokens} tokens: windows of {batches.window}, not {shape.ctx_len}"
        )
    tokens_a_step = train.batch_size * train.grad_accum * batches.window
    sizes = token_nbytes(tokenizer, text.separator_id)

    # Build.
    device = speed.pick_device(train.device, repro)
    if repro:
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
    with torch.device("meta"):  # weights without memory, to count them
        speed.check_memory(sum(weight.numel() for weight in Llama(shape, text.vocab_size).parameters()), device)
    model = Llama(shape, text.vocab_size)
    model.initialise(torch.Generator().manual_seed(train.seed))
    model.to(device)
    optimizer = make_optimizer(model, train, device)
    parameters = list(model.parameters())
    n_parameters = sum(weight.numel() for weight in parameters)
    data_sha256 = {
        name: [shard.payload_sha256 for shard in stream.shards] for name, stream in (("train", text), ("val", held_out))
    }
    run_digest = hashlib.sha256(
        json.dumps([params, torch.__version__, data_sha256, text.tokenizer_sha256], sort_keys=True).encode()
    ).hexdigest()

    fresh: dict[str, Any] = {
        "run": run_digest,
        "step": 0,
        "loss_sum": 0.0,
        "train_s": 0.0,
        "metrics_nbytes": 0,
        "samples_nbytes": 0,
        "way": None,
        "trial": [],
    }
    state = checkpoint.read_latest(partial / "checkpoints", model, optimizer, fresh) or fresh
    if state["step"] > train.steps:
        raise ValueError(f"{partial}: its checkpoint is of step {state['step']} of {train.steps}; delete the folder")
    if state is not fresh:
        command.say(f"resumed at step {state['step']} of {train.steps}")
    partial.mkdir(parents=True, exist_ok=True)
    metrics = Journal(partial / "metrics.jsonl", state["metrics_nbytes"])
    samples = Journal(partial / "samples.txt", state["samples_nbytes"])
    read_metrics(partial / "metrics.jsonl")  # a flaw of what is there must not end hours of training
    forwards: dict[Way, Any] = {}
    n_prompts = len(train.sample_prompts)

    def step_once(way: Way, step: int) -> Tensor:
        """One optimizer step; returns the mean loss in nats, (), on the device."""
        if way not in forwards:
            forwards[way] = speed.compiled(way, model)
        total = torch.zeros((), device=device)
        for micro in range(train.grad_accum):
            ids = torch.from_numpy(batches.batch(step * train.grad_accum + micro)).to(device)
            with speed.autocast(way, device):
                logits = forwards[way](ids[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten()) / train.grad_accum
            loss.backward()
            total += loss.detach()
        if train.grad_clip > 0:
            torch.nn.utils.clip_grad_norm_(parameters, train.grad_clip)
        for group in optimizer.param_groups:
            group["lr"] = lr_at(step, train)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total

    def trial_step(way: Way) -> float:
        stop.check()
        return float(step_once(way, 0))

    def score(max_tokens: int) -> Score:
        return evaluate(
            model, held_out, sizes, shape.ctx_len, train.eval_overlap, device, max_tokens, between=stop.check
        )

    def sample_text(index: int, step: int) -> str:
        return sample(
            model,
            tokenizer,
            train.sample_prompts[index],
            train.sample_tokens,
            train.sample_temperature,
            shape.ctx_len,
            text.separator_id,
            train.seed + 1000 * step + index,
            device,
            between=stop.check,
        )

    def write_metrics(step: int, figures: dict[str, Any]) -> None:
        clock = {} if repro else {"train_s": round(train_s + time.monotonic() - started, 2)}
        metrics.write(json.dumps({"step": step, "tokens": step * tokens_a_step, **figures, **clock}) + "\n")

    def checked(loss: float) -> float:
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {step}; lower train.lr (now {train.lr:g})")
        return loss

    def save_checkpoint() -> None:
        state.update(
            step=step,
            loss_sum=checked(float(loss_sum)),
            train_s=train_s + time.monotonic() - started,
            metrics_nbytes=metrics.mark(),
            samples_nbytes=samples.mark(),
        )
        checkpoint.write(partial / "checkpoints", model, optimizer, state)

    # Loop.
    if repro:
        way = Way(1, "f32", False)
    elif state["way"]:
        way = Way.noted(state["way"])
        torch.set_num_threads(way.threads)
    else:
        way, state["trial"] = speed.choose(train, device, model, optimizer, trial_step)
        state["way"] = vars(way)
    command.say(
        f"{n_parameters:,} parameters, {text.n_tokens:,} tokens; {train.steps} steps of {tokens_a_step:,} tokens "
        f"({train.steps * tokens_a_step / text.n_tokens:.1f} epochs); {device.type}, {way.precision}"
        + f", {way.threads} thread{'s' * (way.threads != 1)}" * (device.type == "cpu")
        + ", compiled" * way.compile
    )
    threads = speed.Threads([way.threads] if repro else speed.thread_counts(device), way.threads)
    step, train_s, started = state["step"], state["train_s"], time.monotonic()
    loss_sum = torch.tensor(state["loss_sum"], dtype=torch.float32, device=device)
    saved = started
    with Progress(train.steps, tokens_a_step, step) as progress:
        try:
            while True:
                stop.check()
                if step % train.eval_every == 0 or step == train.steps:
                    paused = time.monotonic()
                    last = step == train.steps
                    val = score(train.last_eval_tokens if last else train.eval_tokens)
                    texts = [sample_text(index, step) for index in range(n_prompts if last else min(1, n_prompts))]
                    samples.write("".join(f"--- step {step}\n{said}\n\n" for said in texts))
                    write_metrics(step, {"val_bpb": val.bpb, "last": last})
                    progress.evaluated(val.bpb)
                    progress.pause(time.monotonic() - paused)
                    if last:
                        break
                step_started = time.monotonic()
                loss_sum += step_once(way, step)
                threads.step_took(time.monotonic() - step_started)
                step += 1
                loss_nats = None
                if step % train.log_every == 0:
                    loss_nats = checked(float(loss_sum)) / train.log_every
                    loss_sum.zero_()
                    train_bpb = loss_nats / math.log(2) * text.n_tokens / text.text_nbytes
                    write_metrics(step, {"loss_nats": loss_nats, "train_bpb": train_bpb, "lr": lr_at(step - 1, train)})
                progress.advance(step, loss_nats)
                if time.monotonic() - saved >= train.checkpoint_seconds:
                    save_checkpoint()
                    saved = time.monotonic()
        except command.Interrupted:
            save_checkpoint()
            raise

    # Save.
    metrics.mark(), samples.mark()
    train_s += time.monotonic() - started
    summary: dict[str, Any] = {
        "steps": step,
        "tokens_seen": step * tokens_a_step,
        "parameters": n_parameters,
        "val_bpb": val.bpb,
        "val_tokens": val.n_tokens,
        "val_bytes": val.n_bytes,
        "val_ctx_len": shape.ctx_len,
        "val_overlap": train.eval_overlap,
        "train_tokens": text.n_tokens,
        "train_bytes": text.text_nbytes,
        "vocab_size": text.vocab_size,
        "tokenizer_sha256": text.tokenizer_sha256,
        "data_sha256": data_sha256,
        "profile": params["profile"],
        "device": device.type,
        "precision": way.precision,
        "compile": way.compile,
        "torch": torch.__version__.partition("+")[0],
        "numpy": np.__version__,
        "settings": {name: params["params"][name] for name in ("model", "train")},
    }
    timings = {
        "threads": threads.threads,
        "trial": state["trial"],
        "train_s": round(train_s, 1),
        "tokens_a_second": round(step * tokens_a_step / train_s),
    }
    save(model, summary, timings, partial, out)
    took = "" if repro else f" in {train_s:.0f} s"
    command.say(
        f"{val.bpb:.3f} bits/byte on {val.n_bytes:,} held-out bytes after {step * tokens_a_step:,} tokens{took}"
    )


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl. Raises ValueError naming a line that is none."""
    records = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            record = json.loads(line.decode())
            if not {"step": int}.items() <= {name: type(value) for name, value in record.items()}.items():
                raise ValueError("it has no step")
            if not all(type(record.get(name, 0.0)) in (int, float) for name in ("train_bpb", "val_bpb")):
                raise ValueError("its bits per byte are no number")
        except (ValueError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{path}:{number}: not a record of metrics ({error}); delete {path.parent} to train from the start"
            ) from error
        records.append(record)
    return records


def save(model: Llama, summary: dict[str, Any], timings: dict[str, Any], partial: Path, out: Path) -> None:
    """Write the outputs: the weights, summary and timings, the journals and the picture of metrics.jsonl."""
    records = read_metrics(partial / "metrics.jsonl")
    picture = plot.loss_svg(
        f"{summary['val_bpb']:.3f} bits per byte after {summary['tokens_seen'] / 1e6:.1f} M tokens",
        [(record["step"], record["train_bpb"]) for record in records if "train_bpb" in record],
        [(record["step"], record["val_bpb"]) for record in records if "val_bpb" in record],
    )
    with command.publishing(out) as temporary:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        try:
            save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
        except SafetensorError as error:  # it has lost the number by which `command.run` would know a full disk
            raise OSError(f"{out / 'model.safetensors'} cannot be written: {error}") from error
        for name in ("metrics.jsonl", "samples.txt"):
            shutil.copyfile(partial / name, temporary / name)
        (temporary / "loss.svg").write_text(picture, encoding="utf-8")
        command.write_json(temporary / "summary.json", summary)
        command.write_json(temporary / "timings.json", timings)


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    params = command.params_of(arguments)
    if platform.system() == "Linux" and "GLIBC_TUNABLES" not in os.environ and params["profile"] == "fast":
        command.say(
            "GLIBC_TUNABLES is not set: on a CPU glibc's allocator may halve the speed; "
            "set glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296 "
        )
    partial = arguments.resume or arguments.out / "partial"
    try:
        run(params, arguments.shards, arguments.tokenizer, partial, arguments.out, StopRequest())
    except (MemoryError, RuntimeError) as error:
        if not speed.out_of_memory(error):
            raise
        raise ValueError("out of memory; make train.batch_size, model.ctx_len or the model smaller") from error
    if arguments.resume is None:
        shutil.rmtree(partial)


if __name__ == "__main__":
    arguments = command.parser("train", "Train the model.")
    arguments.add_argument("--shards", type=Path, required=True, metavar="DIR", help="the folder of shards")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    arguments.add_argument("--resume", type=Path, metavar="DIR", help="where checkpoints are kept and taken up again")
    sys.exit(command.run(main, arguments))
