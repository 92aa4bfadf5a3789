"""What `doit watch` builds, mirrors and publishes."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from stages import paths, watch
from tests.pipeline.live_news import news


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("shaders/matvec.wgsl", True),
        ("training/presets/tiny.toml", True),
        ("web/src/engine/session.ts", True),
        ("web/src/package/model.ts", True),
        ("web/package.json", True),
        ("web/src/App.tsx", False),
        ("web/src/styles/page.css", False),
        ("web/public/theme.js", False),
    ],
)
def test_vite_has_the_page_and_the_build_all_else(path: str, expected: bool) -> None:
    assert (paths.ROOT / path).exists() and watch.builds(Path(path)) == expected


def test_what_vite_alone_has_is_in_no_other_stage() -> None:
    """Or a change would leave the engine stale."""
    from stages.web import PACKAGE, PACKAGE_CONFIG

    assert all(watch.builds(Path(path)) for path in (*PACKAGE, *PACKAGE_CONFIG))


def test_the_copy_stays_equal(tmp_path: Path) -> None:
    source, copy = tmp_path / "web", tmp_path / "copy" / "web"
    (source / "src").mkdir(parents=True)
    (copy / "src" / "old").mkdir(parents=True)
    (copy / "src" / "gone.css").write_text("a")
    (source / "src" / "new").mkdir()
    (source / "src" / "new" / "page.css").write_text("b")
    names = ("src/new", "src/new/page.css", "src/gone.css", "src/old")
    watch.mirror([source / name for name in names] + [tmp_path / "elsewhere"], source, copy)
    assert (copy / "src" / "new" / "page.css").read_text() == "b"
    assert sorted(path.name for path in (copy / "src").iterdir()) == ["new"]


class Builds:
    """In the place of `doit run ...`: scripts that fail or not, one after another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *scripts: str) -> None:
        self.left = list(scripts)
        real = watch.subprocess.Popen
        npm, model = tmp_path / "store" / "aaaa" / "pocketlm", tmp_path / "store" / "bbbb" / "model.bin"
        npm.mkdir(parents=True)
        model.parent.mkdir()
        model.write_bytes(b"model")
        monkeypatch.setattr(paths, "NPM", tmp_path / "npm")
        monkeypatch.setattr(paths, "preset_dir", lambda preset: tmp_path / preset)
        (tmp_path / "npm").symlink_to(npm)
        (tmp_path / "tiny").mkdir()
        (tmp_path / "tiny" / "model.bin").symlink_to(model)

        def start(_: list[str], **how: Any) -> Any:
            return real([sys.executable, "-c", self.left.pop(0)], **{**how, "cwd": tmp_path})

        monkeypatch.setattr(watch.subprocess, "Popen", start)


def test_a_build_that_fails_is_said_and_the_next_change_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = "import sys; print('fresh          wheel'); print('shader.wgsl:3: expected ;'); sys.exit(1)"
    Builds(monkeypatch, tmp_path, broken, "print('built          wasm  9.0 s')")
    follower = watch.Follower(tmp_path, [], "tiny")
    try:
        follower.start()
        found = news(follower.described, "expected ;")
        assert found["error"] == "shader.wgsl:3: expected ;" and "could not be built" in found["says"]
        follower.want()
        found = news(follower.described, "Up to date")
        assert (found["model"], found["worker"]) == ("models/live.bin?bbbb", "engine/aaaa/worker.js")
        assert found["error"] == "" and follower.beside["engine/aaaa/"].name == "pocketlm"
    finally:
        follower.close()
    said = capsys.readouterr().out
    assert "expected ;" in said and "built          wasm" in said and "fresh" not in said


def test_another_run_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(watch, "AGAIN_S", 0.01)
    Builds(monkeypatch, tmp_path, f"import sys; sys.exit({watch.LOCKED})", "pass")
    follower = watch.Follower(tmp_path, [], "tiny")
    try:
        follower.start()
        assert news(follower.described, "Up to date")["error"] == ""
    finally:
        follower.close()


def test_the_end_ends_the_build_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Builds(monkeypatch, tmp_path, "import time; print('runs', flush=True); time.sleep(3600)")
    follower = watch.Follower(tmp_path, [], "tiny")
    follower.start()
    while follower._building is None:
        threading.Event().wait(0.005)
    building = follower._building
    follower.close()
    assert building.poll() is not None and not follower._thread.is_alive()
