"""The other side: a program that is sent to where a command is to run, and obeys what comes in on standard input.

    python3 -c BOOT        this text is the first that it reads (connection.py)

A request is one line of JSON, with the name of a function below as "do"; bytes may follow. Each is answered by lines of
JSON, the last one without "more". Any request may be made again after a connection was lost. Everything lies below one
folder, the base:

    files/SHA256       what commands read, by content; what nobody used for KEPT_DAYS goes
    env/DIGEST         Python environments, each made once
    partial/NAME       what interrupted commands go on from
    runs/NAME          a command (runner.py): spec.json, src, in, root, out, `output`, status.json at its end

Standard library alone, from Python 3.9 on.
"""

from __future__ import annotations

import json
import subprocess
import sys

from .commands import follow, forget, get, made, others, start, state, stop
from .stock import hello, missing, prepare, put, versions
from .talk import Refused, answer

MARK = b"\0there\n"  # what a login script prints comes before it


def serve() -> None:
    """Obey until the input ends."""
    sys.stdout.buffer.write(MARK)
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            DO[request.pop("do")](**request)
        except (Refused, OSError, subprocess.SubprocessError) as error:
            answer(error=str(error))


DO = {
    each.__name__: each
    for each in (hello, versions, missing, put, prepare, state, start, follow, made, get, stop, forget, others)
}
