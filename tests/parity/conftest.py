"""The command line program and the devices that the parity tests run it on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.parity.compare import Logits

BUILD = Path(os.environ.get("POCKETLM_BUILD", Path(__file__).resolve().parents[2] / "build"))
LAVAPIPE = Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session")
def cli() -> Run:
    """Run `pocketlm` with arguments. POCKETLM_CLI names another binary; where there is none the tests fail."""
    binary = Path(os.environ.get("POCKETLM_CLI", BUILD / "bin" / "pocketlm"))
    if not binary.is_file():
        pytest.fail(f"{binary} is not there: type `./doitw cli`, or set POCKETLM_CLI to the program")

    def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        # lavapipe alone: other drivers in that folder print errors, and with a real GPU the test would depend on it.
        environment = {**os.environ, "VK_ICD_FILENAMES": str(LAVAPIPE), "VK_DRIVER_FILES": str(LAVAPIPE)}
        command = [str(binary), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, env=environment, timeout=300, check=False)

    return run


@pytest.fixture(scope="session")
def engine_logits(cli: Run) -> Logits:
    """`pocketlm logits`: (T, V) f32 of a model for forced tokens on a device, all at once or in chunks.

    Keys and values are kept in f32 unless `cache` says otherwise, so that nothing is rounded but the weights.
    """

    def logits(path: Path, ids: list[int], device: str, chunk: int | None = None, cache: str = "f32") -> np.ndarray:
        chunks = () if chunk is None else ("--chunk", chunk)
        done = cli("logits", path, "--ids", ",".join(map(str, ids)), "--device", device, "--cache", cache, *chunks)
        assert done.returncode == 0, done.stderr.decode()
        return np.frombuffer(done.stdout, dtype="<f4").reshape(len(ids), -1)

    return logits
