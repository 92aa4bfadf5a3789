"""What is seen of a model while it is trained: its score, what it writes, its curves.

Figures go to metrics.jsonl, where under the profile repro nothing depends on the clock; to whoever looks on
(training/progress.py); and to what train.loggers names (training/loggers.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from training import command
from training.inputs import Inputs
from training.journal import TEXT, Journal
from training.loggers import Loggers
from training.optim.schedule import lr_at
from training.progress import Progress
from training.resume import Kept
from training.sample import sample
from training.scoring import Score, evaluate
from training.state import Diverged, Training, finite
from training.tokenizer_file import document_start


class Outcome(NamedTuple):
    """What a run comes to."""

    score: Score  # of the weights that come out, on train.last_eval_tokens of the held-out text
    step: int  # whose weights they are
    last: float | None  # bits per byte of the last step's where they are compared with the best, on train.eval_tokens


RAN_AWAY = 3.0  # a loss of so many times a uniform guess's after the warm-up comes back from nowhere


class Watch:
    """A context manager. Of the processes of a run only the one that leads has metrics, and shows or logs anything."""

    def __init__(self, training: Training, metrics: Journal | None, logs: Path | None = None) -> None:
        """logs: the folder of this run's logs. Raises ValueError where a logger is not installed."""
        train = training.inputs.train
        self.metrics = metrics
        self.progress = Progress(train.steps, training.tokens_a_step, training.step)
        self.loggers = Loggers(() if metrics is None else train.loggers, logs, settings_of(training.inputs))
        self.loggers.resume(training.step)

    def __enter__(self) -> Watch:
        self.progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.__exit__(kind, value, trace)
        self.loggers.close()

    def evaluate(self, training: Training, last: bool, stop: command.StopRequest) -> Score:
        """The score on the held-out text, or on a part of it before the last step. Raises Diverged for one that is no
        number: such weights must not come out.
        """
        train = training.inputs.train
        training.check()
        score = validate(training, train.last_eval_tokens if last else train.eval_tokens, stop)
        finite(score.bpb, "the validation loss", training.step, training)
        text = sample_text(training, stop)
        self._record(training, {"val_bpb": score.bpb, "last": last})  # nothing stops between here and a step
        if self.metrics and text:
            self.metrics.write({"step": training.step, TEXT: text})
        self.progress.evaluated(score.bpb, text)
        self.loggers.figures(training.step, {"val_bpb": score.bpb})
        self.loggers.text(training.step, text)
        return score

    def publish(self, training: Training, kept: Kept, score: Score) -> Outcome:
        """Choose whose weights come out, and leave the model with these. score: of the last step, and recorded: nothing
        may stop from there on.
        """
        train, best = training.inputs.train, training.best
        if train.keep == "last" or best is None:
            return Outcome(score, training.step, None)
        last = validate(training, train.eval_tokens, None).bpb  # as the others were evaluated
        if not training.agreed(best.val_bpb < last):
            return Outcome(score, training.step, last)
        kept.load_best(training.model, best.step)
        score = validate(training, train.last_eval_tokens, None)
        command.say(f"step {best.step} scored best: its weights come out, {score.bpb:.3f} bits/byte")
        if self.metrics:
            self.metrics.write({"step": best.step, "kept_bpb": score.bpb})
        return Outcome(score, best.step, last)

    def stepped(self, training: Training) -> None:
        """A step was made: at the end of an interval its figures. Raises Diverged where the loss runs away."""
        inputs, train_bpb = training.inputs, None
        if training.step % inputs.train.log_every == 0:
            loss_nats, guess = training.mean_loss(), math.log(inputs.vocab_size)
            warm = training.step > inputs.train.warmup_steps + inputs.train.log_every
            if warm and loss_nats is not None and loss_nats > RAN_AWAY * guess:
                raise Diverged(
                    f"the loss is {loss_nats:.3g} nats a token at step {training.step}, a uniform guess's {guess:.3g}; "
                    f"lower train.lr (now {inputs.train.lr:g})"
                )
            figures = {"lr": lr_at(training.step - 1, inputs.train), "grad_norm": float(training.grad_norm)}
            if loss_nats is not None:
                train_bpb = loss_nats / math.log(2) * inputs.text.n_learnt / inputs.text.text_nbytes
                figures |= {"loss_nats": loss_nats, "train_bpb": train_bpb}
            if training.scaler.is_enabled():
                figures |= {"skipped": training.skipped, "loss_scale": training.scaler.get_scale()}
            timed = {**figures, "tokens_a_second": self.progress.tokens_a_second}
            self._record(training, figures if inputs.repro else timed)
            self.loggers.figures(training.step, timed)
        self.progress.advance(training.step, train_bpb)

    def _record(self, training: Training, figures: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        if self.metrics:
            self.metrics.write({"step": training.step, "tokens": training.step * training.tokens_a_step, **figures})


def settings_of(inputs: Inputs) -> dict[str, Any]:
    """What decides a run, for those who compare its curves with another's."""
    return {"model": inputs.model.values(), "train": inputs.train.decisive(), "vocab_size": inputs.vocab_size}


def pauses(training: Training, stop: command.StopRequest | None) -> Callable[[], None]:
    """What is called in the middle of an evaluation. Processes that hold pieces stop together, between two steps."""
    return (lambda: None) if stop is None or training.in_pieces else stop.check


def validate(training: Training, max_tokens: int, stop: command.StopRequest | None) -> Score:
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
        between=pauses(training, stop),
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
        between=pauses(training, stop),
    )
    return f"{prompt}\n{written}" if inputs.text.masked else prompt + written
