"""wheel, cli and wasm: the Rust workspace, compiled for Python, for the terminal and for the browser.

A stage's snapshot holds only the crates that it compiles. Cargo wants to see every member of the workspace, so the
others get empty sources there: an edit of the CLI leaves the wasm fresh, and one of the engine the wheel.
"""

from __future__ import annotations

from stages import tools, wasm_target
from stages.graph import Stage, files
from stages.graph.declare.sources import Files

# What is left of a crate that is no longer there goes: cargo refuses a member without a manifest.
EMPTY_MEMBERS = (
    "for crate in rust/*/; do if [ ! -e $crate/Cargo.toml ]; then rm -r $crate; elif [ ! -d $crate/src ]; then "
    "mkdir $crate/src && : > $crate/src/lib.rs && : > $crate/src/main.rs; fi; done; "
)
# All compiler flags: this variable puts those of every configuration file out of force, a person's own too. \\037
# stands between them, so that a path may hold spaces. Registry crates put their absolute paths into panic messages:
# without the remapping the bytes differ from home to home.
REMAP = (
    "export CARGO_ENCODED_RUSTFLAGS=\"$(printf '%s\\037%s' "
    '"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" "--remap-path-prefix=$PWD=/pocketlm")"; '
)
# Every browser with WebGPU has SIMD. As in .cargo/config.toml, which is for cargo's own commands.
SIMD128 = "-Ctarget-feature=+simd128"
# What newer browsers have: a product added without being rounded between, so that prompts are read faster by a sixth.
RELAXED_SIMD = f"{SIMD128},+relaxed-simd"


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
            f"{EMPTY_MEMBERS}{REMAP}"
            '"{python}" -m maturin build --release --locked --quiet --manifest-path rust/tokenizer-py/Cargo.toml '
            '--interpreter "{python}" --out "{out}/dist" && '
            '"{python}" -m zipfile -e "{out}"/dist/*.whl "{out}/wheel" && rm -r "{out}/dist"',
        ),
        outputs=("wheel/",),
        sources=(crate_sources("rust/tokenizer/src", "rust/tokenizer-py/src", "rust/tokenizer-py/*.*"),),
        tools=(tools.RUSTC, tools.MATURIN, tools.LIBC, tools.CARGO_CONFIG),
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
        tools=(tools.RUSTC, tools.LIBC, tools.CARGO_CONFIG),
        set_env={"CARGO_TARGET_DIR": "{build}/run/cargo", "CARGO_ENCODED_RUSTFLAGS": ""},
        background=True,
        needs=(tools.CARGO,),
        scope="bin",
        links={"pocketlm": "pocketlm"},
    )


def _wasm_pack(flags: str, out: str) -> str:
    """The command that compiles the package with these flags into a folder below the stage's."""
    return (
        f'(export CARGO_ENCODED_RUSTFLAGS="$(printf \'%s\\037{flags}\' "$CARGO_ENCODED_RUSTFLAGS")"; '
        "wasm-pack build rust/inference-web --profile web --target web --mode no-install --no-pack "
        f'--out-name pocketlm --out-dir "{{out}}/{out}" -- --locked)'
    )


def wasm_stage() -> Stage:
    """The stage `wasm`: engine and tokenizer as two modules, one with relaxed SIMD, and one script for both."""
    return Stage(
        name="wasm",
        doc="Compile engine and tokenizer to WebAssembly (wasm-pack, wasm-opt).",
        run=(
            "sh",
            "-c",
            f"{EMPTY_MEMBERS}{REMAP}"
            'tools="{root}/build/tools"; '
            # What is pinned goes first: its version is in the key, and the system's wasm-opt is another one.
            'PATH="$tools/bin:$tools/node/node_modules/.bin:$(cat "$tools/wasm-path")$PATH"; '
            f"{_wasm_pack(SIMD128, 'pkg')} && "
            f"{_wasm_pack(RELAXED_SIMD, 'relaxed')} && "
            'node rust/inference-web/two-modules.mjs "{out}/pkg" "{out}/relaxed" && '
            'rm -rf "{out}/relaxed" "{out}/pkg/.gitignore"',
        ),
        outputs=("pkg/",),
        sources=(
            crate_sources(
                "rust/tokenizer/src",
                "rust/inference/src",
                "rust/inference-web/src",
                "rust/inference-web/*.mjs",
                "shaders/*.wgsl",
            ),
        ),
        tools=(wasm_target.RUSTC, tools.CARGO_CONFIG, *tools.WASM_TOOL_VERSIONS),
        env=(wasm_target.FORCE,),
        set_env={"CARGO_TARGET_DIR": "{build}/run/cargo-wasm"},
        background=True,
        needs=(tools.CARGO, wasm_target.WASM_TARGET, tools.WASM_TOOLS, tools.NODE_PACKAGES),
        scope="shared",
    )
