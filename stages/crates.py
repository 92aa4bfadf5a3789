"""wheel, cli and wasm: the Rust workspace, compiled for Python, for the terminal and for the browser.

A stage's snapshot holds only the crates that it compiles. Cargo wants to see every member of the workspace, so the
others get empty sources there: an edit of the CLI leaves the wasm fresh, and one of the engine the wheel.
"""

from __future__ import annotations

from stages import tools, wasm_target
from stages.graph import Stage, files
from stages.graph.declare.sources import Files

EMPTY_MEMBERS = (
    "for crate in rust/*/; do [ -d $crate/src ] || "
    "{ mkdir $crate/src && : > $crate/src/lib.rs && : > $crate/src/main.rs; }; done; "
)
# Registry crates put their absolute paths into panic messages: without this the bytes differ from home to home. As a
# TOML array, which cargo joins to .cargo/config.toml's, because RUSTFLAGS would be cut at a space in a path.
REMAP = '[\\"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo\\", \\"--remap-path-prefix=$PWD=/pocketlm\\"]'


def crate_sources(*patterns: str) -> Files:
    """The workspace's manifests and the given files; tests, benchmarks and fuzz targets change no result."""
    manifests = ("Cargo.toml", "Cargo.lock", ".cargo/config.toml", "rust/*/Cargo.toml")
    return files(*manifests, *patterns, exclude=("rust/fuzz/*",))


def wheel_stage() -> Stage:
    """The stage `wheel`: the tokenizer's Python module, unpacked: a PYTHONPATH entry."""
    return Stage(
        name="wheel",
        doc="Compile the tokenizer crate for Python (Rust, pyo3, maturin).",
        run=(
            "sh",
            "-c",
            f"{EMPTY_MEMBERS}"
            f'"{{python}}" -m maturin build --config "build.rustflags={REMAP}" '
            "--release --locked --quiet --manifest-path rust/tokenizer-py/Cargo.toml "
            '--interpreter "{python}" --out "{out}/dist" && '
            '"{python}" -m zipfile -e "{out}"/dist/*.whl "{out}/wheel" && rm -r "{out}/dist"',
        ),
        outputs=("wheel/",),
        sources=(crate_sources("rust/tokenizer/src", "rust/tokenizer-py/src", "rust/tokenizer-py/*.*"),),
        tools=(tools.RUSTC, tools.MATURIN),
        set_env={"CARGO_TARGET_DIR": "{build}/run/cargo-wheel"},  # of its own: flags differ from the CLI's
        needs=(tools.CARGO,),
        reads=tools.PIP_READS,  # maturin asks pip which tags this Python takes
        scope="shared",
    )


def cli_stage() -> Stage:
    """The stage `cli`: build/bin/pocketlm."""
    return Stage(
        name="cli",
        doc="Compile the native command line, build/bin/pocketlm.",
        run=(
            "sh",
            "-c",
            f"{EMPTY_MEMBERS} cargo build --release --locked --package pocketlm-cli && "
            'cp "$CARGO_TARGET_DIR/release/pocketlm" "{out}/pocketlm"',
        ),
        outputs=("pocketlm",),
        sources=(crate_sources("rust/tokenizer/src", "rust/inference/src", "rust/cli/src", "shaders/*.wgsl"),),
        tools=(tools.RUSTC,),
        set_env={"CARGO_TARGET_DIR": "{build}/run/cargo"},
        background=True,
        needs=(tools.CARGO,),
        scope="bin",
        links={"pocketlm": "pocketlm"},
    )


def wasm_stage() -> Stage:
    """The stage `wasm`: the engine and the tokenizer as one wasm module with its JavaScript and TypeScript."""
    return Stage(
        name="wasm",
        doc="Compile engine and tokenizer to WebAssembly (wasm-pack, wasm-opt).",
        run=(
            "sh",
            "-c",
            f"{EMPTY_MEMBERS}"
            'tools="{root}/build/tools"; '
            'PATH="$(cat "$tools/wasm-path")$PATH:$tools/bin:$tools/node/node_modules/.bin"; '
            "wasm-pack build rust/inference-web --release --target web --mode no-install --no-pack "
            '--out-name pocketlm --out-dir "{out}/pkg" -- --locked '
            f'--config "target.wasm32-unknown-unknown.rustflags={REMAP}" && '
            'rm -f "{out}/pkg/.gitignore"',
        ),
        outputs=("pkg/",),
        sources=(
            crate_sources("rust/tokenizer/src", "rust/inference/src", "rust/inference-web/src", "shaders/*.wgsl"),
        ),
        tools=(wasm_target.RUSTC, *tools.WASM_TOOL_VERSIONS),
        env=(wasm_target.FORCE,),
        set_env={"CARGO_TARGET_DIR": "{build}/run/cargo-wasm"},
        background=True,
        needs=(tools.CARGO, wasm_target.WASM_TARGET, tools.WASM_TOOLS, tools.NODE_PACKAGES),
        scope="shared",
    )
