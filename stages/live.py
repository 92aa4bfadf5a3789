"""preview --live: the training that runs now in, its newest checkpoint as a model.bin and live.json out, renewed as it
goes on.

The training is not disturbed: only files that it has finished are read, each is taken by a link of its own before
that, and the command that exports it gives way to everything else. Where no training runs, the last one's result or
checkpoint is shown, and a word says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stages import paths, preview
from stages.graph import GraphError
from stages.graph.keep import attempts

LOOK_S = 0.5  # how often the folder of checkpoints is looked at
RUNS, ENDED, STOPPED, NONE = "runs", "ended", "stopped", "none"  # what became of the training
_CHECKPOINT = re.compile(r"step-(\d{8,})-[0-9a-f]{16}(?:\.safetensors)?")  # without: a folder, of tensors in pieces


@dataclass(frozen=True)
class Seen:
    """What is known of the newest training."""

    state: str
    attempt: attempts.Attempt | None = None
    folder: str = ""  # where its command ran
    newest: str = ""  # its newest checkpoint; of one that ended the weights
    step: int = 0  # of it

    @property
    def values(self) -> Mapping[str, str]:
        """Where its inputs lie."""
        return {} if self.attempt is None else self.attempt.values


def look(build: str) -> Seen:
    """The training that runs now, else the last one."""
    folder = attempts.newest(build, "train")
    attempt = None if folder is None else attempts.load(folder)
    if folder is None or attempt is None:
        return Seen(NONE)
    entry = f"{build}/store/{attempt.key}"
    if not attempts.is_running(folder) and os.path.isfile(f"{entry}/model.safetensors"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            with open(f"{entry}/summary.json", encoding="utf-8") as file:
                return Seen(ENDED, attempt, folder, f"{entry}/model.safetensors", int(json.load(file)["steps"]))
    seen = Seen(RUNS if attempts.is_running(folder) else STOPPED, attempt, folder)
    newest, step = _newest(attempt.values.get("partial", ""), steps_of(seen))
    return replace(seen, newest=newest, step=step)


def _newest(partial: str, steps: int | None) -> tuple[str, int]:
    """(file, step) of the checkpoint that was written last by a run of so many steps; ("", 0) for none. One that is at
    its end has put them aside.
    """
    found = []
    for place in (Path(partial), Path(partial) / "done"):
        for path in place.glob(f"*-{steps}/step-*"):
            if matched := _CHECKPOINT.fullmatch(path.name):
                with contextlib.suppress(OSError):  # the training has just removed it
                    found.append((path.stat().st_mtime_ns, str(path), int(matched[1])))
    _, newest, step = max(found, default=(0, "", 0))
    return newest, step


def figures(seen: Seen) -> dict[str, Any]:
    """The last of each figure of metrics.jsonl: {"step", "loss_nats", "val_bpb", "val_step"}, those that are there."""
    found: dict[str, Any] = {}
    if seen.newest == "":
        return found
    with contextlib.suppress(OSError):
        lines = Path(seen.newest).with_name("metrics.jsonl").read_bytes().split(b"\n")
        for line in lines[:-1]:  # the last one may be in the middle of being written
            with contextlib.suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                if "val_bpb" in record:
                    found["val_bpb"], found["val_step"] = float(record["val_bpb"]), int(record["step"])
                else:
                    found["step"], found["loss_nats"] = int(record["step"]), float(record["loss_nats"])
    return found


def steps_of(seen: Seen) -> int | None:
    """How many steps the training has."""
    try:
        with open(f"{seen.folder}/params.json", encoding="utf-8") as file:
            return int(json.load(file)["params"]["train"]["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Live:
    """Follows the newest training until it is closed. What it makes lies in `folder`."""

    def __init__(self, build: str, folder: Path, export: Mapping[str, Any], preset: str) -> None:
        """export: the section of this name, as chosen now. preset: what the page calls the model."""
        self.build, self.folder, self.export, self.preset = build, folder, export, preset
        self.model, self.described = folder / "live.bin", folder / "live.json"
        self._over = threading.Event()
        self._command: subprocess.Popen[str] | None = None
        self._exported = ""  # the checkpoint or weights that `model` is
        self._failed = ""  # the one that could not be exported
        self._said: dict[str, str | None] = {"model": None, "error": ""}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Live:
        self._describe(look(self.build))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._command is not None:
            with contextlib.suppress(OSError):
                self._command.terminate()
        self._thread.join()

    @property
    def beside(self) -> dict[str, Path]:
        """What is served beside the page."""
        return {"live.json": self.described, "models/live.bin": self.model}

    def _follow(self) -> None:
        while not self._over.is_set():
            seen = look(self.build)
            if seen.newest and seen.newest not in (self._exported, self._failed):
                self._renew(seen)
            self._describe(seen)
            self._over.wait(LOOK_S)

    def _renew(self, seen: Seen) -> None:
        """Export what is new."""
        try:
            taken = self._take(seen)
        except (FileNotFoundError, shutil.Error):
            return  # the training has removed it meanwhile: there is a newer one
        said = self._export(seen, taken)
        _remove(taken)
        if self._over.is_set():
            return
        made = self.folder / "out" / "model.bin"
        if said is None and made.is_file():
            made.replace(self.model)
            self._exported = seen.newest
            assert seen.attempt is not None
            of = seen.attempt.key[:16] if seen.state == ENDED else Path(seen.newest).stem.rpartition("-")[2]
            self._said = {"model": f"models/live.bin?{of}", "error": ""}
        else:
            self._failed = seen.newest
            self._said["error"] = f"Step {seen.step} could not be exported: {said}"
            print(f"preview: {self._said['error']}", file=sys.stderr, flush=True)

    def _take(self, seen: Seen) -> Path:
        """A checkpoint under a name that the training does not know: it may delete its own at any time."""
        source = Path(seen.newest)
        taken = self.folder / source.name
        _remove(taken)
        if source.is_dir():
            shutil.copytree(source, taken, copy_function=_link)
        else:
            _link(source, taken)
        return taken

    def _export(self, seen: Seen, taken: Path) -> str | None:
        """Run the export of a checkpoint, or of the weights of a training that ended; what it said where it failed."""
        values = seen.values
        try:
            with open(f"{seen.folder}/params.json", encoding="utf-8") as file:
                params = json.load(file)
        except (OSError, ValueError) as error:
            return f"{seen.folder}/params.json: {error}"
        sampled = params.get("runtime", {}).get("sample", {}).get("prompts", [])
        more = {"preset": self.preset, "export": dict(self.export), "sample": {"prompts": sampled}}
        params["params"] = {**params["params"], **more}
        written = self.folder / "params.json"
        written.write_text(json.dumps(params), encoding="utf-8")
        imported = values.get("in.imported")
        brought = ["--imported", imported] if imported else ["--tokenizer", values["in.tokenizer"]]
        if seen.state == ENDED:
            module = "export_finetuned" if imported else "export"
            brought = ["--tokenizer", brought[1]]
            brought += ["--weights", seen.newest, "--summary", str(Path(seen.newest).with_name("summary.json"))]
        else:
            module = "export_checkpoint"
            brought += ["--checkpoint", str(taken)]
        words = ["-m", f"training.{module}", "--params", str(written), *brought, "--shards", values["in.shards"]]
        return self._run([sys.executable, *words, "--out", str(self.folder / "out")], values["in.wheel"])

    def _run(self, words: Sequence[str], wheel: str) -> str | None:
        """Run a command that gives way to all others; its last line where it failed."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(paths.ROOT), wheel]), "OMP_NUM_THREADS": "1"}
        self._command = subprocess.Popen(
            ["nice", "-n", "19", *words], cwd=paths.ROOT, env=env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        if self._over.is_set():
            self._command.terminate()
        _, said = self._command.communicate()
        return None if self._command.returncode == 0 else (said.strip().splitlines() or ["no word"])[-1]

    def _describe(self, seen: Seen) -> None:
        news = {**self._said, "says": says(seen, steps_of(seen)), "figures": _figures_text(seen)}
        preview.announce(self.described, news)


def _link(source: str | Path, target: str | Path) -> None:
    """Another name for a file; a copy of it on another file system. Raises FileNotFoundError where it is gone."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def says(seen: Seen, steps: int | None) -> str:
    """What there is, in a sentence."""
    of = "" if steps is None else f" of {steps}"
    if seen.state == RUNS:
        if not seen.newest:
            return "A training runs; it has no checkpoint yet."
        return f"A training runs: its newest checkpoint is of step {seen.step}{of}."
    if seen.state == ENDED:
        return f"The training has ended: this is the final model, of step {seen.step}."
    if seen.state == STOPPED:
        if not seen.newest:
            return "No training runs. The last one ended without a result and without a checkpoint."
        where = f"step {seen.step}{of}; ./doitw train goes on from it."
        return f"No training runs. This is the last one's checkpoint, of {where}"
    return "No training runs, and none has left anything here: ./doitw train starts one."


def _figures_text(seen: Seen) -> list[list[str]]:
    found = figures(seen)
    rows = []
    if "loss_nats" in found:
        rows.append([f"loss at step {found['step']}", f"{found['loss_nats']:.3f} nats"])
    if "val_bpb" in found:
        rows.append([f"held-out text at step {found['val_step']}", f"{found['val_bpb']:.3f} bits per byte"])
    return rows


def page() -> Path:
    """The page, as it was built last: the training has the lock. Raises GraphError where there is none."""
    if not (paths.PAGE / "index.html").is_file():
        raise GraphError(
            "there is no page yet, and it cannot be built while another run holds the lock; run `doit page` when that "
            "is over, or stop it (Ctrl-C; it goes on later from where it was)"
        )
    return paths.PAGE
