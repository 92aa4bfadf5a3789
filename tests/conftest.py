"""What the tests find beside the sources: the tokenizer's wheel and the artifacts that `./doitw test` has built."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from stages.paths import ROOT, WHEEL

if WHEEL.is_dir():
    sys.path.insert(0, str(WHEEL))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(WHEEL), os.environ.get("PYTHONPATH", "")]).rstrip(
        os.pathsep
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slow`, which `doit test --slow` passes on."""
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too: minutes each, real compilers")


def pytest_configure(config: pytest.Config) -> None:
    """Plain `pytest` works after a build; before it, say what to type."""
    if not WHEEL.is_dir():
        raise pytest.UsageError(
            "the tokenizer's wheel is not built: type `./doitw test`, or `./doitw wheel cli` and then pytest"
        )
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Commands that a shell runs in the background ignore it, and so would all that the tests start and interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_server_is_left() -> Iterator[None]:
    """A test ends the servers that it has started: one whose socket is closed alone takes a whole core from then on."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if "serve_forever" in thread.name:
            thread.join(timeout=60)
            assert not thread.is_alive(), f"{thread.name} still serves"


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests only where they are asked for; and the shaders last. Marks what uses a graphics driver.

    The software Vulkan driver and triton, which torch.optim imports, hold LLVMs of their own.
    Importing triton after the driver was loaded ended the process with a segmentation fault.
    """
    for item in items:
        shaders = "shaders" in item.path.parts
        if shaders or (isinstance(item, pytest.Function) and _device(item) == "gpu"):
            item.add_marker(pytest.mark.gpu)
        if shaders:
            item.add_marker(pytest.mark.driver)
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    items.sort(key=lambda item: "shaders" in item.path.parts)


def _device(test: pytest.Function) -> object:
    """The parameter `device` of a test that has one."""
    return test.callspec.params.get("device") if hasattr(test, "callspec") else None
