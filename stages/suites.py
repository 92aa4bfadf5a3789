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
from dataclasses import dataclass
from pathlib import Path

from stages import check, paths, tools
from stages.graph import Setup
from stages.graph.run.setup import ensure
from stages.project import GRAPH

MOST_WORKERS = 4  # of pytest: each holds a torch of its own
WAITING = 1  # of them, on the mean: a third of a core was left by as many workers as cores
RANDOM_BUNDLES, SLOW_BUNDLES = (0, 2), (0, 1, 2)  # the shapes of tests/e2e/random_bundle.py
PARITY_ALONE = ["parity.spec.ts"]


@dataclass(frozen=True)
class Chosen:
    """What is run of each suite."""

    slow: bool = False  # also the tests that take minutes
    gpu: bool = True  # also those that want a graphics driver, if only a software one


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


def checks(_: Chosen) -> bool:
    """The checks of the sources (doit check)."""
    return check.run_checks([]) == 0


def pytest(chosen: Chosen) -> bool:
    """pytest: stage engine, tokenizer, training, shaders, parity."""
    # Small tensors on two threads that spin are slower than on one, and another worker uses the other core. Ray's
    # processes have the niceness 15 and would wait for all other tests.
    env = {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    command: list[str | Path] = [paths.VENV / "bin" / "python", "-m", "pytest", "-q", "--durations=10"]
    command += ["--slow"] if chosen.slow else []
    but = "" if chosen.gpu else " and not gpu"
    # The driver must not come into a process that may import triton later, and times are compared in quiet.
    groups = ["not driver and not alone", *(["driver"] if chosen.gpu else [])]
    side_by_side = [f"--numprocesses={min(MOST_WORKERS, (os.cpu_count() or 1) + WAITING)}", "--dist=worksteal"]
    runs = [*([*command, *side_by_side, "-m", f"{group}{but}"] for group in groups), [*command, "-m", f"alone{but}"]]
    passed = [_run(run, paths.ROOT, env) for run in runs]  # each is run, whatever came before
    return all(passed)


def cargo(chosen: Chosen) -> bool:
    """cargo test: tokenizer core, model format, CPU backend, WebGPU backend on a software driver."""
    command = ["cargo", "test", "--quiet", "--profile", "tests", "--locked"]
    if chosen.gpu:
        return _run([*command, "--workspace"], paths.ROOT)
    engine = "pocketlm-inference"
    named = [word for name in cpu_tests(paths.ROOT / "rust" / "inference") for word in ("--test", name)]
    others = _run([*command, "--workspace", "--exclude", engine], paths.ROOT)
    return _run([*command, "--package", engine, "--lib", *named], paths.ROOT) and others


def cpu_tests(crate: Path) -> list[str]:
    """The names of a crate's integration tests that want no adapter: all but gpu_*.rs."""
    found = sorted(path.stem for path in (crate / "tests").glob("*.rs"))
    return [name for name in found if not name.startswith("gpu_")]


def vitest(_: Chosen) -> bool:
    """Vitest: the page's state machine, protocol and components; the package, packed as others get it."""
    with check.web_copy(paths.ROOT) as copy:
        return _run(["npm", "run", "--silent", "test"], copy, {"POCKETLM_NPM": str(paths.NPM)})


def e2e(chosen: Chosen) -> bool:
    """Playwright: the page in real Chromium, on WebGPU and on the CPU; its logits against torch's."""
    trained, default = (paths.preset_dir(preset) / "web" for preset in (paths.TEST_PRESET, paths.DEFAULT_PRESET))
    with check.web_copy(paths.ROOT) as copy, tempfile.TemporaryDirectory(prefix="pocketlm-e2e-") as folder:
        bundles: list[tuple[Path, list[str]]] = [(trained, [])]
        for index in SLOW_BUNDLES if chosen.slow else RANDOM_BUNDLES:
            random = Path(folder) / f"random-{index}"
            if not _module("tests.e2e.random_bundle", trained, random, index):
                return False
            bundles.append((random, PARITY_ALONE))
        bundles += [
            (web, [] if chosen.slow and web == default else PARITY_ALONE)
            for web in sorted(found.parent for found in paths.BUILD.glob("*/web/model.bin"))
            if web != trained and not (web.parent / ".current" / "import").exists()  # too large to compare with torch
        ]
        for number, (bundle, specs) in enumerate(bundles):
            print(f"   bundle: {bundle}", flush=True)
            made = Path(folder) / f"models-{number}"
            made.mkdir()
            env = _e2e_environment(bundle, made, None if specs == PARITY_ALONE else chosen)
            if env is None or not _run(["npm", "run", "--silent", "e2e", "--", *specs], copy, env):
                return False
    return True


def _e2e_environment(bundle: Path, made: Path, chosen: Chosen | None) -> dict[str, str] | None:
    """The variables of tests/e2e/environment.ts for a bundle; whatever they name and is not there is written to `made`.

    `chosen` is None where only the parity with torch is tested, which wants no other model. None if one was not made.
    """
    model = bundle / "model.bin"
    env = {
        "E2E_BUNDLE": str(bundle),
        "E2E_EXPECTED": str(made / "expected.json"),
        "E2E_CHROMIUM": tools.chromium() or "",
        "E2E_OUT": str(paths.BUILD / "run" / "e2e"),
        **dict.fromkeys(("E2E_LARGE", "E2E_SMOLLM2", "E2E_SMOLLM2_GGUF"), ""),
    }
    done = _module("tests.e2e.expected", model, env["E2E_EXPECTED"])
    if chosen is not None:
        env |= {
            "E2E_HOSTILE": str(made / "hostile.bin"),
            "E2E_CHAT": str(made / "chat.bin"),
            "E2E_GGUF": str(made / "gguf"),
            "E2E_FIREFOX": tools.firefox() or "",
            "E2E_NPM": str(paths.NPM),
            "E2E_EMBEDDING": str(paths.ROOT / "docs" / "EMBEDDING.md"),
        }
        done = done and _module("tests.e2e.hostile_model", env["E2E_HOSTILE"])
        done = done and _module("tests.e2e.chat_model", model, env["E2E_CHAT"])
        done = done and _module("tests.e2e.gguf_models", model, env["E2E_GGUF"])
        if chosen.slow:
            env["E2E_LARGE"] = str(made / "large.bin")
            done = done and _module("tests.e2e.large_model", model, env["E2E_LARGE"])
            # Whatever the bundle, this model is the same: once is enough.
            if bundle == paths.preset_dir(paths.TEST_PRESET) / "web":
                real = paths.preset_dir("smollm2")
                named = {"E2E_SMOLLM2": real / "model.bin", "E2E_SMOLLM2_GGUF": real / "model.gguf"}
                env |= {name: str(file) for name, file in named.items() if file.is_file()}
    return env if done else None


def _module(name: str, *words: str | Path | int) -> bool:
    """Run a Python module of the tests."""
    return _run([paths.VENV / "bin" / "python", "-m", name, *map(str, words)], paths.ROOT)


NEEDED_BY_GPU_TESTS = (tools.VULKAN, tools.BROWSER)
SUITES: dict[str, tuple[Callable[[Chosen], bool], tuple[Setup, ...]]] = {
    "check": (checks, ()),
    "pytest": (
        pytest,
        (tools.TORCH, tools.TEST_PYTHON, tools.LLAMA_CPP, tools.NODE_PACKAGES, tools.VULKAN, tools.BROWSER),
    ),
    "cargo": (cargo, (tools.CARGO, tools.VULKAN)),
    "vitest": (vitest, (tools.NODE_PACKAGES,)),
    "e2e": (e2e, (tools.TORCH, tools.NODE_PACKAGES, tools.BROWSER)),
}


def needs(names: Sequence[str], chosen: Chosen) -> list[Setup]:
    """Whatever any of the suites needs, each once."""
    found = dict.fromkeys(setup for name in names for setup in SUITES[name][1])
    return [setup for setup in found if chosen.gpu or setup not in NEEDED_BY_GPU_TESTS]


def run_suites(names: Sequence[str], chosen: Chosen) -> int:
    """Run suites by name (all where none is named; without a GPU all but e2e); returns how many failed.

    Whatever any of them needs is installed before the first begins: no suite leans on what an earlier one left.
    """
    results: list[tuple[str, bool, float, str]] = []
    names = names or [name for name in SUITES if chosen.gpu or name != "e2e"]
    for setup in needs(names, chosen):
        ensure(GRAPH.session, setup)
    for name in names:
        suite = SUITES[name][0]
        print(f"\n── {name}: {suite.__doc__}", flush=True)
        began = time.monotonic()
        passed = suite(chosen)
        results.append((name, passed, time.monotonic() - began, suite.__doc__ or ""))
    print(flush=True)
    for name, passed, seconds, doc in results:
        print(f"{'pass' if passed else 'FAIL'}  {name:8} {seconds:6.0f} s  {doc}")
    failed = sum(not passed for _, passed, _, _ in results)
    print(f"suites: {len(results) - failed} passed, {failed} failed")
    sys.stdout.flush()
    return failed
