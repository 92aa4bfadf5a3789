"""What `doit preview --compare`, `--live` and `doit watch` serve, with the real commands. The page over it is driven in
tests/e2e.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from stages import paths
from tests.pipeline.conftest import Copy
from training.format.file import read_model

MADE = ("wheel", "corpus", "tokenizer", "shards", "wasm", "npm", "page", "train", "export")


@contextmanager
def running(command: list[str], cwd: Path, env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that serves until Ctrl-C; yields it, and its address. It must end well, and leave nothing running."""
    with subprocess.Popen(
        command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        said = []
        try:
            for line in child.stdout:
                said.append(line)
                if found := re.search(r"is on  (http://\S+)", line):
                    break
            else:
                raise AssertionError("".join(said))
            threading.Thread(target=child.stdout.read, daemon=True).start()
            yield child, found[1]
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(120) == 0, "".join(said)


def fetch(address: str, name: str) -> bytes:
    with urllib.request.urlopen(address.partition("?")[0] + name, timeout=120) as answer:
        return bytes(answer.read())


def until(look: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """What is looked at, as soon as something holds of it."""
    pause = threading.Event()
    while not holds(found := look()):
        pause.wait(0.05)
    return found


def with_results(store: Path) -> None:
    """Put the results of the preset tiny into a store: making them again would show nothing more."""
    store.mkdir(parents=True, exist_ok=True)
    for link in paths.BUILD.glob("*/.current/*"):
        if link.name in MADE and link.parent.parent.name in ("shared", "npm", paths.TEST_PRESET):
            shutil.copytree(link.resolve(), store / link.resolve().name, dirs_exist_ok=True)


@pytest.mark.alone
def test_two_models_are_served_side_by_side() -> None:
    words = [str(paths.ROOT / "doitw"), "preview", "--compare", "tiny", "tiny/export", f"preset={paths.TEST_PRESET}"]
    linked = (paths.BUILD / paths.TEST_PRESET / ".current" / "export").readlink()
    with running(words, paths.ROOT, dict(os.environ)) as (_, address):
        told = json.loads(fetch(address, "compare.json"))
        assert [side["name"] for side in told["models"]] == ["tiny", "tiny/export"]
        models = [fetch(address, side["url"]) for side in told["models"]]
        assert models[0] == models[1] == (paths.BUILD / paths.TEST_PRESET / "model.bin").read_bytes()
        assert b'<div id="root">' in fetch(address, "")
    assert (paths.BUILD / paths.TEST_PRESET / ".current" / "export").readlink() == linked


@pytest.mark.slow
def test_a_training_is_followed_to_its_final_model(tmp_path: Path) -> None:
    build = tmp_path / "build"
    with_results(build / "store")
    env = {**os.environ, "POCKETLM_BUILD": str(build), "POCKETLM_STORE": "", "OMP_NUM_THREADS": "1"}
    doit = [str(paths.ROOT / "doitw")]
    subprocess.run([*doit, "page", "shards", "preset=tiny"], cwd=paths.ROOT, env=env, check=True, capture_output=True)
    words = ["train", "preset=tiny", "train.seed=5", "train.steps=300", "train.checkpoint_seconds=0.3"]
    with subprocess.Popen([*doit, *words], cwd=paths.ROOT, env=env, stdout=subprocess.DEVNULL) as training:
        pause = threading.Event()
        while not list(build.glob("partial/*/*/step-*")):
            assert training.poll() is None
            pause.wait(0.05)
        with running([*doit, "preview", "--live", "preset=tiny"], paths.ROOT, env) as (_, address):

            def news() -> dict[str, Any]:
                found: dict[str, Any] = json.loads(fetch(address, "live.json"))
                assert found["error"] == ""
                return found

            first = until(news, lambda found: found["model"] is not None)
            seen = tmp_path / "seen.bin"
            seen.write_bytes(fetch(address, first["model"]))
            steps = read_model(seen).provenance["run"]["steps"]
            assert 0 < steps <= 300 and "training" in first["says"]
            assert training.wait() == 0
            (trained,) = build.glob("tiny/.current/train")
            key = trained.resolve().name
            last = until(news, lambda found: f"?{key[:16]}" in str(found["model"]))
            assert last["says"] == "The training has ended: this is the final model, of step 300."
            seen.write_bytes(fetch(address, last["model"]))
    weights = load_file(trained / "model.safetensors")
    final = read_model(seen)
    assert all(np.array_equal(final.stored[name].values(), value) for name, value in weights.items())


@pytest.mark.slow
def test_sources_are_followed_and_nothing_is_left_running(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "pocketlm")
    copy.with_tools()
    with_results(copy.root / "build" / "store")
    page, preset = copy.root / "web/src/styles/page.css", copy.root / "training/presets/tiny.toml"
    with running(copy.command("watch", "preset=tiny"), copy.root, copy.env) as (_, address):

        def news() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(fetch(address, "live.json"))
            return found

        first = until(news, lambda found: found["says"].startswith("Up to date"))
        assert fetch(address, first["model"])[:8] == b"POCKETLM"
        assert b"pocketlm" in fetch(address, first["worker"])

        page.write_text(page.read_text() + "\n.planted { color: red; }\n")
        until(lambda: fetch(address, "src/styles/page.css"), lambda text: b".planted" in text)

        text = preset.read_text()
        preset.write_text(text.replace("n_head = 6", "n_head = 5"))
        broken = until(news, lambda found: found["error"] != "")
        assert "model.n_head=5 is not divisible by n_kv_head=3" in broken["error"]
        assert (broken["model"], broken["worker"]) == (first["model"], first["worker"])

        preset.write_text(text.replace('golden_prompt = "', 'golden_prompt = "ARIEL AND '))
        renewed = until(news, lambda found: found["model"] != first["model"])
        assert renewed["worker"] == first["worker"] and renewed["error"] == ""
        seen = tmp_path / "seen.bin"
        seen.write_bytes(fetch(address, renewed["model"]))
        assert read_model(seen).provenance["settings"]["export"]["golden_prompt"].startswith("ARIEL AND ")
    left = [each for each in Path("/proc").glob("[0-9]*") if str(copy.root) in where(each)]
    assert left == []


def where(process: Path) -> str:
    """The working folder and the words of a process; "" where it is gone or another user's."""
    try:
        return f"{(process / 'cwd').readlink()} {(process / 'cmdline').read_bytes().decode(errors='replace')}"
    except OSError:
        return ""
