"""What each change of the project makes stale, written down by hand: the table that test_mutations.py checks.

A changed version of a tool, and an edit of Python or of the tokenizer's wheel, leave results equal here (a bug-fix
release, a refactoring): only the stages that use them run. An edit of Rust, a shader or the page changes what is
compiled, and all that is made from it runs too.

`provenance` follows the receipts, and `web` holds what it writes: where a stage runs that the bundle is made by, these
two do, and the table leaves them out (AFTER_ALL).
"""

from __future__ import annotations

from typing import NamedTuple

ALL = "corpus wheel tokenizer shards train sample report export wasm npm page provenance web cli"
FROM_TRAIN = "train sample report export"
FROM_TOKENIZER = f"tokenizer shards {FROM_TRAIN}"
FROM_CORPUS = f"corpus {FROM_TOKENIZER}"
FROM_WHEEL = "wheel tokenizer shards train sample export"
FROM_NPM = "npm page"
FROM_WASM = f"wasm {FROM_NPM}"
AFTER_ALL = "provenance web"
ASIDE = "cli provenance sample report"  # not in the bundle, or what is said of it

# Every parameter of every section: a value that the tiny preset does not have, and what runs then.
PARAMETERS: dict[str, tuple[str, str]] = {
    "data.sources": ('["file:tests/data/the-tempest-act-[12].txt"]', FROM_CORPUS),
    "data.val_documents": ("the-tempest-act-5.txt", FROM_CORPUS),
    "data.val_fraction": ("0.45", FROM_CORPUS),
    "data.test_documents": ("the-tempest-act-4.txt", FROM_CORPUS),
    "data.text_column": ("body", FROM_CORPUS),
    "data.chat_column": ("messages", FROM_CORPUS),
    "data.separator": ("<|endoftext|>", FROM_CORPUS),
    "tokenizer.vocab_size": ("320", FROM_TOKENIZER),
    "tokenizer.special_tokens": ('["<|end|>"]', FROM_TOKENIZER),
    "tokenizer.min_frequency": ("3", FROM_TOKENIZER),
    "tokenizer.max_token_length": ("4", FROM_TOKENIZER),
    "model.family": ("qwen3", FROM_TRAIN),
    "model.n_layer": ("3", FROM_TRAIN),
    "model.n_head": ("3", FROM_TRAIN),
    "model.n_kv_head": ("6", FROM_TRAIN),
    "model.d_model": ("64", FROM_TRAIN),
    "model.d_head": ("12", FROM_TRAIN),
    "model.d_ff": ("96", FROM_TRAIN),
    "model.ctx_len": ("256", FROM_TRAIN),
    "model.rope_theta": ("20000.0", FROM_TRAIN),
    "model.norm_eps": ("1e-6", FROM_TRAIN),
    "model.tie_embeddings": ("true", FROM_TRAIN),
    "train.steps": ("60", FROM_TRAIN),
    "train.batch_size": ("3", FROM_TRAIN),
    "train.grad_accum": ("1", FROM_TRAIN),
    "train.lr": ("5e-3", FROM_TRAIN),
    "train.min_lr_ratio": ("0.2", FROM_TRAIN),
    "train.warmup_steps": ("5", FROM_TRAIN),
    "train.schedule": ("cosine", FROM_TRAIN),
    "train.decay_fraction": ("0.4", FROM_TRAIN),
    "train.weight_decay": ("0.2", FROM_TRAIN),
    "train.beta1": ("0.8", FROM_TRAIN),
    "train.beta2": ("0.99", FROM_TRAIN),
    "train.grad_clip": ("0.5", FROM_TRAIN),
    "train.log_every": ("7", FROM_TRAIN),
    "train.eval_every": ("50", FROM_TRAIN),
    "train.eval_tokens": ("2048", FROM_TRAIN),
    "train.last_eval_tokens": ("2048", FROM_TRAIN),
    "train.eval_overlap": ("32", FROM_TRAIN),
    "train.optimizer": ("muon", FROM_TRAIN),
    "train.orthogonal": ("polar", FROM_TRAIN),
    "train.embedding_lr": ("1e-2", FROM_TRAIN),
    "train.lora_rank": ("2", FROM_TRAIN),
    "train.lora_alpha": ("8.0", FROM_TRAIN),
    "train.checkpoint_seconds": ("5", ""),
    "train.loggers": ("tensorboard", ""),
    "train.processes": ("2", ""),
    "train.shard": ("true", ""),
    "train.seed": ("2", FROM_TRAIN),
    "train.device": ("auto", FROM_TRAIN),
    "train.precision": ("f32", FROM_TRAIN),
    "train.compile": ("true", FROM_TRAIN),
    "sample.prompts": ("MIRANDA:", "sample export"),  # the page offers them as openings
    "sample.tokens": ("20", "sample"),
    "sample.temperature": ("0.5", "sample"),
    "sample.seed": ("2", "sample"),
    "export.dtype": ("f16", "export"),
    "export.golden_prompt": ("ARIEL:", "export"),
    "export.license": ("mit", "export"),
}
ONE_VALUE = {"tokenizer.split"}  # any other value is refused

