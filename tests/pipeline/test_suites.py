"""test: what the suites need is there before the first of them begins."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stages import suites, tools
from stages.graph import Setup

Seen = list[str]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Two suites that share a setup; what is installed and run goes to this list."""
    happened: Seen = []

    def setup(name: str) -> Setup:
        return Setup(name, name, lambda: True, lambda run: None)

    def suite(name: str, passes: bool) -> Callable[[], bool]:
        def run() -> bool:
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
    assert suites.run_suites([]) == 1
    assert seen == ["install python", "install browser", "one", "two"]


def test_a_named_suite_installs_its_own_needs_alone(seen: Seen) -> None:
    assert suites.run_suites(["one"]) == 0
    assert seen == ["install python", "one"]


def test_pytest_has_the_browser_that_test_doctor_asks_for() -> None:
    assert {tools.BROWSER, tools.VULKAN} <= set(suites.SUITES["pytest"][1])
