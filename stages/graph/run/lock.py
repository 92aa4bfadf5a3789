"""The lock: one run at a time in a build folder, held by the run and by every command that it started.

A kernel lock (flock) on build/.lock, which holds the PID of the run. It cannot go stale: it is free as soon as the
run and all of its commands are gone, however they ended.
"""

from __future__ import annotations

import fcntl
import os
import time

from ..errors import LockHeld

ORPHAN_WAIT_S = 20.0  # how long the commands of a killed run may take to end


class Lock:
    """The lock of one build folder. `fd` is passed on to commands."""

    def __init__(self, build: str) -> None:
        self.path = f"{build}/.lock"
        self.fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises LockHeld, naming the holder's PID, if another run has it. Where that run is dead, waits for its
        commands to end.
        """
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        give_up_at = time.monotonic() + ORPHAN_WAIT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                if _alive(holder) or time.monotonic() > give_up_at:
                    os.close(fd)
                    advice = f"wait for it to end, or stop it with `kill {holder}`"
                    raise LockHeld(f"another run (PID {holder}) holds {self.path}; {advice}") from None
                time.sleep(0.05)
        try:
            os.pwrite(fd, f"{os.getpid()}\n".encode().ljust(12), 0)
        except OSError as error:  # a full disk: nothing can be built, and the lock is free again
            os.close(fd)
            error.filename = self.path
            raise
        self.fd = fd

    def release(self) -> None:
        """Let the lock go. Commands that still run keep it held."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def _alive(pid: str) -> bool:
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
