"""check: everything that a machine can say about the sources, one line each. `doit check`, or `doit check wall golden`.

Each check is a function of the root that returns what is wrong, as lines; nothing means that it holds. A test plants a
violation for each and sees it found (tests/checks/).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from stages import paths, tools, wasm_target
from stages.graph import Setup
from stages.graph.run.setup import ensure

# Weights, checkpoints, shards and compiled engines: the golden rule of data.
FORBIDDEN_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".safetensors", ".gguf", ".onnx", ".npy", ".npz", ".wasm")
FORBIDDEN_MAGIC = (b"POCKETLM", b"GGUF", b"\0asm", b"\x93NUMPY")
COMMIT_TYPES = ("feat", "fix", "perf", "refactor", "test", "docs", "build", "chore", "exp")
COMMIT_SCOPES = ("inf", "web", "tok", "train", "build")
COMMIT_SUBJECT = re.compile(rf"^({'|'.join(COMMIT_TYPES)})(\(({'|'.join(COMMIT_SCOPES)})\))?: [^A-Z\s].*[^.\s]$")
SUBJECT_LENGTH = 72

Check = Callable[[Path], list[str]]


def _failures(argv: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> list[str]:
    """Run a command; its output as lines where it fails, else nothing."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        return [f"{argv[0]} is not to be found"]
    return (done.stdout.strip().splitlines() or [f"status {done.returncode}"]) if done.returncode != 0 else []


def _cargo_env() -> dict[str, str]:
    return {"CARGO_TARGET_DIR": str(paths.CARGO_TARGET), "CARGO_TERM_COLOR": "never"}


def ruff(root: Path) -> list[str]:
    """Python is lint-free."""
    return _failures([paths.VENV / "bin" / "ruff", "check", "--no-cache", "--output-format", "concise", "."], root)


def types(root: Path) -> list[str]:
    """Python's types agree (mypy)."""
    # No cache: mypy trusts size and whole seconds, so an edit within the second it was checked in would go unseen.
    return _failures([paths.VENV / "bin" / "mypy", "--no-error-summary", "--cache-dir", os.devnull], root)


def rustfmt(root: Path) -> list[str]:
    """Rust is formatted."""
    return _failures(["cargo", "fmt", "--all", "--check"], root)


