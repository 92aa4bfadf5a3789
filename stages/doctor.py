"""doctor: is this machine ready? Every tool that the build and the tests use: found, needed, how to mend it.

In: the machine. Out: a list of `Finding`s and an exit status, 1 where the default build would fail. Nothing is
installed or changed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stages import paths, probes, tools, wasm_target
from stages.tools import output_of

OK, TO_COME, FOR_TESTS, MISSING = "ok", "to come", "tests only", "missing"
ADVICE_RUSTUP = f"`rustup target add {' '.join(wasm_target.TARGETS)}`"

DISK_GB = {"train": 5.5, "tools": 1.0, "build": 3.0, "test": 1.5}  # what each takes, rounded up
MEMORY_GB = 2.0

DOIT = f"doit=={tools.locked_version('doit', 'base')}"
REGISTRIES = {  # a question that each answers soon
    "PyPI": (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", DOIT),
    "npm registry": ("npm", "view", "react", "version", "--silent"),
    "crates": ("cargo", "info", "--quiet", "bytemuck"),
}


@dataclass(frozen=True)
class Finding:
    """One row."""

    name: str
    state: str  # OK; TO_COME: the build installs it; FOR_TESTS: not there, only tests want it; MISSING: a build fails
    found: str
    needed: str
    mend: str = ""


def versions(text: str | None) -> tuple[int, ...]:
    """(1, 95, 0) of "rustc 1.95.0 (…)"; () where there is no number."""
    found = re.search(r"\d+(?:\.\d+)+", text or "")
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _program(name: str, oldest: tuple[int, ...], mend: str, words: Sequence[str] = ("--version",)) -> Finding:
    """A program that a person has to install."""
    needed = f">= {'.'.join(map(str, oldest))}" if oldest else "any"
    said = output_of(name, *words)
    if said is None:
        found = "not on PATH" if shutil.which(name) is None else f"{shutil.which(name)} does not run"
        return Finding(name, MISSING, found, needed, mend)
    line = said.splitlines()[0] if said else "there"
    state = OK if not oldest or versions(line) >= oldest else MISSING
    return Finding(name, state, line, needed, "" if state == OK else mend)


def _python() -> Iterator[Finding]:
    yield Finding("python", OK, sys.version.split()[0], ">= 3.11")
    for name, setup, state in (("torch", tools.TORCH, TO_COME), ("test packages", tools.TEST_PYTHON, FOR_TESTS)):
        ready = setup.is_ready()
        found = "in .venv" if ready else "not in .venv yet"
        if ready and name == "torch":
            found = f"{tools.locked_version('torch')} in .venv"
        yield Finding(name, OK if ready else state, found, f"locks/{setup.name}.txt")


def rust_oldest() -> tuple[int, ...]:
    """The compiler that Cargo.toml asks for."""
    return versions(
        next(
            line
            for line in (paths.ROOT / "Cargo.toml").read_text(encoding="utf-8").splitlines()
            if "rust-version" in line
        )
    )


def _rust() -> Iterator[Finding]:
    yield _program("cargo", rust_oldest(), tools.CARGO_ADVICE)
    yield _program("rustc", rust_oldest(), tools.CARGO_ADVICE)
    yield _linker()
    yield _wasm_target()
    ready = tools.WASM_TOOLS.is_ready()
    pins = ", ".join(f"{name} {version}" for name, version in tools.WASM_PINS.items())
    yield Finding("wasm tools", OK if ready else TO_COME, "in build/tools" if ready else "not compiled yet", pins)


def _linker() -> Finding:
    found = tools.linker()
    if found is not None:
        return Finding("C linker", OK, found, "cc")
    packages = " ".join(tools.LINKER_PACKAGES)
    if shutil.which("apt-get") is not None and os.geteuid() == 0:
        return Finding("C linker", TO_COME, "not on PATH", "cc", f"The build types `apt-get install {packages}`.")
    mend = f"Debian: `apt-get install {packages}`; macOS: `xcode-select --install`."
    return Finding("C linker", MISSING, "not on PATH", "cc", mend)


def _wasm_target() -> Finding:
    name, needed = "wasm target", ", ".join(wasm_target.TARGETS)
    if wasm_target.is_ready():
        return Finding(name, OK, f"by {wasm_target.wasm_target()['way']}", needed)
    if shutil.which("rustup") is not None:
        return Finding(name, TO_COME, "not there yet", needed, f"The build tries {ADVICE_RUSTUP}.")
    if shutil.which("apt-get") is not None and os.geteuid() == 0:
        return Finding(name, TO_COME, "not there yet", needed, "The build compiles it from Debian's Rust sources.")
    packages = " ".join(wasm_target.DEBIAN_PACKAGES)
    mend = f"Install rustup and type {ADVICE_RUSTUP}; or, on Debian: `sudo apt-get install {packages}`."
    return Finding(name, MISSING, "not there", needed, mend)


def _node() -> Iterator[Finding]:
    yield _program("node", (tools.NODE_MIN, 0), tools.NODE_ADVICE)
    yield _program("npm", (), tools.NODE_ADVICE)
    ready = tools.NODE_PACKAGES.is_ready()
    found = "in build/tools/node" if ready else "not installed yet"
    yield Finding("npm packages", OK if ready else TO_COME, found, "web/package-lock.json")


def free_gb(folder: Path) -> float:
    """GB free for us where `folder` is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e9


