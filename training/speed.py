"""Where and how to compute: the device, and what a few steps at the start show to be fastest.

What is fastest differs from one CPU to the next: bf16 was a third faster on one with AMX and three times slower on one
without; many threads slow a small model down. So it is measured. The weights and the optimizer are put back after the
trial.
"""

from __future__ import annotations

import contextlib
import copy
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from training.command import Interrupted, say
from training.config.train import Train

WARM_STEPS, TIMED_STEPS = 2, 5
LONGEST_TRIAL_S = 6.0  # of one way; a step of a large model takes seconds
PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}  # of products; weights stay f32
WORTH = 0.9  # a less exact way must take less than this share of the time


@dataclass(frozen=True)
class Way:
    """How steps are computed."""

    threads: int  # of the CPU
    precision: str  # of PRECISIONS
    compile: bool  # with torch.compile

    @classmethod
    def noted(cls, value: Any) -> Way:
        """The way that a checkpoint noted. Raises ValueError for what is none."""
        kinds = {"threads": int, "precision": str, "compile": bool}
        if not isinstance(value, dict) or {name: type(field) for name, field in value.items()} != kinds:
            raise ValueError(f"{value!r:.80} does not have just {', '.join(kinds)}")
        if value["threads"] not in range(1, 1 << 16) or value["precision"] not in PRECISIONS:
            raise ValueError(f"{value!r} is no number of threads and precision")
        return cls(**value)


def pick_device(wanted: str, repro: bool) -> torch.device:
    """The device for train.device. Raises ValueError where it is not there, or where it cannot be bit-exact."""
    if repro and wanted not in ("auto", "cpu"):
        raise ValueError(f"profile repro trains on the CPU; train.device={wanted!r} is not bit-exact")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        wanted = "cpu" if repro else next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[wanted]:
        raise ValueError(f"train.device={wanted!r}: this PyTorch finds no such device; use train.device=auto")
    return torch.device(wanted)


def check_memory(n_parameters: int, n_trained: int, device: torch.device) -> None:
    """Raises ValueError where a model cannot be trained for want of memory, before the system would end the process.

    A parameter takes an f32; one that is trained three more, for its gradient and AdamW's two moments. On a GPU only
    the first is ours too.
    """
    needed = n_parameters * 4 + (n_trained * 12 if device.type == "cpu" else 0)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ValueError(
            f"{n_parameters:,} parameters take {needed / 1e9:,.1f} GB, this machine has {there / 1e9:,.1f}; "
            "make model.n_layer, d_model, d_ff or tokenizer.vocab_size smaller"
        )


def no_memory(error: Exception) -> bool:
    """Whether it says that there is none left. On the CPU PyTorch has no class for it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextlib.contextmanager
def memory_named() -> Iterator[None]:
    """Raises ValueError that says what to do where PyTorch or Python find no memory in what is done here."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if no_memory(error):
            raise ValueError("out of memory; make train.batch_size, the context or the model smaller") from error
        raise


def hint(profile: str) -> None:
    """A word where the C library would give memory back to the system after every step."""
    if platform.system() == "Linux" and "GLIBC_TUNABLES" not in os.environ and profile == "fast":
        say(
            "GLIBC_TUNABLES is not set: on a CPU glibc's allocator may halve the speed; "
            "set glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=4294967296 "
        )