def clippy(root: Path) -> list[str]:
    """Rust has no clippy warning, tests included."""
    return _failures(
        ["cargo", "clippy", "--quiet", "--release", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        root,
        _cargo_env(),
    )


def wall(root: Path) -> list[str]:
    """The WASM wall: engine and tokenizer core compile for wasm32v1-none, a target that has no std.

    Where Rust's library for aarch64 is installed, the engine compiles for that, too.
    """
    prefix = (paths.TOOLS / "wasm-path").read_text(encoding="utf-8")
    env = {**_cargo_env(), "CARGO_TARGET_DIR": str(paths.CARGO_TARGET_WASM), "PATH": prefix + os.environ["PATH"]}
    problems = []
    for package, features in (("pocketlm-inference", ["--features", "gpu"]), ("pocketlm-tokenizer", [])):
        problems += _failures(
            [
                "cargo",
                "check",  # a crate that is not there is missed before any code is made
                "--quiet",
                "--lib",
                "--package",
                package,
                "--no-default-features",
                *features,
                "--target",
                "wasm32v1-none",
            ],
            root,
            env,
        )
    return problems + _aarch64(root)


AARCH64 = "aarch64-unknown-linux-gnu"


def _aarch64(root: Path) -> list[str]:
    """The CPU's loops for aarch64, which nothing else compiles on another processor; clippy's warnings too."""
    sysroot = tools.output_of("rustc", "--print", "sysroot")
    if sysroot is None or not (Path(sysroot) / "lib" / "rustlib" / AARCH64 / "lib").is_dir():
        print(f"      not compiled for aarch64: `rustup target add {AARCH64}` would have it checked", flush=True)
        return []
    command = ["cargo", "clippy", "--quiet", "--lib", "--package", "pocketlm-inference", "--no-default-features"]
    return _failures([*command, "--target", AARCH64, "--", "-D", "warnings"], root, _cargo_env())


@contextmanager
def web_copy(root: Path) -> Iterator[Path]:
    """The web sources where their tools can run: a copy with node_modules beside it, so that the live tree stays
    as it is. Each has its own, so a check does not disturb the tests that run meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="pocketlm-web-") as folder:
        copy = Path(folder) / "web"
        copy_web(root, copy)
        if (root / "tests" / "e2e").is_dir():
            for name in ("e2e", "vectors"):
                shutil.copytree(root / "tests" / name, copy.parent / "tests" / name)
        yield copy


def copy_web(root: Path, copy: Path) -> None:
    """Copy web/ to a place where there is nothing yet, and put node_modules beside it."""
    shutil.copytree(root / "web", copy, ignore=shutil.ignore_patterns("node_modules", "dist"), symlinks=True)
    (copy / "node_modules").symlink_to(paths.NODE_MODULES)


def tsc(root: Path) -> list[str]:
    """TypeScript's types agree, the generated ones of the wasm package included."""
    with web_copy(root) as copy:
        return _failures(["npm", "run", "--silent", "typecheck"], copy, {"POCKETLM_WASM": str(paths.WASM_PACKAGE)})


def biome(root: Path) -> list[str]:
    """TypeScript and CSS are lint-free and formatted (Biome)."""
    with web_copy(root) as copy:
        return _failures(["npm", "run", "--silent", "lint"], copy)


def _tracked(root: Path) -> list[str]:
    """The files that git tracks; in a tree without git, all that .gitignore would not hide is unknown, so all
    files are taken.
    """
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True)
    if done.returncode == 0:
        return [name for name in done.stdout.decode("utf-8", "surrogateescape").split("\0") if name]
    skip = {".git", ".venv", "build", "target", "node_modules"}
    return [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and not skip & set(path.relative_to(root).parts)
    ]


def golden(root: Path) -> list[str]:
    """The golden rule of data: no weights, checkpoints or shards in git, and .gitignore keeps them out."""
    problems = []
    for name in _tracked(root):
        if name.lower().endswith(FORBIDDEN_SUFFIXES):
            problems.append(f"{name}: a file of this kind never enters git (git rm --cached {name})")
            continue
        try:
            with (root / name).open("rb") as file:
                if file.read(8).startswith(FORBIDDEN_MAGIC):
                    problems.append(f"{name}: weights or a compiled engine under another name")
        except (FileNotFoundError, IsADirectoryError):
            continue  # deleted but not committed yet, or a link to a folder
    ignored = (root / ".gitignore").read_text(encoding="utf-8").splitlines() if (root / ".gitignore").exists() else []
    problems += [f".gitignore has no line *{suffix}" for suffix in FORBIDDEN_SUFFIXES if f"*{suffix}" not in ignored]
    return problems


