"""What `doit preview --live` finds of a training, says of it and reads of it."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages import live
from stages.graph.keep import attempts
from tests.pipeline.live_news import news

KEY = "ab" * 32


class Training:
    """A build folder as a training leaves it."""

    def __init__(self, build: Path) -> None:
        self.build, self.folder, self.partial = build, build / "run" / "train", build / "partial" / "train-1f"
        self.run = self.partial / "0123456789abcdef-120"
        self.folder.mkdir(parents=True)
        self.run.mkdir(parents=True)
        (self.folder / "log.txt").write_text("$ train\n")
        (self.folder / "params.json").write_text(json.dumps({"params": {"train": {"steps": 120}}, "runtime": {}}))
        self.log: Any = None
        self.note(attempts.STOPPED)

    def note(self, state: str) -> None:
        values = {"partial": str(self.partial), "in.shards": "s", "in.tokenizer": "t", "in.wheel": "w"}
        attempts.save(
            str(self.folder), attempts.Attempt("train", KEY, ["x"], ".", [], {}, [], values, started=1.0, state=state)
        )

    def begin(self) -> None:
        self.note(attempts.RUNNING)
        self.log = (self.folder / "log.txt").open("a")
        fcntl.flock(self.log, fcntl.LOCK_EX)

    def checkpoint(self, step: int, folder: Path | None = None) -> Path:
        path = (folder or self.run) / f"step-{step:08}-{step:016x}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
        os.utime(path, ns=(step, step))
        return path

    def end(self) -> None:
        self.log.close()
        self.note(attempts.BUILT)
        entry = self.build / "store" / KEY
        entry.mkdir(parents=True)
        (entry / "model.safetensors").write_bytes(b"final")
        (entry / "summary.json").write_text('{"steps": 120}')

    def seen(self) -> tuple[str, str, int]:
        seen = live.look(str(self.build))
        return seen.state, Path(seen.newest).name, seen.step

    def said(self) -> str:
        seen = live.look(str(self.build))
        return live.says(seen, live.steps_of(seen))


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    made = Training(tmp_path / "build")
    yield made
    if made.log is not None:
        made.log.close()


def test_where_nothing_was_trained_it_says_what_starts_one(tmp_path: Path) -> None:
    seen = live.look(str(tmp_path))
    assert seen.state == live.NONE and "./doitw train" in live.says(seen, None)


def test_from_the_first_step_to_the_final_model(training: Training) -> None:
    assert training.seen() == (live.STOPPED, "", 0)
    assert "without a checkpoint" in training.said()
    training.begin()
    assert training.said() == "A training runs; it has no checkpoint yet."
    training.checkpoint(9)
    newest = training.checkpoint(12)
    assert training.seen() == (live.RUNS, newest.name, 12)
    assert training.said() == "A training runs: its newest checkpoint is of step 12 of 120."
    training.end()
    assert training.seen() == (live.ENDED, "model.safetensors", 120)
    assert training.said() == "The training has ended: this is the final model, of step 120."


def test_one_that_was_stopped_shows_its_last_checkpoint(training: Training) -> None:
    newest = training.checkpoint(40)
    assert training.seen() == (live.STOPPED, newest.name, 40)
    assert training.said().startswith("No training runs. This is the last one's checkpoint, of step 40 of 120;")


def test_what_is_not_this_runs_checkpoint_is_not_taken(training: Training) -> None:
    """Half-written ones have other names; runs of another length and the beginnings of longer ones other folders."""
    training.begin()
    (training.run / ".tmp-77").write_bytes(b"half")
    (training.run / "step-00000050-0123456789abcdef.safetensors.new").write_bytes(b"half")
    training.checkpoint(60, training.partial / "0123456789abcdef-240")
    training.checkpoint(60, training.run / "extend")
    assert training.seen() == (live.RUNS, "", 0)
    # At its end, before it is published.
    aside = training.checkpoint(119, training.partial / "done" / training.run.name)
    assert training.seen() == (live.RUNS, aside.name, 119)


def test_figures_are_the_last_whole_lines(training: Training) -> None:
    training.checkpoint(12)
    records = [{"step": 0, "val_bpb": 6.5}, {"step": 5, "loss_nats": 5.0}, {"step": 10, "loss_nats": 4.5}]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (training.run / "metrics.jsonl").write_text(lines + '{"step": 15, "loss_na')
    found = live.figures(live.look(str(training.build)))
    assert found == {"step": 10, "loss_nats": 4.5, "val_bpb": 6.5, "val_step": 0}


class Exports:
    """In the place of the command that exports: writes which checkpoint it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[str] = []
        self.fails = False
        self.done = threading.Event()

        def run(_: live.Live, words: list[str], __: str) -> str | None:
            which = "--checkpoint" if "--checkpoint" in words else "--weights"
            self.given.append(f"{words[2]} {words[words.index(which) + 1]}")
            out = Path(words[words.index("--out") + 1])
            out.mkdir(exist_ok=True)
            (out / "model.bin").write_text(self.given[-1])
            self.done.set()
            return "it is damaged" if self.fails else None

        monkeypatch.setattr(live.Live, "_run", run)
        monkeypatch.setattr(live, "LOOK_S", 0.01)

    def wait(self) -> None:
        assert self.done.wait(60)
        self.done.clear()


