"""What a trace of Chromium says of the page's main thread: how long its tasks are, and how much of a frame they take.

In: events in the Trace Event Format, of the categories of page.mjs. Out: milliseconds of the processor's time, which
other work on the machine spoils less than the clock.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

FRAME_MS = 1000 / 60
MAIN_THREAD = "CrRendererMain"


class Task(NamedTuple):
    """One task of the main thread."""

    start_ms: float  # by the clock
    cpu_ms: float


class Load(NamedTuple):
    """The 95th and the 99th of a hundred, and the largest, in milliseconds."""

    p95: float
    p99: float
    longest: float


def tasks(events: Sequence[Mapping[str, Any]]) -> list[Task]:
    """The tasks of the busiest main thread: the page's own, not those of the browser's pages. Raises ValueError where a
    trace has none.
    """
    named = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == MAIN_THREAD
    }
    runs = [
        event
        for event in events
        if event["name"] == "RunTask" and "tdur" in event and (event["pid"], event["tid"]) in named
    ]
    if not runs:
        raise ValueError(f"the trace has no task of a thread {MAIN_THREAD} with the processor's time")
    busy: Counter[tuple[int, int]] = Counter()
    for event in runs:
        busy[event["pid"], event["tid"]] += event["tdur"]
    ((page, _),) = busy.most_common(1)
    return sorted(
        Task(event["ts"] / 1000, event["tdur"] / 1000) for event in runs if (event["pid"], event["tid"]) == page
    )


def frames(of: Sequence[Task]) -> list[float]:
    """What all tasks together took in each frame from the first to the last, by when they began."""
    first = of[0].start_ms
    within = {
        frame: sum(task.cpu_ms for task in each)
        for frame, each in itertools.groupby(of, lambda task: int((task.start_ms - first) / FRAME_MS))
    }
    return [within.get(frame, 0.0) for frame in range(max(within) + 1)]


def load(milliseconds: Sequence[float]) -> Load:
    """Nearest-rank percentiles: the least figure that so many of a hundred do not exceed."""
    ranked = sorted(milliseconds)

    def at(percent: int) -> float:
        return ranked[math.ceil(percent / 100 * len(ranked)) - 1]

    return Load(at(95), at(99), ranked[-1])
