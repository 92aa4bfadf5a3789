"""test: every suite, one after another, on what the build made: `doit test`, `doit test pytest cargo --slow`.

In: the results of the graph on the `tiny` preset. Out: the suites' own output, then a table; the number of suites
that failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from stages import check, paths, tools
from stages.graph import Setup
from stages.graph.run.setup import ensure
from stages.project import GRAPH

RANDOM_BUNDLES = 2  # tests/e2e/random_bundle.py has as many shapes
PARITY_ALONE = ["parity.spec.ts"]


def environment() -> dict[str, str]:
    """Variables that every suite gets: where the artifacts are, and the software Vulkan driver where there is one."""
    env = {
        **os.environ,
        "POCKETLM_CLI": str(paths.CLI),
        "POCKETLM_BUILD": str(paths.BUILD),
        "PYTHONPATH": os.pathsep.join([str(paths.ROOT), str(paths.WHEEL)]),
        "CARGO_TARGET_DIR": str(paths.CARGO_TARGET),
        "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", tempfile.gettempdir()),
    }
    icd = tools.lavapipe_icd()
    if icd is not None:
        env["VK_ICD_FILENAMES"] = env["VK_DRIVER_FILES"] = str(icd)  # any other driver beside it prints errors
    return env


def _run(argv: Sequence[str | Path], cwd: Path, env: dict[str, str] | None = None) -> bool:
    return (
        subprocess.run(
            [str(word) for word in argv], cwd=cwd, env={**environment(), **(env or {})}, stdin=subprocess.DEVNULL
        ).returncode
        == 0
    )


def checks() -> bool:
    """The checks of the sources (doit check)."""
    return check.run_checks([]) == 0


def pytest(slow: bool = False) -> bool:
    """pytest: stage engine, tokenizer, training, shaders, parity."""
    # Small tensors on two threads that spin are slower than on one, and the suites' own children use the other core.
    command: list[str | Path] = [paths.VENV / "bin" / "python", "-m", "pytest", "-q", "--durations=10"]
    command += ["--slow"] if slow else []
    return _run(command, paths.ROOT, {"OMP_NUM_THREADS": "1"})


def cargo() -> bool:
    """cargo test: tokenizer core, model format, CPU backend, WebGPU backend on a software driver."""
    return _run(["cargo", "test", "--quiet", "--release", "--workspace", "--locked"], paths.ROOT)


def vitest() -> bool:
    """Vitest: the page's state machine, protocol and components."""
    return _run(["npm", "run", "--silent", "test"], check.web_copy(paths.ROOT))


def e2e() -> bool:
    """Playwright: the page in real Chromium, on WebGPU and on the CPU; its logits against torch's."""
    python = paths.VENV / "bin" / "python"
    trained = paths.preset_dir(paths.TEST_PRESET) / "web"
    copy = check.web_copy(paths.ROOT)
    with tempfile.TemporaryDirectory(prefix="pocketlm-e2e-") as folder:
        hostile = Path(folder) / "hostile.bin"
        if not _run([python, "-m", "tests.e2e.hostile_model", hostile], paths.ROOT):
            return False
        bundles: list[tuple[Path, list[str]]] = [(trained, [])]
        for index in range(RANDOM_BUNDLES):
            made = Path(folder) / f"random-{index}"
            if not _run([python, "-m", "tests.e2e.random_bundle", trained, made, str(index)], paths.ROOT):
                return False
            bundles.append((made, PARITY_ALONE))
        bundles += [
            (web, PARITY_ALONE)
            for web in sorted(found.parent for found in paths.BUILD.glob("*/web/model.bin"))
            if web != trained
        ]
        for number, (bundle, words) in enumerate(bundles):
            print(f"   bundle: {bundle}", flush=True)
            expected = Path(folder) / f"expected-{number}.json"
            env = {
                "E2E_BUNDLE": str(bundle),
                "E2E_EXPECTED": str(expected),
                "E2E_HOSTILE": str(hostile),
                "E2E_CHROMIUM": tools.chromium() or "",
            }
            if not _run([python, "-m", "tests.e2e.expected", bundle / "model.bin", expected], paths.ROOT):
                return False
            if not _run(["npm", "run", "--silent", "e2e", "--", *words], copy, env):
                return False
    return True


SUITES: dict[str, tuple[Callable[[], bool], tuple[Setup, ...]]] = {
    "check": (checks, ()),
    "pytest": (pytest, (tools.TORCH, tools.TEST_PYTHON, tools.VULKAN, tools.BROWSER)),
    "cargo": (cargo, (tools.CARGO, tools.VULKAN)),
    "vitest": (vitest, (tools.NODE_PACKAGES,)),
    "e2e": (e2e, (tools.TORCH, tools.NODE_PACKAGES, tools.BROWSER)),
}


def run_suites(names: Sequence[str], slow: bool = False) -> int:
    """Run suites by name (all where none is named), with pytest's slow tests or without; returns how many failed.

    Whatever any of them needs is installed before the first begins: no suite leans on what an earlier one left.
    """
    results: list[tuple[str, bool, float, str]] = []
    for setup in dict.fromkeys(setup for name in names or SUITES for setup in SUITES[name][1]):
        ensure(GRAPH.session, setup)
    for name in names or SUITES:
        suite = SUITES[name][0]
        print(f"\n── {name}: {suite.__doc__}", flush=True)
        began = time.monotonic()
        passed = pytest(slow) if suite is pytest else suite()
        results.append((name, passed, time.monotonic() - began, suite.__doc__ or ""))
    print(flush=True)
    for name, passed, seconds, doc in results:
        print(f"{'pass' if passed else 'FAIL'}  {name:8} {seconds:6.0f} s  {doc}")
    failed = sum(not passed for _, passed, _, _ in results)
    print(f"suites: {len(results) - failed} passed, {failed} failed")
    sys.stdout.flush()
    return failed
