"""Slots: what the machine has for the commands that run at the same time, and who holds it.

A stage says `resources={"cores": 2, "gpu": 1, "memory_gb": 8}`; its command waits until that much is free. One that
wants more than there is gets all of it; what the machine has none of, limits nothing. A GPU is held by one command at a
time, in this run and in those of other build folders; where there are more, each command sees its own alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..errors import StageFailed

LOOK_S = 0.2  # how often a command that waits looks whether the run is being stopped, or another run left a GPU
JOBS = "jobs"  # how many commands run at a time (`-n`)
GPU = "gpu"
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


class Slots:
    """The slots of one run. Threads may share it."""

    def __init__(
        self, have: Mapping[str, float], gpus: Sequence[str], stopping: Callable[[], bool], locks: str | None = None
    ) -> None:
        """`have`: how much there is, by name. `gpus`: their numbers, as CUDA_VISIBLE_DEVICES has them. `stopping`:
        whether what waits is refused. `locks`: the folder of the machine's locks, else the temporary one.
        """
        self._have = {**have, GPU: len(gpus)}
        self._held: list[Mapping[str, float]] = []  # what each command that runs has taken
        self._gpus = list(gpus)  # those that are free
        self._stopping = stopping
        self._locks = locks or tempfile.gettempdir()
        self._changed = threading.Condition()

    def limit(self, jobs: int) -> None:
        """Let so many commands run at a time."""
        with self._changed:
            self._have[JOBS] = jobs

    def offer(self, name: str, amount: int) -> None:
        """Have so much of something more, such as of commands at one place elsewhere."""
        with self._changed:
            self._have[name] = amount

    @contextlib.contextmanager
    def hold(self, wanted: Mapping[str, float], waits: Callable[[str], None]) -> Iterator[dict[str, str]]:
        """Hold what a command takes; yields the variables that show it its GPUs. `waits`: told what it waits for.

        Raises StageFailed where the run is stopped meanwhile.
        """
        taken = {name: min(wanted.get(name, 1 if name == JOBS else 0), have) for name, have in self._have.items()}
        taken = {name: amount for name, amount in taken.items() if amount > 0}
        chosen = self._take(taken, waits)
        try:
            every = len(chosen) == self._have[GPU]
            yield {} if every else {name: ",".join(chosen) for name in VISIBLE}
        finally:
            with self._changed:
                for fd in chosen.values():
                    os.close(fd)
                self._gpus = sorted([*self._gpus, *chosen])
                self._held.remove(taken)
                self._changed.notify_all()

    def _take(self, taken: Mapping[str, float], waits: Callable[[str], None]) -> dict[str, int]:
        """Wait for all of it at once; returns the GPUs, each with its lock."""
        told = False
        while True:
            with self._changed:
                missing = [name for name, amount in taken.items() if self._free(name) < amount]
                chosen = {} if missing else self._lock(round(taken.get(GPU, 0)))
                if not missing and chosen is not None:
                    self._held.append(taken)
                    self._gpus = [gpu for gpu in self._gpus if gpu not in chosen]
                    return chosen
                if self._stopping():
                    raise StageFailed("it was stopped while it waited for others to end")
                if not told and missing != [JOBS]:
                    waits(", ".join(name for name in missing if name != JOBS) or "a GPU that another run has")
                    told = True
                self._changed.wait(LOOK_S)

    def _free(self, name: str) -> float:
        """How much nobody holds, added up anew: a sum that is kept drifts, and all of it is never free again."""
        return self._have[name] - math.fsum(held.get(name, 0) for held in self._held)

    def _lock(self, count: int) -> dict[str, int] | None:
        """So many of the free GPUs that no other run has; None where there are fewer."""
        found: dict[str, int] = {}
        for gpu in self._gpus:
            if len(found) == count:
                break
            path = f"{self._locks}/gpu-{re.sub(r'[^A-Za-z0-9]', '-', gpu)}.lock"
            fd = os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found[gpu] = fd
            except BlockingIOError:
                os.close(fd)
        if len(found) == count:
            return found
        for fd in found.values():
            os.close(fd)
        return None


def machine() -> dict[str, float]:
    """What this machine has of the resources that every project may name, but for GPUs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
        memory = min(memory, int(file.read()))  # "max": no limit
    return {"cores": cores, "memory_gb": memory / 1e9}


def gpus() -> list[str]:
    """The GPUs that commands see, by the numbers that a person chose, else by what the system shows."""
    for name in VISIBLE:
        if name in os.environ:
            return [each.strip() for each in os.environ[name].split(",") if each.strip() not in ("", "-1")]
    for folder, pattern in (("/dev", r"nvidia\d+"), ("/dev/dri", r"renderD\d+")):
        with contextlib.suppress(OSError):
            if found := [name for name in os.listdir(folder) if re.fullmatch(pattern, name)]:
                return [str(number) for number in range(len(found))]
    return []