# Every module of `training`: the stages that use it.
MODULES: dict[str, str] = {
    "__init__": "corpus tokenizer shards train sample report export web",
    "card": "",
    "chat": "",
    "chat_shards": "",
    "checkpoint": "train",
    "command": "corpus tokenizer shards train sample report export",
    "config/__init__": "corpus tokenizer train sample export",
    "config/data": "corpus",
    "config/export": "export",
    "config/import_": "",
    "config/local_files": "corpus",
    "config/model": "train sample export",
    "config/preset": "",
    "config/sample": "sample export",
    "config/section": "corpus tokenizer train sample export",
    "config/tokenizer": "tokenizer",
    "config/train": "train",
    "corpus": "corpus",
    "data/__init__": "corpus tokenizer shards train export",
    "data/archive": "corpus",
    "data/batches": "train",
    "data/chat_tokens": "",
    "data/clean": "corpus",
    "data/conversations": "corpus",
    "data/documents": "corpus tokenizer shards",
    "data/parts": "corpus tokenizer shards",
    "data/records": "corpus",
    "data/shard_file": "shards train export",
    "data/sources": "corpus",
    "data/split": "corpus",
    "dist": "train",
    "evaluate": "",
    "export": "export",
    "export_finetuned": "",
    "export_gguf": "",
    "export_hf": "",
    "export_imported": "",
    "export_llama2c": "",
    "finetune": "",
    "format/__init__": "export",
    "format/dtypes": "export",
    "format/errors": "export",
    "format/families": "export",
    "format/file": "export",
    "format/header": "export",
    "import_model": "",
    "imported": "",
    "inputs": "train",
    "interop/__init__": "",
    "interop/families": "",
    "interop/gguf": "",
    "interop/gguf_vocabulary": "",
    "interop/gguf_writer": "",
    "interop/hf": "",
    "interop/hf_writer": "",
    "interop/llama2c": "",
    "interop/llama2c_writer": "",
    "interop/rope": "",
    "journal": "train report",
    "loggers": "",
    "lora": "train",
    "model/__init__": "train sample export",
    "model/blocks": "train sample export",
    "model/families": "train sample export",
    "model/fast": "train sample export",
    "model/llama": "train sample export",
    "model_index": "web",
    "optim/__init__": "train",
    "optim/groups": "train",
    "optim/muon": "train",
    "optim/polar": "train",
    "optim/schedule": "train",
    "params": "",
    "pieces": "train",
    "plot": "report",
    "prepare": "train",
    "progress": "",
    "reference": "",
    "report": "report",
    "results": "train",
    "resume": "train",
    "sample": "sample",
    "scoring": "train export",
    "shards": "shards",
    "speed": "train",
    "state": "train",
    "tokenizer": "tokenizer",
    "tokenizer_file": "tokenizer shards train sample export",
    "train": "train",
    "watch": "train",
}


class Change(NamedTuple):
    """One edit of one file."""

    what: str
    path: str
    old: str  # replaced, at its first place, by `new`; "": `new` is added at the end
    new: str
    runs: str
    real: bool = False  # also tried with the real commands


