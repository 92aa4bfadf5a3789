"""What the tests find beside the sources: the tokenizer's wheel and the artifacts that `./doitw test` has built."""

from __future__ import annotations

import os
import sys

import pytest

from stages.paths import ROOT, WHEEL

if WHEEL.is_dir():
    sys.path.insert(0, str(WHEEL))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(WHEEL), os.environ.get("PYTHONPATH", "")]).rstrip(
        os.pathsep
    )


def pytest_configure(config: pytest.Config) -> None:
    """Plain `pytest` works after a build; before it, say what to type."""
    if not WHEEL.is_dir():
        raise pytest.UsageError(
            "the tokenizer's wheel is not built: type `./doitw test`, or `./doitw wheel cli` and then pytest"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The shaders last: the software Vulkan driver and triton, which torch.optim imports, hold LLVMs of their own.

    Importing triton after the driver was loaded ended the process with a segmentation fault.
    """
    items.sort(key=lambda item: "shaders" in item.path.parts)
