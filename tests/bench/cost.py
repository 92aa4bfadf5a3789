"""What a command costs, with all that it starts and waits for."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def run(argv: Sequence[str | Path], folder: Path, env: Mapping[str, str], log: Path) -> tuple[float, float]:
    """(seconds on the clock, CPU seconds) of a command in a folder. log: the file for what it prints.

    Raises RuntimeError where it fails.
    """
    began = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(argv, cwd=folder, stdout=file, stderr=file, env=env)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            process.kill()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(map(str, argv))} ended with {process.returncode}:\n{said}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime
