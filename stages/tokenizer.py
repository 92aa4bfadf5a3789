"""wheel and tokenizer: compile the Rust crate for Python, then train the byte-level BPE with it."""

from __future__ import annotations

from stages import tools
from stages.graph import Output, Stage, files, python_sources
from stages.settings import Settings

WHEEL = Output("wheel", "wheel/")  # the unpacked wheel: a PYTHONPATH entry that holds the module pocketlm_tokenizer


def wheel_stage() -> Stage:
    """The stage `wheel`, which no preset changes."""
    return Stage(
        name="wheel",
        doc="Compile the tokenizer crate for Python (Rust, pyo3, maturin).",
        run=("sh", "-c", '"{python}" -m maturin build --release --locked --quiet --manifest-path rust/tokenizer-py/Cargo.toml '
             '--interpreter "{python}" --out "{out}/dist" && "{python}" -m zipfile -e "{out}"/dist/*.whl "{out}/wheel" && rm -r "{out}/dist"'),
        outputs=("wheel/",),
        sources=(files("Cargo.toml", "Cargo.lock", "rust/tokenizer", "rust/tokenizer-py", "rust/*/Cargo.toml", "rust/*/src/lib.rs",
                       "rust/cli/src/main.rs", exclude=("**/tests/**", "**/benches/**", "**/fuzz/**")),),
        tools=(tools.RUSTC, tools.MATURIN),
        set_env={"CARGO_TARGET_DIR": "{build}/run/cargo"},
        needs=(tools.CARGO,),
        scope="shared",
    )


def stage(settings: Settings) -> Stage:
    """The stage `tokenizer` of one preset."""
    return Stage(
        name="tokenizer",
        doc="Train the byte-level BPE tokenizer on the training documents.",
        run=("{python}", "-m", "training.tokenizer", "--params", "{params}", "--corpus", "{in.corpus}", "--out", "{out}"),
        outputs=("tokenizer.json", "tokenizer.tok"),
        inputs={"corpus": Output("corpus", "corpus/"), "wheel": WHEEL},
        sources=(python_sources("training.tokenizer"),),
        params=settings.section("tokenizer"),
        scope=settings.preset,
        links={"tokenizer.json": "tokenizer.json"},
        pythonpath=("{snapshot}", "{in.wheel}"),
    )