def thread_counts(device: torch.device) -> list[int]:
    """How many threads are worth trying: all cores, halves of them, down to one. One where the CPU only feeds a GPU."""
    if device.type != "cpu":
        return [torch.get_num_threads()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = [min(cores, int(os.environ.get("OMP_NUM_THREADS") or cores))]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return counts


def unmeasured(train: Train, device: torch.device) -> Way:
    """How each of several processes computes: with OMP_NUM_THREADS, its share of the cores; bf16 where a GPU has it."""
    precision = train.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "f32"
    return Way(thread_counts(device)[0], precision, train.compile)


def candidates(train: Train, device: torch.device) -> Iterator[list[Way]]:
    """Rounds of ways to try. Each round varies one thing; 0 and "" stand for what the rounds before found best."""
    first = "f32" if train.precision == "auto" else train.precision
    yield [Way(count, first, False) for count in thread_counts(device)]
    if train.precision == "auto":
        yield [Way(0, "bf16", False)]
    if train.compile:
        yield [Way(0, "", True)]


def choose(
    train: Train, device: torch.device, model: nn.Module, optimizers: Sequence[Optimizer], step: Callable[[Way], float]
) -> tuple[Way, list[dict[str, Any]]]:
    """The fastest way of the candidates, and what was measured: [{"threads", "precision", "compile", "step_ms"}].

    step(way) makes one optimizer step and returns its loss. A way that fails (no C++ compiler, no bf16) is left out
    with a word.
    """
    rounds = list(candidates(train, device))
    if sum(map(len, rounds)) == 1:
        return rounds[0][0], []
    say(f"measuring {sum(map(len, rounds))} ways to compute a step: threads, precision, torch.compile")
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    moments = [copy.deepcopy(optimizer.state_dict()) for optimizer in optimizers]
    best, best_ms = rounds[0][0], float("inf")
    measured = []
    failure: Exception | None = None
    for ways in rounds:
        for tried in ways:
            way = Way(tried.threads or best.threads, tried.precision or best.precision, tried.compile or best.compile)
            try:
                step_ms = _time(way, step, best_ms)
            except Interrupted:
                raise
            except Exception as error:  # whatever a compiler or a back end raises, the plain way is there
                failure = error
                say(f"{way.precision}{' compiled' * way.compile}: does not run here ({type(error).__name__}); left out")
                continue
            finally:
                model.load_state_dict(weights)
                for optimizer, state in zip(optimizers, moments, strict=True):
                    optimizer.load_state_dict(copy.deepcopy(state))
            measured.append({**asdict(way), "step_ms": round(step_ms, 2)})
            inexact = way.precision == "bf16" and best.precision == "f32"
            if step_ms < best_ms * (WORTH if inexact or way.compile else 1.0):
                best, best_ms = way, step_ms
    if best_ms == float("inf"):
        if failure is not None and no_memory(failure):
            raise failure  # `memory_named` says what to do
        raise ValueError(
            f"no training step runs on {device} ({failure}); try train.device=cpu train.precision=f32"
        ) from failure
    torch.set_num_threads(best.threads)
    return best, measured


def _time(way: Way, step: Callable[[Way], float], give_up_ms: float) -> float:
    """The median of a few steps, in milliseconds; of one, where that takes four times give_up_ms or the trial gets too
    long. Raises ArithmeticError for a loss that is not finite."""
    torch.set_num_threads(way.threads)
    times = []
    began = time.perf_counter()
    for index in range(WARM_STEPS + TIMED_STEPS):
        started = time.perf_counter()
        loss = step(way)  # reads the loss back, so a GPU has finished
        ended = time.perf_counter()
        if loss != loss:
            raise ArithmeticError("the loss is not a number")
        enough = ended - began > LONGEST_TRIAL_S  # the first step alone warms up then
        if index >= WARM_STEPS or (enough and index > 0):
            times.append(1e3 * (ended - started))
            if times[0] > 4 * give_up_ms or enough:
                break
    return sorted(times)[len(times) // 2]


class Threads:
    """Keeps the number of CPU threads that is fastest at the moment.

    A step has hundreds of short parallel regions, and OpenMP's threads spin at the end of each until the last one is
    there. Where other programs want the cores too, that last one may have lost its core: two threads on two busy cores
    were measured ten times slower than one. So every now and then a few steps are made with the neighbouring numbers.
    The weights come out as good, but not bit for bit the same: the profile repro does without.
    """

    WAIT_S, LONGEST_WAIT_S, PROBE_STEPS = 10.0, 80.0, 3

    def __init__(self, counts: list[int], threads: int) -> None:
        self.counts, self.threads = counts, threads
        self.wait_s = self.WAIT_S
        self.next_probe = time.monotonic() + self.wait_s
        self.probing: list[int] = []  # numbers still to be tried, the first one now
        self.times: dict[int, list[float]] = {}  # seconds of the steps with each number, of this probe

    def step_took(self, seconds: float) -> None:
        """Note a step's time, and set the number of threads for the next one."""
        if not self.probing:
            if len(self.counts) > 1 and time.monotonic() >= self.next_probe:
                at = self.counts.index(self.threads)
                self.probing = [self.threads, *self.counts[max(0, at - 1) : at], *self.counts[at + 1 : at + 2]]
                self.times = {}
            return
        now = self.probing[0]
        self.times.setdefault(now, []).append(seconds)
        hopeless = now != self.threads and len(self.times[now]) > 1 and seconds > 3 * min(self.times[self.threads])
        if hopeless or len(self.times[now]) > self.PROBE_STEPS:  # the first step after a change warms up
            self.probing.pop(0)
            if not self.probing:
                best = min(self.times, key=lambda count: sorted(self.times[count][1:])[len(self.times[count][1:]) // 2])
                self.wait_s = self.WAIT_S if best != self.threads else min(2 * self.wait_s, self.LONGEST_WAIT_S)
                self.threads = best
                self.next_probe = time.monotonic() + self.wait_s
        torch.set_num_threads(self.probing[0] if self.probing else self.threads)


def autocast(way: Way, device: torch.device) -> torch.autocast:
    """The context in which the forward pass runs."""
    return torch.autocast(device.type, PRECISIONS[way.precision], enabled=way.precision != "f32")


def compiled(way: Way, model: nn.Module) -> Callable[..., Tensor]:
    """The model's forward pass as the way wants it."""
    made: Callable[..., Tensor] = torch.compile(model) if way.compile else model
    return made