def commits(root: Path) -> list[str]:
    """Commit subjects are Conventional Commits with our scopes, at most 72 characters."""
    done = subprocess.run(["git", "log", "--no-merges", "--format=%h %s"], cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        return []  # a tree without history has no messages
    problems = []
    for line in done.stdout.splitlines():
        commit, _, subject = line.partition(" ")
        if not COMMIT_SUBJECT.match(subject):
            problems.append(
                f"{commit} {subject!r} is not `type(scope): imperative subject` "
                f"(types {' '.join(COMMIT_TYPES)}; scopes {' '.join(COMMIT_SCOPES)})"
            )
        elif len(subject) > SUBJECT_LENGTH:
            problems.append(f"{commit} {subject!r} has {len(subject)} characters, at most {SUBJECT_LENGTH}")
    return problems


def locks(root: Path) -> list[str]:
    """Locks agree with what they lock, pin by hash and name no host."""
    problems = []
    manifest = (root / "pyproject.toml").read_text(encoding="utf-8")
    for path in sorted((root / "locks").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        pinned = set(re.findall(r"^([a-z0-9_.-]+==[^ ;\\\n]+)", text, re.M))
        wanted = re.findall(r'"([A-Za-z0-9_.-]+==[^"]+)"', manifest)
        if path.stem == "test":
            problems += [f"locks/test.txt does not pin {pin} of pyproject.toml" for pin in wanted if pin not in pinned]
        problems += [
            f"locks/{path.name}:{number}: names a host"
            for number, line in enumerate(text.splitlines(), 1)
            if "://" in line
        ]
        # A pin's line ends in a backslash and goes on with its hashes.
        unhashed = re.findall(r"^([a-z0-9_.-]+==[^ ;\\\n]+)[^\\\n]*$", text, re.M)
        problems += [f"locks/{path.name}: {pin} has no hash" for pin in unhashed]
    npm = json.loads((root / "web" / "package-lock.json").read_text(encoding="utf-8"))
    problems += [
        f"web/package-lock.json: {name} names its download address"
        for name, entry in npm.get("packages", {}).items()
        if "://" in str(entry.get("resolved", ""))
    ]
    cargo = (root / "Cargo.toml").read_text(encoding="utf-8")
    if f'wasm-bindgen = "={tools.WASM_BINDGEN}"' not in cargo:
        problems.append(f"Cargo.toml and stages/tools.py pin different versions of wasm-bindgen ({tools.WASM_BINDGEN})")
    return problems


def workflows(root: Path) -> list[str]:
    """The workflows of continuous integration are what GitHub's schema asks for."""
    found = sorted((root / ".github" / "workflows").glob("*.yml"))
    command: list[str | Path] = [
        paths.VENV / "bin" / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *found,
    ]
    return _failures(command, root) if found else ["there are no workflows in .github/workflows"]


CHECKS: dict[str, tuple[Check, tuple[Setup, ...]]] = {
    "golden": (golden, ()),
    "commits": (commits, ()),
    "locks": (locks, ()),
    "workflows": (workflows, (tools.TORCH, tools.TEST_PYTHON)),
    "ruff": (ruff, (tools.TORCH, tools.TEST_PYTHON)),
    "types": (types, (tools.TORCH, tools.TEST_PYTHON)),
    "rustfmt": (rustfmt, (tools.CARGO,)),
    "wall": (wall, (tools.CARGO, wasm_target.WASM_TARGET)),
    "clippy": (clippy, (tools.CARGO,)),
    "tsc": (tsc, (tools.NODE_PACKAGES,)),
    "biome": (biome, (tools.NODE_PACKAGES,)),
}


def run_checks(names: Sequence[str], root: Path = paths.ROOT) -> int:
    """Run checks by name (all where none is named), a line each; returns how many failed.

    Those of Rust are one after another, as cargo's lock would have it anyway; beside them the others.
    """
    from stages.project import GRAPH

    names = list(names or CHECKS)
    for setup in dict.fromkeys(setup for name in names for setup in CHECKS[name][1]):
        ensure(GRAPH.session, setup)
    rust = [name for name in names if tools.CARGO in CHECKS[name][1]]
    others = [name for name in names if name not in rust]
    printing = threading.Lock()
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(lambda lane: sum(_run_check(name, root, printing) for name in lane), (rust, others)))


def _run_check(name: str, root: Path, printing: threading.Lock) -> bool:
    """Run one check and print its line, with what is wrong below it; whether it failed."""
    check = CHECKS[name][0]
    began = time.monotonic()
    problems = check(root)
    word, seconds = "FAIL" if problems else " ok ", time.monotonic() - began
    lines = [f"{word}  {name:9} {seconds:5.1f} s  {(check.__doc__ or '').splitlines()[0]}"]
    lines += [f"      {line}" for line in problems[:60]]
    if len(problems) > 60:
        lines.append(f"      … and {len(problems) - 60} lines more")
    with printing:
        print("\n".join(lines), flush=True)
    return bool(problems)
