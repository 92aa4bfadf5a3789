"""test: what the suites need is there before the first of them begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stages import paths, suites, tools
from stages.graph import Setup
from stages.suites import Chosen

pytest_plugins = ["pytester"]

Seen = list[str]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Two suites that share a setup; what is installed and run goes to this list."""
    happened: Seen = []

    def setup(name: str) -> Setup:
        return Setup(name, name, lambda: True, lambda run: None)

    def suite(name: str, passes: bool) -> Callable[[Chosen], bool]:
        def run(_: Chosen) -> bool:
            """A suite."""
            happened.append(name)
            return passes

        return run

    shared, browser = setup("install python"), setup("install browser")
    monkeypatch.setattr(
        suites, "SUITES", {"one": (suite("one", True), (shared,)), "two": (suite("two", False), (shared, browser))}
    )
    monkeypatch.setattr(suites, "ensure", lambda _, each: happened.append(each.name))
    return happened


def test_everything_is_installed_once_before_the_first_suite(seen: Seen) -> None:
    assert suites.run_suites([], Chosen()) == 1
    assert seen == ["install python", "install browser", "one", "two"]


def test_a_named_suite_installs_its_own_needs_alone(seen: Seen) -> None:
    assert suites.run_suites(["one"], Chosen()) == 0
    assert seen == ["install python", "one"]


def test_pytest_has_the_browser_that_test_doctor_asks_for() -> None:
    assert {tools.BROWSER, tools.VULKAN} <= set(suites.SUITES["pytest"][1])


def test_without_a_gpu_neither_driver_nor_browser_is_installed() -> None:
    without = [tools.TORCH, tools.TEST_PYTHON, tools.LLAMA_CPP, tools.NODE_PACKAGES, tools.CARGO]
    assert suites.needs(["pytest", "cargo"], Chosen(gpu=False)) == without


def test_without_a_gpu_every_suite_but_e2e_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    table = {name: (lambda _, name=name: not ran.append(name), ()) for name in suites.SUITES}
    monkeypatch.setattr(suites, "SUITES", table)
    assert suites.run_suites([], Chosen(gpu=False)) == 0
    assert ran == ["check", "pytest", "cargo", "vitest"]


def test_cargo_without_a_gpu_names_the_tests_that_want_none(tmp_path: Path) -> None:
    (tmp_path / "tests" / "shared").mkdir(parents=True)
    for name in ("format", "gpu_engine", "cpu_ops"):
        (tmp_path / "tests" / f"{name}.rs").touch()
    assert suites.cpu_tests(tmp_path) == ["cpu_ops", "format"]


def test_what_asks_for_an_adapter_is_a_gpu_test() -> None:
    """Rust's by their file's name, which is what --no-gpu goes by."""
    crate = paths.ROOT / "rust" / "inference" / "tests"
    asking = {path.stem for path in crate.glob("*.rs") if "gpu_support" in path.read_text(encoding="utf-8")}
    assert asking and {name for name in asking if not name.startswith("gpu_")} == set()


def test_what_runs_on_a_device_is_a_gpu_test(pytester: pytest.Pytester) -> None:
    """The shaders' tests, what has the device "gpu", and what is marked: by the hook of tests/conftest.py."""
    hook = (paths.ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
    pytester.makeconftest(hook.replace("if not WHEEL.is_dir():", "if False:"))
    pytester.makepyprojecttoml((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parametrized = "import pytest\n@pytest.mark.parametrize('device', ['cpu', 'gpu'])\ndef test_parity(device): pass\n"
    marked = "import pytest\n@pytest.mark.gpu\ndef test_marked(): pass\n"
    for name, text in {"a": parametrized, "b": marked, "shaders/c": "def test_kernel(): pass\n"}.items():
        path = pytester.path / f"{name}_test.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def collected(*words: str) -> list[str]:
        done = pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:xdist", *words)
        return sorted(line.partition("::")[2] for line in done.outlines if "::" in line)

    assert collected("-m", "gpu") == ["test_kernel", "test_marked", "test_parity[gpu]"]
    assert collected("-m", "not gpu") == ["test_parity[cpu]"]
    assert collected("-m", "driver") == ["test_kernel"]