CHANGES = (
    Change("a document", "tests/data/the-tempest-act-1.txt", "", "Exeunt.\n", FROM_CORPUS, real=True),
    Change("one more document", "tests/data/epilogue.txt", "", "Now my charms are all o'erthrown.\n", FROM_CORPUS),
    Change("a file beside the documents", "tests/data/README.md", "", "\n", "", real=True),
    # ── Python ──
    Change("the loss curve's size", "training/plot.py", "= 720, 400", "= 720, 410", "report", real=True),
    Change("the line of progress", "training/progress.py", "tokens/s", "tokens a second", "", real=True),
    Change("how texts are sampled", "training/sample.py", "--- {index}", "--- text {index}", "sample", real=True),
    Change("how documents are cleaned", "training/data/clean.py", "", "_Y = 1\n", "corpus", real=True),
    Change("how model.bin is written", "training/format/file.py", "", "_Y = 1\n", "export", real=True),
    # ── Rust ──
    Change(
        "a comment in the tokenizer crate",
        "rust/tokenizer/src/error.rs",
        "ends too early",
        "ends early",
        "wheel wasm cli",
    ),
    Change(
        "the tokenizer crate's messages",
        "rust/tokenizer/src/error.rs",
        "is the file cut off?",
        "was the file cut off?",
        f"{FROM_WHEEL} {FROM_WASM} cli",
        real=True,
    ),
    Change(
        "the tokenizer's binding",
        "rust/tokenizer-py/src/lib.rs",
        "tokens do not fit into u16",
        "tokens do not go into u16",
        FROM_WHEEL,
    ),
    Change("the tokenizer's stub", "rust/tokenizer-py/pocketlm_tokenizer.pyi", "", "# \n", "wheel"),
    Change("the tokenizer's tests", "rust/tokenizer/tests/properties.rs", "", "const X: u8 = 1;\n", ""),
    Change("the tokenizer's example", "rust/tokenizer/examples/throughput.rs", "", "const X: u8 = 1;\n", ""),
    Change(
        "the engine's messages",
        "rust/inference/src/error.rs",
        "the file has {got}",
        "there are {got}",
        f"{FROM_WASM} cli",
        real=True,
    ),
    Change(
        "a comment at the end of a line of Rust",
        "rust/inference/src/rope.rs",
        "use alloc::vec::Vec;",
        "use alloc::vec::Vec; // the tables",
        "wasm cli",
        real=True,
    ),
    Change("the engine's tests", "rust/inference/tests/cpu_ops.rs", "", "const X: u8 = 1;\n", "", real=True),
    Change("the browser's adaptor", "rust/inference-web/src/lib.rs", "", "const _X: u8 = 1;\n", FROM_WASM),
    Change("the adaptor's tests", "rust/inference-web/tests/session.rs", "", "const X: u8 = 1;\n", ""),
    Change("the command line", "rust/cli/src/main.rs", "", "const _X: u8 = 1;\n", "cli", real=True),
    Change("cargo's lock", "Cargo.lock", "", '\n[[package]]\nname = "x"\n', f"{FROM_WHEEL} {FROM_WASM} cli"),
    Change("a comment in a manifest", "Cargo.toml", "", "# Nothing.\n", "wheel wasm cli", real=True),
    Change("another crate's manifest", "rust/cli/Cargo.toml", "", "# Nothing.\n", "wheel wasm cli"),
    Change("a compiler's flag", ".cargo/config.toml", "+simd128", "-simd128", f"{FROM_WHEEL} {FROM_WASM} cli"),
    Change("a shader", "shaders/embed.wgsl", "thread.x;", "thread.x + 0u;", f"{FROM_WASM} cli", real=True),
    Change("a comment in a shader", "shaders/embed.wgsl", "Look up", "Find", "wasm cli", real=True),
    # ── The page ──
    Change("a component", "web/src/components/Header.tsx", "A small language", "A little language", "page", real=True),
    Change("a comment in a component", "web/src/App.tsx", "", "// Nothing.\n", "page", real=True),
    Change("a style", "web/src/styles/page.css", "", ".x { color: red; }\n", "page"),
    Change("the package", "web/src/package/options.ts", "topK: 40", "topK: 41", FROM_NPM, real=True),
    Change("a comment in the package", "web/src/engine/turns.ts", "", "// Nothing.\n", "npm"),
    Change("the package's types", "web/tsconfig.package.json", '"rootDir"', '"rootDir" ', FROM_NPM),
    Change("the package's README", "web/npm/README.md", "", "Nothing.\n", FROM_NPM),
    Change(
        "the page's packages",
        "web/package-lock.json",
        '"node_modules/vite": {\n      "version": "8',
        '"node_modules/vite": {\n      "version": "9',
        FROM_NPM,
    ),
    Change("a test of the page", "web/src/state/machine.test.ts", "", "// Nothing.\n", "", real=True),
    Change("what the page's tests use", "web/src/testing/fakeEngine.ts", "", "export const x = 1;\n", ""),
    Change("a test of the package", "web/src/package/model.test.ts", "", "// Nothing.\n", ""),
    Change("the page's linter", "web/biome.json", "{", "{ ", ""),
    Change("a test in the browser", "tests/e2e/page.spec.ts", "", "// Nothing.\n", ""),
    # ── Tools: pinned versions ──
    Change("torch", "locks/train.txt", "\ntorch==2", "\ntorch==3", "train sample export"),
    Change("numpy", "locks/train.txt", "\nnumpy==2", "\nnumpy==3", "shards train sample export"),
    Change("safetensors", "locks/train.txt", "\nsafetensors==0", "\nsafetensors==1", "train sample export"),
    Change("a package that no stage uses by itself", "locks/train.txt", "\nsympy==1", "\nsympy==2", ""),
    Change("maturin", "locks/base.txt", "\nmaturin==1", "\nmaturin==2", "wheel"),
    Change("wasm-pack", "stages/tools.py", 'WASM_PACK = "0', 'WASM_PACK = "9', "wasm"),
    Change(
        "wasm-opt",
        "web/package-lock.json",
        '"node_modules/binaryen": {\n      "version": "132',
        '"node_modules/binaryen": {\n      "version": "133',
        f"{FROM_WASM}",
    ),
    # ── Tools: programs that are asked ──
    Change("rustc", "bin/rustc", "rustc 1.0", "rustc 1.1", "wheel cli"),
    Change("rustc for wasm", "bin/wasm/rustc", "rustc 1.0", "rustc 1.1", "wasm"),
    Change("node", "bin/node", "v99.0", "v99.1", FROM_NPM),
    # ── The stages themselves ──
    Change("how provenance is written", "stages/graph/manage/lineage.py", "", "# Nothing.\n", "provenance", real=True),
    Change("a stage's command", "stages/web.py", "--emptyOutDir", "--minify --emptyOutDir", "page"),
    Change("a pinned variable", "stages/train.py", '"MKL_CBWR": "AVX2"', '"MKL_CBWR": "SSE4_2"', "sample export"),
    Change("a stage's sentence", "stages/web.py", "Bundle the page", "Bundle page", "", real=True),
    # ── Nothing at all ──
    Change("another preset", "training/presets/shakespeare.toml", "\n[train]\n", "\n[train]\n# Nothing.\n", ""),
    Change("a comment in the preset", "training/presets/tiny.toml", "", "# Nothing.\n", "", real=True),
    Change("the format's text", "training/FORMAT.md", "", "Nothing.\n", ""),
    Change("the log of experiments", "training/LOG.md", "", "Nothing.\n", ""),
    Change("the README", "README.md", "", "Nothing.\n", "", real=True),
    Change("a page of the docs", "docs/ARCHITECTURE.md", "", "Nothing.\n", ""),
    Change("a test", "tests/oracles.py", "", "X = 1\n", "", real=True),
    Change("what CI runs", ".ci/run", "", "# Nothing.\n", ""),
    Change("the package's metadata", "pyproject.toml", "", "# Nothing.\n", ""),
)
