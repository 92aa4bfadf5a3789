"""A Rust standard library for wasm32-unknown-unknown (the engine) and wasm32v1-none (the proof of the WASM wall).

Three ways, in this order; POCKETLM_WASM_TARGET=distro forces the last:
1. `rustc --print sysroot` holds the targets already;
2. `rustup target add`;
3. Debian's Rust source package, compiled once into the sysroot of Debian's rustc: for machines that reach no rustup
   server.

Out, in build/tools/: wasm-target.json, {"way": "sysroot"|"rustup"|"distro", "sysroot": PATH}; wasm-path, what goes
before PATH. The proc-macros and the wasm must come from one compiler, so the whole wasm build uses that PATH.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from stages import paths
from stages.graph import Runner, Setup, Tool
from stages.tools import CARGO_ADVICE, SetupError, apt_install, output_of

TARGETS = {"wasm32-unknown-unknown": "std,panic_abort,panic_unwind,proc_macro,test", "wasm32v1-none": "core,alloc"}
DEBIAN_PACKAGES = ("rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22")
FORCE = "POCKETLM_WASM_TARGET"
DISTRO_BIN = Path("/usr/bin")


def _in_sysroot(sysroot: str | None) -> bool:
    return sysroot is not None and all(
        (Path(sysroot) / "lib" / "rustlib" / target / "lib").is_dir() for target in TARGETS
    )


def wasm_target() -> dict[str, str]:
    """The stamp, or {} where nothing is set up yet."""
    try:
        return dict(json.loads(paths.WASM_TARGET_STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _compiler() -> tuple[str, ...]:
    """How to ask the compiler of the wasm build for its version, whichever way was taken."""
    stamp = paths.TOOLS / "wasm-path"
    try:
        folder = stamp.read_text(encoding="utf-8").rstrip(":")
    except FileNotFoundError:  # nothing is set up yet, so there is no compiler either
        return (f"{stamp.parent}/no-compiler-yet", "-vV")
    return (f"{folder}/rustc" if folder else "rustc", "-vV")


RUSTC = Tool("rustc", argv=_compiler)


def is_ready() -> bool:
    """Does the stamped way still hold? (Its sysroot must still have the targets.)"""
    stamp = wasm_target()
    if os.environ.get(FORCE) == "distro" and stamp.get("way") != "distro":
        return False
    return (
        bool(stamp) and _in_sysroot(stamp["sysroot"]) and (stamp["way"] == "distro" or stamp["sysroot"] == _sysroot())
    )


def _sysroot() -> str | None:
    return output_of("rustc", "--print", "sysroot")


def _stamp(way: str, sysroot: str) -> None:
    paths.TOOLS.mkdir(parents=True, exist_ok=True)
    (paths.TOOLS / "wasm-path").write_text(f"{DISTRO_BIN}:" if way == "distro" else "", encoding="utf-8")
    paths.WASM_TARGET_STAMP.write_text(json.dumps({"way": way, "sysroot": sysroot}), encoding="utf-8")


def install(run: Runner) -> None:
    """Take the first way that works. Raises SetupError that names what was tried."""
    if os.environ.get(FORCE) != "distro":
        sysroot = _sysroot()
        if sysroot is None and shutil.which("apt-get") is None:
            raise SetupError(f"rustc is not on PATH. {CARGO_ADVICE}")
        if sysroot is not None and _in_sysroot(sysroot):
            return _stamp("sysroot", sysroot)
        if sysroot is not None and shutil.which("rustup") is not None:
            added = run(["rustup", "target", "add", *TARGETS])
            if added.status == 0 and _in_sysroot(sysroot):
                return _stamp("rustup", sysroot)
            print(
                f"      rustup could not add {', '.join(TARGETS)}: compiling them from Debian's source package",
                flush=True,
            )
    _compile_from_distribution(run)
    return _stamp("distro", "/usr")


def _compile_from_distribution(run: Runner) -> None:
    """Way 3: build core, alloc and std for both targets with Debian's rustc, and put them into its sysroot."""
    if not (DISTRO_BIN / "rustc").exists() or not any(Path("/usr/src").glob("rustc-*/library/vendor")):
        apt_install(run, *DEBIAN_PACKAGES)
    sources = next(iter(sorted(Path("/usr/src").glob("rustc-*/library/vendor"))), None)
    if sources is None:
        raise SetupError(f"no Rust library sources under /usr/src after installing {', '.join(DEBIAN_PACKAGES)}")
    compiler = output_of(str(DISTRO_BIN / "rustc"), "-vV") or ""
    if all(_made_by(target) == compiler for target in TARGETS):
        return  # another checkout on this machine has done it
    work = paths.BUILD / "run" / "wasm-sysroot"
    shutil.rmtree(work, ignore_errors=True)
    (work / "src").mkdir(parents=True)
    (work / ".cargo").mkdir()
    manifest = '[package]\nname = "sysroot_probe"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n'
    (work / "Cargo.toml").write_text(manifest, encoding="utf-8")
    (work / "src" / "lib.rs").write_text("#![no_std]\n", encoding="utf-8")
    replaced = f'[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "{sources}"\n'
    (work / ".cargo" / "config.toml").write_text(replaced, encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("RUSTUP", "CARGO", "RUSTC"))}
    for target, crates in TARGETS.items():
        words = f"build --release --offline -Zbuild-std={crates} --target {target}"
        command = [str(DISTRO_BIN / "cargo"), *words.split()]
        done = run(command, cwd=work, env={**clean, "PATH": "/usr/bin:/bin", "RUSTC_BOOTSTRAP": "1"})
        if done.status != 0:
            raise SetupError(f"Debian's rustc could not compile the standard library for {target}")
        try:
            _replace_library(target, work / "target" / target / "release" / "deps", compiler)
        except PermissionError as error:
            advice = f"run once as root, or install rustup and its {target} target"
            raise SetupError(f"{error.filename} cannot be written: {advice}") from None
    shutil.rmtree(work, ignore_errors=True)


def _library(target: str) -> Path:
    return Path("/usr/lib/rustlib") / target / "lib"


def _made_by(target: str) -> str | None:
    """What compiled a target's library in Debian's sysroot, where it was us."""
    try:
        return (_library(target) / "compiled-by").read_text(encoding="utf-8")
    except OSError:
        return None


def _replace_library(target: str, compiled: Path, compiler: str) -> None:
    """Put a target's crates in place of what is there: two copies of core beside each other would be ambiguous."""
    library = _library(target)
    fresh, old = library.with_name(f"lib.new-{os.getpid()}"), library.with_name(f"lib.old-{os.getpid()}")
    fresh.mkdir(parents=True)
    for rlib in compiled.glob("*.rlib"):
        if not rlib.name.startswith("libsysroot_probe"):
            shutil.copyfile(rlib, fresh / rlib.name)
    (fresh / "compiled-by").write_text(compiler, encoding="utf-8")
    if library.exists():
        library.rename(old)
    fresh.rename(library)
    shutil.rmtree(old, ignore_errors=True)


WASM_TARGET = Setup(
    "wasm-target",
    "Rust's standard library for wasm: found, added by rustup, or compiled from Debian's sources.",
    is_ready,
    install,
    exclusive="apt",
)
