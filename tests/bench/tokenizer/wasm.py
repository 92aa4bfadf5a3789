"""The wasm module of the tokenizer alone beside kitoken, in Node and in Chromium.

In: rust/tokenizer/wasm, which is compiled here; node/package-lock.json, which npm installs; from stages/bench.py, in
variables of the environment, where the tools are. Out: two rows of encoding, and the module's size. What is not within
reach is said instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.tokenizer.clocks import row, size_mb

HERE = Path(__file__).resolve().parent / "node"
CRATE = Path(__file__).resolve().parents[3] / "rust" / "tokenizer" / "wasm"
TARGET = "wasm32-unknown-unknown"
KITOKEN = Path("node_modules", "kitoken", "dist")


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


def told(variable: str, otherwise: str) -> str:
    """What stages/bench.py says. Raises Missing where it says nothing."""
    value = os.environ.get(variable)
    if value is None:
        raise Missing(otherwise)
    return value


def module(folder: Path) -> Path:
    """Compile the module as the page's is compiled: with SIMD, then wasm-opt. Needs the tools of `./doitw wasm`."""
    env = {
        "CARGO_TARGET_DIR": told("BENCH_CARGO_TARGET", "a folder for cargo; type ./doitw bench tokenizer"),
        "CARGO_ENCODED_RUSTFLAGS": "-Ctarget-feature=+simd128",
        "PATH": told("BENCH_WASM_PATH", "the tools for wasm; type ./doitw wasm") + os.environ["PATH"],
    }
    run("cargo", ["cargo", "build", "--release", "--locked", "--target", TARGET], CRATE, env)
    compiled = Path(env["CARGO_TARGET_DIR"], TARGET, "release", "tokenizer.wasm")
    optimised = folder / "wasm.wasm"
    options = ["-O3", "--all-features", "--strip-debug", "--strip-producers"]
    run("wasm-opt", [node_modules() / ".bin" / "wasm-opt", *options, compiled, "-o", optimised], folder)
    return optimised


def node_modules() -> Path:
    """The packages of the page and of its tests."""
    return Path(told("BENCH_NODE_MODULES", "the page's packages; type ./doitw page"))


def kitoken(folder: Path) -> Path:
    """Install what it is compared with."""
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / name, folder / name)
    run("npm", ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    return folder / KITOKEN


def encoding(rounds: int, folder: Path, parts: list[str], show: Callable[[str], None]) -> None:
    """The rows, with the vocabulary in FOLDER/t.tok and t.json."""
    (folder / "documents.json").write_text(json.dumps(parts), encoding="utf-8")
    mb = size_mb(parts[1::2])
    try:
        wasm = module(folder)
        both = [CRATE / "wasm.mjs", wasm, kitoken(folder), folder, str(rounds)]
        found = json.loads(run("node", ["node", HERE / "wasm.mjs", *both], folder))
        show(row("wasm in Node, unseen prose", found["seconds"], mb, "4.0"))
        show(
            f"wasm: {wasm.stat().st_size:,} bytes; kitoken's ids are ours in {found['same']} of {found['texts']} texts"
        )
        chromium = told("BENCH_CHROMIUM", "Chromium; type ./doitw doctor")
        found = json.loads(run("Chromium", ["node", HERE / "chromium.mjs", *both, chromium, node_modules()], folder))
        show(row(f"wasm in Chromium {found['version'].partition('.')[0]}, unseen prose", found["seconds"], mb, "4.0"))
    except Missing as missing:
        show(f"wasm: left out, since this is missing: {missing}")