def test_each_new_checkpoint_is_exported_and_the_training_keeps_its_own(
    training: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exports = Exports(monkeypatch)
    training.begin()
    with live.Live(str(training.build), tmp_path / "live", {"dtype": "q8_0"}, "tiny") as watched:
        assert json.loads(watched.described.read_text())["model"] is None
        for step in (3, 7):
            path = training.checkpoint(step)
            exports.wait()
            found = news(watched.described, f"models/live.bin?{step:016x}")
            assert found["error"] == "" and watched.model.read_text().startswith("training.export_checkpoint")
            assert path.read_bytes() == b"weights"
        assert [Path(words.split()[1]).parent for words in exports.given] == [tmp_path / "live"] * 2, "links of its own"
        params = json.loads((tmp_path / "live" / "params.json").read_text())["params"]
        assert params["export"] == {"dtype": "q8_0"} and params["train"] == {"steps": 120}
        training.end()
        exports.wait()
        found = news(watched.described, "final model")
        assert news(watched.described, KEY[:16])["model"] == f"models/live.bin?{KEY[:16]}"
        assert exports.given[-1].startswith("training.export /") and "final model" in found["says"]
    assert not list((tmp_path / "live").glob("step-*"))


def test_a_checkpoint_in_pieces_is_taken_as_a_whole(
    training: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Exports(monkeypatch)
    training.begin()
    pieces = training.run / f"step-{5:08}-{5:016x}"
    pieces.mkdir()
    (pieces / "notes.json").write_text("{}")
    with live.Live(str(training.build), tmp_path / "live", {}, "tiny") as watched:
        seen = live.look(str(training.build))
        assert (seen.newest, seen.step) == (str(pieces), 5)
        news(watched.described, f"?{5:016x}")
        taken = watched._take(seen)
        assert (taken / "notes.json").samefile(pieces / "notes.json")
    gone = tmp_path / "gone"
    pieces.rename(gone)
    with pytest.raises(FileNotFoundError):
        watched._take(seen)


def test_one_that_cannot_be_exported_is_said_and_the_next_is_tried(
    training: Training, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exports = Exports(monkeypatch)
    exports.fails = True
    training.begin()
    training.checkpoint(3)
    with live.Live(str(training.build), tmp_path / "live", {}, "tiny") as watched:
        assert news(watched.described, "damaged")["error"] == "Step 3 could not be exported: it is damaged"
        assert news(watched.described, "damaged")["model"] is None and len(exports.given) == 1
        exports.fails = False
        training.checkpoint(4)
        assert news(watched.described, f"?{4:016x}")["error"] == ""
