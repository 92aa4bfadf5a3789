"""How a training run went, for people: metrics.jsonl in, the picture of its curves out.

Writes OUT/loss.svg. A stage of its own: a larger picture trains nothing again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import command, journal, plot

NAME = "loss.svg"


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


def main(arguments: argparse.Namespace) -> None:
    """The command; it needs no parameters."""
    text = picture(journal.read(arguments.metrics))
    with command.publishing(arguments.out) as temporary:
        (temporary / NAME).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    arguments = command.parser("report", "Draw how a training run went.", params=False)
    arguments.add_argument("--metrics", type=Path, required=True, metavar="FILE", help="metrics.jsonl")
    sys.exit(command.run(main, arguments))
