"""The wasm module of the tokenizer alone, in Node, beside kitoken.

In: rust/tokenizer/wasm, which is compiled here; node/package-lock.json, which npm installs. Out: a row of
encoding, and the module's size. What is not within reach is said instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from stages import paths
from tests.bench.tokenizer.clocks import row, size_mb

HERE = Path(__file__).resolve().parent / "node"
CRATE = paths.ROOT / "rust" / "tokenizer" / "wasm"
TARGET = "wasm32-unknown-unknown"
KITOKEN = Path("node_modules", "kitoken", "dist", "node.cjs")


class Missing(Exception):
    """What a row needs and is not there."""


def run(what: str, command: Sequence[str | Path], cwd: Path, env: dict[str, str] | None = None) -> str:
    """What a command says. Raises Missing where it fails."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise Missing(f"{what}: {error}") from None
    if done.returncode != 0:
        raise Missing(f"{what}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def module(folder: Path) -> Path:
    """Compile the module as the page's is compiled: with SIMD, then wasm-opt. Needs the tools of `./doitw wasm`."""
    try:
        prefix = (paths.TOOLS / "wasm-path").read_text(encoding="utf-8")
    except OSError:
        raise Missing("the tools for wasm are not there; type ./doitw wasm") from None
    target = paths.BUILD / "run" / "cargo-wasm-alone"
    env = {
        "CARGO_TARGET_DIR": str(target),
        "CARGO_ENCODED_RUSTFLAGS": "-Ctarget-feature=+simd128",
        "PATH": prefix + os.environ["PATH"],
    }
    run("cargo", ["cargo", "build", "--release", "--locked", "--target", TARGET], CRATE, env)
    compiled = target / TARGET / "release" / "tokenizer.wasm"
    optimised = folder / "wasm.wasm"
    options = ["-O3", "--all-features", "--strip-debug", "--strip-producers"]
    run("wasm-opt", [paths.NODE_MODULES / ".bin" / "wasm-opt", *options, compiled, "-o", optimised], folder)
    return optimised


def kitoken(folder: Path) -> Path:
    """Install what it is compared with."""
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / name, folder / name)
    run("npm", ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    return folder / KITOKEN


def encoding(rounds: int, folder: Path, parts: list[str], show: Callable[[str], None]) -> None:
    """The row, with the vocabulary in FOLDER/t.tok and t.json."""
    (folder / "documents.json").write_text(json.dumps(parts), encoding="utf-8")
    try:
        wasm, theirs = module(folder), kitoken(folder)
        command = ["node", HERE / "wasm.mjs", CRATE / "wasm.mjs", wasm, theirs, folder, str(rounds)]
        found = json.loads(run("node", command, folder))
    except Missing as missing:
        show(f"wasm in Node: left out, since it lacks {missing}")
        return
    show(row("wasm in Node, unseen prose", found["seconds"], size_mb(parts[1::2]), "4.0"))
    show(f"wasm: {wasm.stat().st_size:,} bytes; kitoken's ids are ours in {found['same']} of {found['texts']} texts")
