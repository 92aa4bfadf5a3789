"""A copy of the sources, which tests may change, with stand-ins for the commands or with the real ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stages import paths

NOT_COPIED = ("build", ".git", ".venv", "target", "node_modules", "dist", "__pycache__", ".*_cache", ".hypothesis")


class Copy:
    """The project's sources in a temporary folder, with a build folder of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(paths.ROOT, root, ignore=shutil.ignore_patterns(*NOT_COPIED))
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("POCKETLM_")}
        self.env.pop("CUDA_VISIBLE_DEVICES", None)  # it is in the key of train
        self.env["PYTHONPATH"] = str(root)

    def with_standins(self) -> None:
        """Tools that answer at once with a version, in front of PATH."""
        for name, said in (("bin/rustc", "rustc 1.0"), ("bin/node", "v99.0"), ("bin/wasm/rustc", "rustc 1.0")):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/bin/sh\necho {said}\n")
            path.chmod(0o755)
        (self.root / "build/tools").mkdir(parents=True)
        (self.root / "build/tools/wasm-path").write_text(f"{self.root / 'bin/wasm'}:")
        self.env["PATH"] = f"{self.root / 'bin'}{os.pathsep}{self.env['PATH']}"

    def standins(self, *typed: str, **env: str) -> list[list[str]]:
        """Runs of doit on stand-ins, in one process: for each, the stages whose command ran."""
        command = [sys.executable, "-m", "tests.pipeline.standin", *typed]
        done = subprocess.run(command, cwd=self.root, env={**self.env, **env}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def with_tools(self) -> None:
        """The real tools: those that the build around us has installed."""
        (self.root / ".venv").symlink_to(paths.VENV)
        (self.root / "build").mkdir()
        (self.root / "build" / "tools").symlink_to(paths.TOOLS)

    def command(self, *words: str) -> list[str]:
        """doit with the real commands."""
        return [str(self.root / ".venv/bin/python"), "-P", str(self.root / ".venv/bin/doit"), *words]

    def doit(self, *words: str, build: Path | None = None, **env: str) -> str:
        """One run with the real commands to its end; it must exit 0. Returns what it said."""
        env = {**self.env, **env, **({"POCKETLM_BUILD": str(build)} if build else {})}
        done = subprocess.run(
            self.command(*words), cwd=self.root, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def finished(build: Path) -> dict[str, str]:
    """Every result in a build folder's store: key -> stage."""
    receipts = (json.loads(path.read_text()) for path in build.glob("store/[!.]*/receipt.json"))
    return {receipt["key"]: receipt["stage"] for receipt in receipts}


def linked(build: Path) -> dict[str, Path]:
    """The results that are linked: stage -> folder in the store."""
    return {link.name: link.resolve() for link in build.glob("*/.current/*")}


def outputs(folder: Path) -> dict[str, bytes]:
    """What a result is compared by: every file but its receipt, its log, and what differs from run to run by nature."""
    receipt = json.loads((folder / "receipt.json").read_text())
    beside = {"receipt.json", "log.txt", *receipt["components"].get("volatile", ())}
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in beside}


# A whole build that takes minutes only for its compilers.
REAL_WORDS: Sequence[str] = (
    *("web", "sample", "report", "preset=tiny", "profile=repro"),
    *("train.steps=40", "train.checkpoint_seconds=0.2"),
)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy of the sources with the real tools, and one undisturbed build in it. Minutes: for slow tests only."""
    copy = Copy(tmp_path_factory.mktemp("real") / "pocketlm")
    copy.with_tools()
    copy.doit(*REAL_WORDS)
    return copy
