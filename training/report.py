"""How a training run went, for people: what `train` recorded in, the picture of its curves and what the page draws out.

Writes OUT/loss.svg       the curves as a picture
       OUT/training.json  {"format": 1, "tokens", "train", "val", "kept"}: the tokens of all steps, and bits per byte
                          as [[step, value], ...], at most POINTS of each
       OUT/samples.json   {"format": 1, "samples": [{"step", "text"}, ...]}: what the model wrote at evaluations,
                          at most SAMPLES of them
A stage of its own: a larger picture trains nothing again.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from training import command, journal, plot

PICTURE, CURVE, TEXTS = "loss.svg", "training.json", "samples.json"
FORMAT = 1
T = TypeVar("T")
POINTS = 400  # of a curve: as many as a narrow screen has pixels
SAMPLES = 60  # a reader walks through them one by one
DIGITS = 6  # significant ones of a value


def picture(records: Sequence[dict[str, Any]]) -> str:
    """The records of metrics.jsonl as an SVG. Raises ValueError where there is no evaluation among them."""
    evaluations = [record for record in records if "val_bpb" in record]
    if not evaluations:
        raise ValueError("metrics.jsonl has no evaluation; train again")

    def points(name: str) -> list[tuple[float, float]]:
        return [(record["step"], record[name]) for record in records if name in record]

    last = evaluations[-1]
    curves = {"lr": "learning rate", "grad_norm": "gradient norm", "tokens_a_second": "tokens a second"}
    return plot.training_svg(
        f"{last['val_bpb']:.3f} bits per byte after {last['tokens'] / 1e6:.1f} M tokens",
        points("train_bpb"),
        points("val_bpb"),
        [plot.Curve(name, points(field)) for field, name in curves.items()],
        points("kept_bpb"),
    )


def training(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What training.json holds of the records of metrics.jsonl. A value that is not finite is left out."""

    def points(name: str) -> list[tuple[int, float]]:
        return [(each["step"], each[name]) for each in records if name in each and math.isfinite(each[name])]

    return {
        "format": FORMAT,
        "tokens": max((each["tokens"] for each in records if "tokens" in each), default=0),
        "train": _rounded(averaged(points("train_bpb"), POINTS)),
        "val": _rounded(spread(points("val_bpb"), POINTS)),
        "kept": _rounded(points("kept_bpb")),
    }


def averaged(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most so many points: the mean value of neighbours, at the step of the last of them."""
    size = max(1, math.ceil(len(points) / most))
    groups = [points[at : at + size] for at in range(0, len(points), size)]
    return [(group[-1][0], math.fsum(value for _, value in group) / len(group)) for group in groups]


def spread(values: Sequence[T], most: int) -> list[T]:
    """At most so many values, evenly chosen; the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)]


def _rounded(points: Sequence[tuple[int, float]]) -> list[list[float]]:
    return [[step, float(f"{value:.{DIGITS}g}")] for step, value in points]


def main(arguments: argparse.Namespace) -> None:
    """The command; it needs no parameters."""
    records = journal.read(arguments.metrics)
    written = spread(journal.read(arguments.samples), SAMPLES)
    with command.publishing(arguments.out) as temporary:
        (temporary / PICTURE).write_text(picture(records), encoding="utf-8")
        command.write_json(temporary / CURVE, training(records))
        command.write_json(temporary / TEXTS, {"format": FORMAT, "samples": written})


if __name__ == "__main__":
    arguments = command.parser("report", "Draw how a training run went.", params=False)
    arguments.add_argument("--metrics", type=Path, required=True, metavar="FILE", help="metrics.jsonl")
    arguments.add_argument("--samples", type=Path, required=True, metavar="FILE", help="samples.jsonl")
    sys.exit(command.run(main, arguments))
