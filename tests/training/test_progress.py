"""The lines that a training writes where there is no terminal."""

from __future__ import annotations

import pytest

from training import progress


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3599.7, "1:00:00"), (90061, "25:01:01")],
)
def test_the_time_left(seconds: float, shown: str) -> None:
    assert progress.time_left(seconds) == shown


def test_a_line_says_what_its_figures_are(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Both losses in one unit; a figure that is not known yet is left out."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    shown = progress.Progress(steps=4000, tokens_a_step=1000, first_step=0)
    assert shown._figures() == "", "nothing is known yet"
    for step, train_bpb in ((5, None), (10, 4.25), (20, None)):
        clock[0] += 10
        shown.advance(step, train_bpb)
        if step == 10:
            shown.evaluated(4.5, "ROMEO:\nO")
    assert capsys.readouterr().err.splitlines() == [
        "step 5/4000  500 tokens/s  2:13:10 left",
        "step 10/4000  training 4.250 bits/byte  500 tokens/s  2:13:00 left",
        "step 10/4000  validation 4.500 bits/byte; it writes:",
        "    ROMEO:",
        "    O",
        "step 20/4000  training 4.250, validation 4.500 bits/byte  750 tokens/s  1:28:27 left",
    ]
