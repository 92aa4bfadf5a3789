"""The runner: runs one command elsewhere, in a session of its own, whoever is connected meanwhile.

    python3 -I -S runner.py FOLDER

In the folder: spec.json (job.py), supervisor.py and the rest that was sent. What the command prints goes to `output`,
how it ended to status.json; as long as it runs `lock` is held (flock), and `pid` says who this is. SIGTERM asks the
command to end, a second one leaves it no time. Standard library alone, from Python 3.9 on.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any

LOOK_S = 0.5
Spec = dict[str, Any]


def execute(folder: str) -> None:
    """Run the command of a folder under its supervisor."""
    with open(f"{folder}/spec.json", encoding="utf-8") as file:
        spec = json.load(file)
    lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX)
    output = os.open(f"{folder}/output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    theirs, ours = os.pipe()
    asked: list[bool] = []
    running: list[subprocess.Popen[bytes]] = []

    def end(*_: object) -> None:
        asked.append(True)
        if len(asked) == 1:
            os.close(ours)
        elif running:
            running[0].terminate()

    signal.signal(signal.SIGTERM, end)
    with open(f"{folder}/pid.new", "w", encoding="utf-8") as file:
        file.write(str(os.getpid()))
    os.rename(f"{folder}/pid.new", f"{folder}/pid")
    if spec["ray"]:
        threading.Thread(target=_watch_stopped, args=(folder,), daemon=True).start()
    held = _hold_partial(spec, output, asked)
    if asked:
        _end(folder, 128 + signal.SIGTERM, time.time(), 0.0)
        return
    env = _environment(spec)
    _write_rules(folder, spec, env)
    env["STAGE_AUDIT"] = f"{folder}/audit-rules.txt"
    env["PYTHONPATH"] = os.pathsep.join([f"{folder}/child", *filter(None, [env.get("PYTHONPATH")])])
    argv = [sys.executable, "-I", "-S", f"{folder}/supervisor.py", spec["grace"], spec["background"], *spec["argv"]]
    source, printed = _terminal(spec["terminal"]) if spec["terminal"] else (None, output)
    started, began = time.time(), time.monotonic()
    running.append(
        subprocess.Popen(
            argv, cwd=spec["cwd"], env=env, stdin=theirs, stdout=printed, stderr=printed, start_new_session=True
        )
    )
    os.close(theirs)
    if source is not None:
        os.close(printed)
        while data := _read(source):
            os.write(output, data)
    status = running[0].wait()
    _end(folder, status, started, time.monotonic() - began)
    os.close(held)


def _watch_stopped(folder: str) -> None:
    """Take the file `stopped` for a SIGTERM: Ray has no way to signal this process alone, its own stop signals every
    process below a job at once.
    """
    while not os.path.exists(f"{folder}/stopped"):
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _end(folder: str, status: int, started: float, seconds: float) -> None:
    with open(f"{folder}/status.json.new", "w", encoding="utf-8") as file:
        json.dump({"status": status, "seconds": seconds, "started": started}, file)
    os.rename(f"{folder}/status.json.new", f"{folder}/status.json")


def _hold_partial(spec: Spec, output: int, asked: list[bool]) -> int:
    """Wait until no other command goes on from the same folder, or this one is asked to end; returns what holds it."""
    path, told = spec["partial"], False
    if not path:
        return os.open(os.devnull, os.O_RDONLY)
    while True:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the one before has just removed the folder around it
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == os.stat(f"{path}.lock").st_ino:  # else the one before has just removed it
                os.makedirs(path, exist_ok=True)
                return lock
        except OSError:
            if not told:
                os.write(output, b"waits for another command that uses the same checkpoints\n")
            told = True
        if asked:
            return lock
        os.close(lock)
        time.sleep(LOOK_S)


def _terminal(size: list[int]) -> tuple[int, int]:
    """A new terminal of [rows, columns]: (our end, the command's end)."""
    import pty
    import struct
    import termios
    import tty

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    tty.setraw(theirs)
    return ours, theirs


def _read(source: int) -> bytes:
    try:
        return os.read(source, 65536)
    except OSError:  # a terminal whose last user is gone says EIO
        return b""


def _write_rules(folder: str, spec: Spec, env: dict[str, str]) -> None:
    """The audit's rules (run/audit.py), with paths as they are here."""
    rules = [(kind, os.path.realpath(os.path.expanduser(path))) for kind, path in spec["rules"]]
    for name, value in env.items():
        if re.fullmatch(spec["naming"], name, re.I):
            rules += [("free", path) for path in value.split(os.pathsep) if path.startswith("/") and path != "/"]
    with open(f"{folder}/audit-rules.txt", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"{kind}\t{path}\n" for kind, path in rules)


def _environment(spec: Spec) -> dict[str, str]:
    """The environment of the command: what says how to reach things here, then what was sent."""
    passed = {name: value for name, value in os.environ.items() if re.fullmatch(spec["passed"], name)}
    return {**passed, **spec["env"]}


if __name__ == "__main__":
    execute(sys.argv[1])
