"""The supervisor: a small program that runs one command and leaves nothing of it behind.

    python -I -S supervisor.py GRACE_SECONDS -|background COMMAND...     (standard input: a pipe; the run holds its end)

It ends with the command's exit status (128 + signal where one ended it, 127 where it cannot be started). When the
pipe closes, because the run wants to stop or is dead, every process of the command gets SIGTERM and, after the
grace, SIGKILL. So does whatever a command leaves running when it ends. Grandchildren that changed their session are
found too: on Linux orphans become this program's children (PR_SET_CHILD_SUBREAPER); elsewhere only the process group is
known.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

LEFT_OVER_S = 0.5  # how long processes that a command leaves behind may take to end by themselves
PR_SET_CHILD_SUBREAPER = 36
# Of a background command: a quarter of a busy processor. At 19 it had one part in 70, and beside a compiler at work
# the wasm tools were not done after a quarter of an hour.
NICENESS = 5


def main() -> int:
    """Run the command of sys.argv; returns the exit status."""
    grace_s, background, argv = float(sys.argv[1]), sys.argv[2] == "background", sys.argv[3:]
    _become_subreaper()
    if background:
        _give_way()
    wake, waker = os.pipe()
    for fd in (wake, waker):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    stopping = [0]  # how many requests to stop came: the second allows no grace
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.__setitem__(0, stopping[0] + 1))
    pipe_open = True

    child = os.fork()
    if child == 0:
        _exec(argv)
    status: int | None = None
    kill_at: float | None = None
    terminated = False
    while True:
        status = _reap(child, status)
        alive = _processes(child, status is None)
        if not alive:
            if status is None:
                continue  # it ended between the two looks: the next one collects it
            return _exit_code(status)
        now = time.monotonic()
        if stopping[0] and not terminated:
            terminated, kill_at = True, now + grace_s
            _send(alive, child, signal.SIGTERM)
        if status is not None and kill_at is None:
            kill_at = now + LEFT_OVER_S
        if stopping[0] > 1 or (kill_at is not None and now >= kill_at):
            kill_at = now
            _send(alive, child, signal.SIGKILL)
        timeout = None if kill_at is None else max(0.01, min(0.1, kill_at - now))
        ready, _, _ = select.select([wake, 0] if pipe_open else [wake], [], [], timeout)
        if wake in ready:
            os.read(wake, 4096)
        if 0 in ready and not os.read(0, 4096):
            pipe_open = False
            stopping[0] += 1


def _exec(argv: list[str]) -> None:
    """In the child: a process group of its own, default signals, then the command."""
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"cannot start {argv[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _reap(child: int, status: int | None) -> int | None:
    """Collect every ended process; returns the wait status of the command once it is known."""
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = ended


def _processes(child: int, child_runs: bool) -> list[int]:
    """The PIDs of the command and all its descendants that are still there; without /proc, the command's alone."""
    parents: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return [child] if child_runs or _group_exists(child) else []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields and fields[0] != b"Z":
                parents.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def _send(pids: list[int], group: int, number: int) -> None:
    """Signal each process once: to some a second request to stop means at once."""
    with contextlib.suppress(OSError):
        os.killpg(group, number)
    for pid in pids:
        with contextlib.suppress(OSError):
            if os.getpgid(pid) != group:
                os.kill(pid, number)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _give_way() -> None:
    """Let everything of this session run only where others leave the processor free.

    Linux may share processors among sessions first (autogroup) and looks at `nice` only within one: so the session
    gets its number too.
    """
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write(str(NICENESS))


def _become_subreaper() -> None:
    if sys.platform == "linux":
        try:
            import ctypes

            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        except (ImportError, OSError, AttributeError):
            pass  # the process group remains


if __name__ == "__main__":
    os._exit(main())
