"""The README's two commands on a machine that has nothing but what the README asks for.

Whatever is installed by hand on the machine at hand does not exist there, so a setup that leans on it fails here.
Some 30 minutes and 15 GB; the times are printed (`pytest --slow -s`), and the logs are kept under build/run/bare/.
"""

from __future__ import annotations

import time

import pytest

from stages import paths
from tests.pipeline import bare_root

pytestmark = pytest.mark.slow


def test_the_two_commands(capsys: pytest.CaptureFixture[str]) -> None:
    why_not = bare_root.missing()
    if why_not is not None:
        pytest.skip(why_not)
    logs = paths.BUILD / "run" / "bare"
    logs.mkdir(parents=True, exist_ok=True)
    with bare_root.bare_root() as root:
        for number, command in enumerate(("./doitw", "./doitw test"), 1):
            log = logs / f"{number}.log"
            began = time.monotonic()
            status = root.type(command, log)
            with capsys.disabled():
                print(f"\n{command}: exit {status} after {time.monotonic() - began:.0f} s; {log}", flush=True)
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            assert status == 0, "\n".join([f"{command} was exit {status}; the whole log is {log}", *lines[-80:]])
