"""cli and wasm: the engine for the terminal and for the browser."""

from __future__ import annotations

from stages import tools, wasm_target
from stages.graph import Stage, files

ENGINE_SOURCES = files("Cargo.toml", "Cargo.lock", ".cargo/config.toml", "rust/*/Cargo.toml", "rust/tokenizer-py/src/lib.rs", "rust/tokenizer-py/build.rs",
                       "rust/tokenizer/src", "rust/inference/src", "rust/inference-web/src", "rust/cli/src", "shaders/*.wgsl")

# Registry crates put their absolute paths into panic messages: without this the bytes differ from home to home.
REMAP = 'remap="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/pocketlm"'


def cli_stage() -> Stage:
    """The stage `cli`: build/bin/pocketlm."""
    return Stage(
        name="cli",
        doc="Compile the native command line, build/bin/pocketlm.",
        run=("sh", "-c", 'cargo build --release --locked --package pocketlm-cli && cp "$CARGO_TARGET_DIR/release/pocketlm" "{out}/pocketlm"'),
        outputs=("pocketlm",),
        sources=(ENGINE_SOURCES,),
        tools=(tools.RUSTC,),
        set_env={"CARGO_TARGET_DIR": "{build}/run/cargo"},
        needs=(tools.CARGO,),
        scope="bin",
        links={"pocketlm": "pocketlm"},
    )


def wasm_stage() -> Stage:
    """The stage `wasm`: the engine and the tokenizer as one wasm module with its JavaScript and TypeScript."""
    return Stage(
        name="wasm",
        doc="Compile engine and tokenizer to WebAssembly (wasm-pack, wasm-opt).",
        run=("sh", "-c",
             'PATH="$(cat "{root}/build/tools/wasm-path")$PATH:{root}/build/tools/bin:{root}/build/tools/node/node_modules/.bin"; ' + REMAP + "; "
             'export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$remap"; '
             'wasm-pack build rust/inference-web --release --target web --mode no-install --no-pack --out-name pocketlm '
             '--out-dir "{out}/pkg" -- --locked && rm -f "{out}/pkg/.gitignore"'),
        outputs=("pkg/",),
        sources=(ENGINE_SOURCES,),
        tools=(wasm_target.RUSTC, *tools.WASM_TOOL_VERSIONS),
        set_env={"CARGO_TARGET_DIR": "{build}/run/cargo-wasm"},
        needs=(tools.CARGO, wasm_target.WASM_TARGET, tools.WASM_TOOLS, tools.NODE_PACKAGES),
        scope="shared",
    )