def memory_gb() -> float | None:
    """GB of memory that this process may use; None where the system does not say."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (OSError, ValueError):
        return None
    limits = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    for limit in limits:
        try:
            total = min(total, int(limit.read_text(encoding="utf-8")) / 1e9)
        except (OSError, ValueError):
            continue
    return total


def _machine() -> Iterator[Finding]:
    to_come = {"train": tools.TORCH, "tools": tools.WASM_TOOLS, "test": tools.TEST_PYTHON}
    needed = sum(DISK_GB[name] for name, setup in to_come.items() if not setup.is_ready())
    needed += 0.5 if paths.WHEEL.exists() else DISK_GB["build"]
    free = free_gb(paths.BUILD)
    enough = free >= needed
    mend = "" if enough else "Make room, or choose another place: POCKETLM_BUILD=/path/with/room; `./doitw gc` helps."
    yield Finding("disk", OK if enough else MISSING, f"{free:.1f} GB free", f"{needed:.1f} GB", mend)
    memory = memory_gb()
    if memory is not None:
        enough = memory >= MEMORY_GB
        mend = "" if enough else "Compiling may be killed: set CARGO_BUILD_JOBS=1, and add swap."
        yield Finding("memory", OK if enough else MISSING, f"{memory:.1f} GB", f"{MEMORY_GB:.0f} GB", mend)
    place = next(folder for folder in (paths.BUILD, *paths.BUILD.parents) if folder.exists())
    writable = os.access(place, os.W_OK)
    mend = "" if writable else f"Run as the owner of {place}, or set POCKETLM_BUILD=/a/folder/of/yours."
    yield Finding("build folder", OK if writable else MISSING, str(paths.BUILD), "may be written", mend)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("processors", OK, str(processors), "any; 2 for the times in the README")


def _graphics() -> Iterator[Finding]:
    driver = probes.vulkan()
    mend = "Debian: `apt-get install mesa-vulkan-drivers libvulkan1`; `./doitw test` does it as root."
    state = OK if driver.works else FOR_TESTS
    yield Finding("Vulkan", state, driver.text, "for the CLI on a GPU, and tests", "" if driver.works else mend)
    program = tools.chromium()
    if program is None:
        mend = "Debian: `apt-get install chromium`; or name one: POCKETLM_CHROMIUM=/path/to/chrome."
        yield Finding("Chromium", FOR_TESTS, "not on PATH", "for the tests of the page", mend)
        return
    browser = probes.webgpu(program)
    yield Finding("Chromium", OK, program, "for the tests of the page")
    state = OK if browser.works else FOR_TESTS
    mend = "" if browser.works else "The page then computes on the CPU; the tests of WebGPU would fail."
    yield Finding("WebGPU", state, browser.text, "the page takes the CPU where there is none", mend)


def _network(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Asked only while something is still to be fetched."""
    if not any(found.state == TO_COME for found in findings):
        return
    for name, argv in REGISTRIES.items():
        if shutil.which(argv[0]) is None:
            continue
        answers = probes.answers(argv)
        mend = "" if answers else f"`{' '.join(argv)}` fails. Check network, proxy and the registry's settings."
        yield Finding(name, OK if answers else MISSING, "answers" if answers else "does not answer", "", mend)


def _elsewhere() -> Iterator[Finding]:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    for name, package, needed in (
        ("ssh", "openssh-client", 'for stages that run elsewhere (on = "ssh://...")'),
        ("sshd", "openssh-server", "for the tests of that, which do with less"),
    ):
        found = shutil.which(name, path=path)
        mend = "" if found else f"Debian: `apt-get install {package}`."
        yield Finding(name, OK if found else FOR_TESTS, found or "not on PATH", needed, mend)


SECTIONS: tuple[Callable[[], Iterator[Finding]], ...] = (_machine, _python, _rust, _node, _graphics, _elsewhere)


def examine() -> list[Finding]:
    """Look at everything; some five seconds."""
    findings = [finding for section in SECTIONS for finding in section()]
    return [*findings, *_network(findings)]


def report(findings: Sequence[Finding], as_json: bool = False) -> str:
    """The table, or JSON: a list of {name, state, found, needed, mend}."""
    if as_json:
        return json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False)
    widths = [max(len(getattr(each, column)) for each in findings) for column in ("state", "name", "found")]
    widths[2] = min(widths[2], 44)
    lines = []
    for each in findings:
        row = f"{each.state:<{widths[0]}}  {each.name:<{widths[1]}}  {each.found:<{widths[2]}}  {each.needed}"
        lines.append(row.rstrip())
        if each.mend:
            lines.append(f"{'':<{widths[0]}}  {'':<{widths[1]}}  → {each.mend}")
    bad = [each.name for each in findings if each.state == MISSING]
    later = [each.name for each in findings if each.state == TO_COME]
    lines.append("")
    if bad:
        lines.append(f"The build would fail: {', '.join(bad)}.")
    elif later:
        lines.append(f"Ready. The first build fetches or compiles: {', '.join(later)}.")
    else:
        lines.append("Ready.")
    return "\n".join(lines)


def exit_status(findings: Sequence[Finding]) -> int:
    """1 where the default build would fail."""
    return 1 if any(finding.state == MISSING for finding in findings) else 0
