"""What was measured, as a table and as JSON: medians, and how often theirs our time is.

In: the runs of every engine in one setting (model, bits, place, threads). Out: lines of Markdown, an object for JSON.
A ratio above 1 says that ours is faster. One thread is timed by the processor's clock, which a busy machine spoils
least, more by the wall's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench.engine.peers import BROWSER, NATIVE, OURS, WEBGPU, Figures, Job, Took

# By place and peer: what the ratios of decode, prefill and, of 135 M, time to the first token have to be.
AT_LEAST: dict[tuple[str, str], tuple[float, float, float | None]] = {
    (NATIVE, "llama.cpp"): (0.9, 0.9, None),
    (NATIVE, "torch"): (1.2, 1.2, None),
    (BROWSER, "wllama"): (1.0, 1.0, None),
    (BROWSER, "transformers.js"): (1.5, 1.5, 2.0),
    (WEBGPU, "transformers.js"): (2.0, 1.5, 2.0),
}
COLUMNS = ("model", "bits", "where", "threads", "engine", "decode/s", "prefill/s", "first token, ms", "peak, MiB")
RATIOS = ("decode ÷", "prefill ÷", "first token ÷", "at least")


@dataclass
class Setting:
    """Every engine's runs of one job."""

    job: Job
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # why, by engine


def medians(runs: Sequence[Figures]) -> Figures:
    """Each figure's own median; the ids of the first run."""

    def of(part: Callable[[Figures], float]) -> float:
        return median(map(part, runs))

    return Figures(
        of(lambda run: run.load_ms),
        of(lambda run: run.first_ms),
        Took(of(lambda run: run.prefill.clock_ms), of(lambda run: run.prefill.cpu_ms)),
        Took(of(lambda run: run.decode.clock_ms), of(lambda run: run.decode.cpu_ms)),
        of(lambda run: run.peak_mib),
        runs[0].ids,
    )


def ms(took: Took, job: Job) -> float:
    """The clock that counts."""
    return took.cpu_ms if job.threads == 1 else took.clock_ms


def ratios(job: Job, ours: Figures, theirs: Figures) -> tuple[float, float, float]:
    """How many times faster ours is: in decode, in prefill, to the first token (on the wall's clock)."""
    return (
        ms(theirs.decode, job) / ms(ours.decode, job),
        ms(theirs.prefill, job) / ms(ours.prefill, job),
        theirs.first_ms / ours.first_ms,
    )


def heading() -> list[str]:
    """The first two lines of the table."""
    cells = (*COLUMNS, *RATIOS)
    return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def lines(setting: Setting) -> list[str]:
    """A line for each engine, ours first, and one for each that was left out."""
    job, found = setting.job, {name: medians(runs) for name, runs in setting.runs.items()}
    ours = found.get(OURS)
    made = []
    for name, figures in sorted(found.items(), key=lambda each: each[0] != OURS):
        cells = [job.model, job.dtype, job.place, str(job.threads), name]
        cells += [_number(1e3 / ms(took, job)) for took in (figures.decode, figures.prefill)]
        cells += [_number(figures.first_ms)]
        cells += [f"{figures.peak_mib:.0f}"]
        if ours is None or name == OURS:
            cells += [""] * len(RATIOS)
        else:
            cells += [f"{ratio:.2f}" for ratio in ratios(job, ours, figures)] + [wanted(job, name)]
        made.append(f"| {' | '.join(cells)} |")
    return made + [
        f"{job.model} {job.dtype} {job.place}: {name} left out: {why}" for name, why in setting.left_out.items()
    ]


def as_json(setting: Setting) -> dict[str, Any]:
    """The setting with every run."""
    job = setting.job._asdict()
    del job["folder"]
    engines = {
        name: {"median": _plain(medians(runs)), "runs": [_plain(run) for run in runs]}
        for name, runs in setting.runs.items()
    }
    return {**job, "engines": engines, "left_out": setting.left_out}


def agreement(setting: Setting, tokens: int = 16) -> Mapping[str, int]:
    """How many of the first tokens each engine that tells them writes alike with the first of those."""
    told = {name: runs[0].ids[:tokens] for name, runs in setting.runs.items() if runs and runs[0].ids}
    first = next(iter(told.values()), ())
    return {
        name: next((at for at, pair in enumerate(zip(first, ids)) if pair[0] != pair[1]), min(len(first), len(ids)))
        for name, ids in told.items()
    }


def _plain(figures: Figures) -> dict[str, Any]:
    named = figures._asdict()
    return named | {"prefill": figures.prefill._asdict(), "decode": figures.decode._asdict(), "ids": figures.ids[:16]}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def wanted(job: Job, name: str) -> str:
    """What the three ratios beside an engine have to be at the least; – where nothing is asked."""
    decode, prefill, first = AT_LEAST.get((job.place, name), (None, None, None))
    asked = [decode, prefill, first if job.model == "135M" else None]
    return ", ".join("–" if each is None else f"{each:g}" for each in asked)
