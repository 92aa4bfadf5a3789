"""Every path of the project, once. Absolute strings and Paths under the root; nothing here is looked up on disk."""

from __future__ import annotations

import os
from pathlib import Path

from stages.graph.declare.names import EXPERIMENTS, OWN_FOLDERS

ROOT = Path(__file__).resolve().parent.parent  # the checkout
BUILD = Path(os.environ.get("POCKETLM_BUILD") or ROOT / "build").absolute()  # every artifact; never in git
VENV = ROOT / ".venv"  # made by doitw
LOCKS = ROOT / "locks"  # hash-pinned Python dependencies, one file an extra
WEB = ROOT / "web"
PRESETS = ROOT / "training" / "presets"
CONFIG = ROOT / "training" / "config"  # the code that checks them

TOOLS = ROOT / "build" / "tools"  # what stages/tools.py installs; one set for every build folder
TOOLS_BIN = TOOLS / "bin"  # wasm-pack, wasm-bindgen
NODE_DIR = TOOLS / "node"  # package.json, package-lock.json and node_modules, as `npm ci` made them
NODE_MODULES = NODE_DIR / "node_modules"
BENCH_ENGINE_NODE = TOOLS / "bench-engine-node"  # the engines that ours is measured beside
LLAMA_CPP = TOOLS / "llama-cpp"  # a llama.cpp that others built, for the tests
WASM_TARGET_STAMP = TOOLS / "wasm-target.json"  # which toolchain compiles to wasm, and how it came here

CARGO_TARGET = BUILD / "run" / "cargo"  # of the CLI and the Rust tests, so that wgpu is compiled once
CARGO_TARGET_WASM = BUILD / "run" / "cargo-wasm"

WHEEL = BUILD / "shared" / ".current" / "wheel" / "wheel"  # the tokenizer's Python module: a PYTHONPATH entry
WASM_PACKAGE = BUILD / "shared" / ".current" / "wasm" / "pkg"  # the engine for the browser, with its types
PAGE = BUILD / "shared" / ".current" / "page" / "page"  # the bundle without a model
NPM = BUILD / "npm" / "pocketlm"  # the package that pages embed
CLI = BUILD / "bin" / "pocketlm"

DEFAULT_PRESET = "shakespeare"
TEST_PRESET = "tiny"  # what `doit test` builds
# Folders of build/ that are not a preset's.
NO_PRESETS = (*OWN_FOLDERS, EXPERIMENTS, "bin", "logs", "npm", "shared", "tools")


def preset_dir(preset: str) -> Path:
    """Where people find a preset's artifacts: model.bin, tokenizer.json, metrics.jsonl, loss.svg, web/."""
    return BUILD / preset
