"""report: what the page shows of a training, from what `train` has recorded."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import command
from training import journal
from training.report import POINTS, SAMPLES, averaged, spread, training

SHORT = {"sample__tokens": "4", "train__eval_tokens": "1024", "train__last_eval_tokens": "1024"}


def records(n: int) -> list[dict[str, Any]]:
    return [{"step": step, "tokens": 10 * step, "train_bpb": 1 / 3 + step} for step in range(1, n + 1)]


@pytest.mark.parametrize("n", [0, 1, 2, 399, 400, 401, 1000, 4503])
def test_a_curve_is_thinned_to_the_means_of_neighbours(n: int) -> None:
    """All points weigh the same: the mean of the means, by their sizes, is that of the points."""
    points = [(step, float(step * step)) for step in range(1, n + 1)]
    found = averaged(points, POINTS)
    assert len(found) == min(n, -(-n // max(1, -(-n // POINTS))))
    assert [step for step, _ in found] == sorted({step for step, _ in found})
    assert n == 0 or found[-1][0] == n
    edges = [0, *(step for step, _ in found)]
    total = sum(value * (end - start) for (_, value), start, end in zip(found, edges, edges[1:]))
    assert total == pytest.approx(sum(value for _, value in points))


@pytest.mark.parametrize("n", [0, 1, 59, 60, 61, 1000])
def test_samples_are_chosen_evenly(n: int) -> None:
    found = spread(list(range(n)), SAMPLES)
    assert len(found) == min(n, SAMPLES) and found == sorted(set(found))
    assert n == 0 or (found[0], found[-1]) == (0, n - 1)
    assert n <= SAMPLES or max(b - a for a, b in itertools.pairwise(found)) <= n / (SAMPLES - 1) + 1


def test_what_the_page_is_told() -> None:
    given = [
        {"step": 0, "tokens": 0, "val_bpb": 5.8903333333, "last": False},
        *records(2),
        {"step": 3, "tokens": 30, "train_bpb": float("nan")},
        {"step": 3, "tokens": 30, "val_bpb": 4.2, "last": True},
        {"step": 0, "kept_bpb": 4.1},
    ]
    assert training(given) == {
        "format": 1,
        "tokens": 30,
        "train": [[1, 1.33333], [2, 2.33333]],
        "val": [[0, 5.89033], [3, 4.2]],
        "kept": [[0, 4.1]],
    }
    assert len(training(records(3 * POINTS + 1))["train"]) <= POINTS


def test_samples_come_out_in_a_file_of_their_own(train: Callable[..., Path]) -> None:
    """With other prompts the metrics have the same bytes: these are compared, the texts are not."""
    settings = {"train__steps": "8", "train__eval_every": "4", **SHORT}
    out, other = train("one", **settings), train("other", sample__prompts='["MIRANDA:\\n"]', **settings)
    for name in ("metrics.jsonl", "model.safetensors", "summary.json"):
        assert (out / name).read_bytes() == (other / name).read_bytes()
    assert all("text" not in record for record in journal.read(out / "metrics.jsonl"))
    for folder, prompt in ((out, "PROSPERO:\n"), (other, "MIRANDA:\n")):
        samples = journal.read(folder / "samples.jsonl")
        assert [sample["step"] for sample in samples] == [0, 4, 8]
        assert all(sample["text"].startswith(prompt) and set(sample) == {"step", "text"} for sample in samples)
    assert len({sample["text"] for sample in journal.read(out / "samples.jsonl")}) > 1, "it learns to write"
    again = train("again", **settings)
    assert (again / "samples.jsonl").read_bytes() == (out / "samples.jsonl").read_bytes()


def test_without_a_prompt_nothing_is_written_on_the_way(train: Callable[..., Path], tmp_path: Path) -> None:
    out = train(train__steps="4", train__eval_every="4", sample__prompts="[]", **SHORT)
    assert (out / "samples.jsonl").read_bytes() == b""
    command("report", "--metrics", out / "metrics.jsonl", "--samples", out / "samples.jsonl", "--out", tmp_path / "r")
    assert json.loads((tmp_path / "r" / "samples.json").read_text()) == {"format": 1, "samples": []}
    told = json.loads((tmp_path / "r" / "training.json").read_text())
    assert [step for step, _ in told["val"]] == [0, 4]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "tokens": 0, "val_bpb": 5.0}\n')
    (tmp_path / "samples.jsonl").write_text('{"text": "no step"}\n')
    with pytest.raises(ValueError, match=r"samples\.jsonl:1: not a record of metrics \(it has no step\)"):
        journal.read(tmp_path / "samples.jsonl")
