"""The best of several rounds in which all take turns, so that other work on the machine spoils all columns alike.

In: for each tokenizer, by name, a function. Out: the least seconds of each, and lines of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

OURS = "PocketLM"
COLUMNS = (OURS, "gigatoken", "fastokens", "snaptokens", "tuetoken", "gigabpe")

Clock = Callable[[], float]
Encode = Callable[[Any], Any]


def best(rounds: int, work: dict[str, Callable[[], Any]], clock: Clock) -> dict[str, float]:
    """The least seconds of each function."""
    fastest = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, run in work.items():
            start = clock()
            run()
            fastest[name] = min(fastest[name], clock() - start)
    return fastest


def first_time(rounds: int, makers: dict[str, Callable[[], Encode]], text: str, clock: Clock) -> dict[str, float]:
    """The least seconds to encode `text` by an encoder that was made for it: a cache cannot have seen it."""
    fastest = dict.fromkeys(makers, float("inf"))
    for _ in range(rounds):
        for name, make in makers.items():
            encode = make()
            encode("one")  # whatever is set up at the first call
            start = clock()
            encode(text)
            fastest[name] = min(fastest[name], clock() - start)
    return fastest


def unseen(
    rounds: int, makers: dict[str, Callable[[], Encode]], parts: Sequence[str], clock: Clock, *, batch: bool = False
) -> dict[str, float]:
    """The least seconds to encode the second half of the documents, by an encoder that has seen the first alone.

    batch: the documents of a half go into one call.
    """
    seen, rest = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    fastest = dict.fromkeys(makers, float("inf"))
    for _ in range(rounds):
        for name, make in makers.items():
            encode = make()
            for part in [seen] if batch else seen:
                encode(part)
            kept = []
            start = clock()
            for part in [rest] if batch else rest:
                kept.append(encode(part))
            fastest[name] = min(fastest[name], clock() - start)
    return fastest


def heading() -> str:
    """The first two lines of the table."""
    cells = ["", *COLUMNS, "best other ÷ ours", "at least"]
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def row(title: str, seconds: dict[str, float], mb: float | None, at_least: str) -> str:
    """A row: MB/s, or milliseconds where `mb` is None; the best other's time by ours; what that has to be."""
    cells = []
    for name in COLUMNS:
        took = seconds.get(name)
        cells.append("" if took is None else f"{mb / took:.0f} MB/s" if mb else f"{took * 1e3:.1f} ms")
    others = {name: took for name, took in seconds.items() if name != OURS}
    if others:
        fastest = min(others, key=lambda name: others[name])
        cells.append(f"**{others[fastest] / seconds[OURS]:.2f}** ({fastest})")
    else:
        cells.append("")
    return f"| {title} | {' | '.join(cells)} | {at_least} |"


def size_mb(parts: Sequence[str]) -> float:
    """The texts' length in UTF-8."""
    return sum(len(part.encode()) for part in parts) / 1e6
