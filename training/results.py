"""The outputs of a training run: weights, metrics, samples, summary and timings, which appear whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import save_file

from training import command, journal, lora
from training.pieces import whole
from training.resume import Kept
from training.speed import Threads
from training.state import Training, count
from training.watch import Outcome


def save(training: Training, outcome: Outcome, kept: Kept, threads: Threads, out: Path) -> None:
    """Write the outputs: weights, metrics, samples, summary and timings; in the process that leads."""
    inputs, way, seconds, score = training.inputs, training.way, training.elapsed_s, outcome.score
    lora.merge(training.model)
    weights = {}
    for name, tensor in training.model.state_dict().items():
        together = whole(tensor.detach())  # of pieces; only the process that leads keeps it
        if training.world.leads:
            weights[name] = together.cpu().contiguous()
    if not training.world.leads:
        return
    assert way is not None
    tokens_seen = training.step * training.tokens_a_step
    summary: dict[str, Any] = {
        "steps": training.step,
        "skipped_steps": training.skipped,
        "weights_of_step": outcome.step,
        "best_evaluation": training.best and training.best._asdict(),  # before the last step, of train.eval_tokens
        "last_evaluation": outcome.last and {"step": training.step, "val_bpb": outcome.last},  # where they compare
        "tokens_seen": tokens_seen,
        "parameters": count(training.model),
        "val_bpb": score.bpb,
        "val_tokens": score.n_tokens,
        "val_bytes": score.n_bytes,
        "val_ctx_len": inputs.model.ctx_len,
        "val_overlap": inputs.train.eval_overlap,
        "vocab_size": inputs.text.vocab_size,
        "device": training.device.type,
        "precision": way.precision,
        "compile": way.compile,
        "numpy": np.__version__,
        **inputs.described(),
    }
    timings = {
        "threads": threads.threads,
        "trial": training.trial,
        "train_s": round(seconds, 1),
        "tokens_a_second": round(tokens_seen / seconds),
    }
    with command.publishing(out) as temporary:
        try:
            save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
        except SafetensorError as error:  # it has lost the number by which `command.run` would know a full disk
            raise OSError(f"{out / 'model.safetensors'} cannot be written: {error}") from error
        journal.publish(kept.metrics, temporary)
        command.write_json(temporary / "summary.json", summary)
        command.write_json(temporary / "timings.json", timings)
    kept.finish()
    took = "" if inputs.repro else f" in {seconds:.0f} s"
    command.say(f"{score.bpb:.3f} bits/byte on {score.n_bytes:,} held-out bytes after {tokens_seen:,} tokens{took}")
