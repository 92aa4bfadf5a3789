"""Commands on the other side: begun, followed, asked to end, fetched, forgotten."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from . import queues
from .stock import lay
from .talk import CHUNK_BYTES, Refused, answer, digest_of, remove

LOOK_S = (0.05, 0.5)  # how often a log is looked at: soon after something came, and later
QUEUE_LOOK_S = 3.0  # asking a queue takes its server's time
START_S = 30.0
KEPT_DAYS = 30
NOT_FOUND = "none"
Spec = dict[str, Any]  # what `job.py` says of a command


def state(base: str, run: str) -> None:
    """Whether a command is here: "none", "running", "stopping" (it was asked to end), "ended", "stopped", or "lost" (it
    is gone without a status).
    """
    with _settled(base, run):
        answer(state=_state(f"{base}/runs/{run}"))


@contextlib.contextmanager
def _settled(base: str, run: str) -> Iterator[None]:
    """Wait until nobody else lays out this command."""
    os.makedirs(f"{base}/runs", exist_ok=True)
    with open(f"{base}/runs/{run}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _state(folder: str) -> str:
    if not os.path.isdir(folder):
        return NOT_FOUND
    asked = os.path.exists(f"{folder}/stopped")
    if not os.path.exists(f"{folder}/status.json") and _runs(folder):
        return "stopping" if asked else "running"
    ended = os.path.exists(f"{folder}/status.json")
    return "stopped" if asked else "ended" if ended else "lost"


def _runs(folder: str) -> bool:
    """Whether a command's runner is there: it holds a lock, or is in the queue."""
    job = _job(folder)
    if job is not None:
        return queues.holds(job)
    try:
        fd = os.open(f"{folder}/lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def _job(folder: str) -> str | None:
    try:
        with open(f"{folder}/job", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def start(
    base: str, run: str, spec: Spec, texts: dict[str, str], files: list[tuple[str, str, bool]], folders: list[str]
) -> None:
    """Lay out a command's folder and let it run, unless it is here already. texts: name -> content; files: [name,
    digest, executable]; folders: those that hold nothing too. Answers "missing" where files are not here, or not what
    they should be.
    """
    folder = f"{base}/runs/{run}"
    with _settled(base, run):
        if _state(folder) == NOT_FOUND:
            made = f"{folder}.new"
            remove(made)
            for name in (*folders, "src", "out", "root"):
                os.makedirs(f"{made}/{name}", exist_ok=True)
            absent = [each for name, each, executable in files if not lay(base, made, name, each, executable)]
            if absent:
                remove(made)
                return answer(missing=sorted(set(absent)))
            for name, text in texts.items():
                os.makedirs(os.path.dirname(f"{made}/{name}"), exist_ok=True)
                with open(f"{made}/{name}", "w", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(text)
            with open(f"{made}/spec.json", "w", encoding="utf-8") as file:
                json.dump({**spec, "files": files}, file)
            os.rename(made, folder)
            try:
                if queues.wanted(spec):
                    _queue(folder, spec)
                else:
                    _detach(folder)
            except BaseException:
                remove(folder)
                raise
    return answer(missing=[])


def _detach(folder: str) -> None:
    """Start the runner as a process that no connection, and no end of one, concerns."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        trouble = os.open(f"{folder}/trouble", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for fd, here in ((null, 0), (null, 1), (trouble, 2)):
            os.dup2(fd, here)
        os.closerange(3, 1024)
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-I", "-S", f"{folder}/runner.py", folder])
        os._exit(0)
    os.wait()
    end = time.monotonic() + START_S
    while not (os.path.exists(f"{folder}/pid") or os.path.exists(f"{folder}/status.json")):
        if time.monotonic() > end:
            with open(f"{folder}/trouble", errors="replace", encoding="utf-8") as file:
                raise Refused(f"the command was not started within {START_S:.0f} s: {file.read().strip()[-500:]}")
        time.sleep(0.02)


def _queue(folder: str, spec: Spec) -> None:
    """Hand the runner to a queue."""
    with open(f"{folder}/job.sh", "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{folder}/runner.py" "{folder}"\n')
    job = queues.submit(folder, spec)
    with open(f"{folder}/job.new", "w", encoding="utf-8") as file:
        file.write(job)
    os.rename(f"{folder}/job.new", f"{folder}/job")


def follow(base: str, run: str, offset: int) -> None:
    """All that a command prints from `offset` on, until it has ended; ends too when anything more is asked."""
    folder, output = f"{base}/runs/{run}", f"{base}/runs/{run}/output"
    wait_s, asked_at, running = LOOK_S[0], 0.0, True
    while True:
        ended = os.path.exists(f"{folder}/status.json")  # asked before the look: what was written until then is seen
        queued = _job(folder) is not None
        if not ended and time.monotonic() > asked_at + (QUEUE_LOOK_S if queued else 0.0):
            running, asked_at = _runs(folder), time.monotonic()
            if queued and not running:  # a shared file system shows late what another machine wrote
                time.sleep(QUEUE_LOOK_S)
            ended = os.path.exists(f"{folder}/status.json")
        data = b""
        if os.path.exists(output):
            with open(output, "rb") as file:
                file.seek(offset)
                data = file.read(CHUNK_BYTES)
        if data:
            offset, wait_s = offset + len(data), LOOK_S[0]
            answer(more=True, size=len(data))
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            continue
        if ended or not running:
            return answer(**_status(folder))
        if select.select([0], [], [], wait_s)[0]:
            return answer(status=None)
        wait_s = min(wait_s * 1.5, LOOK_S[1])


def _status(folder: str) -> dict[str, Any]:
    try:
        with open(f"{folder}/status.json", encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
            return found
    except OSError:
        trouble = ""
        if os.path.exists(f"{folder}/trouble"):
            with open(f"{folder}/trouble", errors="replace", encoding="utf-8") as file:
                trouble = file.read().strip()[-500:]
        return {"status": -1, "seconds": 0.0, "trouble": trouble}


def made(base: str, run: str) -> None:
    """What a command that has ended was ("argv"), and what it made: "files" as [name, size in bytes, executable],
    "folders", and "links", what is neither; and "moved", its sources and inputs that are no longer what was sent.
    """
    folder = f"{base}/runs/{run}"
    files: list[tuple[str, int, bool]] = []
    folders: list[str] = []
    links: list[str] = []
    for path, names, plain in os.walk(f"{folder}/out"):
        inside = os.path.relpath(path, f"{folder}/out")
        prefix = "" if inside == "." else f"{inside}/"
        for name in [*names, *plain]:
            full = f"{path}/{name}"
            if os.path.islink(full) or not (os.path.isdir(full) or os.path.isfile(full)):
                links.append(prefix + name)
            elif os.path.isdir(full):
                folders.append(prefix + name)
            else:
                st = os.stat(full)
                files.append((prefix + name, st.st_size, bool(st.st_mode & 0o100)))
    moved = []
    with open(f"{folder}/spec.json", encoding="utf-8") as file:
        spec = json.load(file)
    for name, digest, _ in spec["files"]:
        try:
            with open(f"{folder}/{name}", "rb") as file:
                if digest_of(file) != digest:
                    moved.append(name)
        except OSError:
            moved.append(name)
    audit = ""
    if os.path.exists(f"{folder}/audit.txt"):
        with open(f"{folder}/audit.txt", encoding="utf-8", errors="surrogateescape") as file:
            audit = file.read()
    answer(argv=spec["argv"], files=files, folders=folders, links=links, moved=moved, audit=audit)


def get(base: str, run: str, names: list[str]) -> None:
    """Files that a command made: for each, its size, its bytes, and its digest behind them."""
    for name in names:
        with open(f"{base}/runs/{run}/out/{name}", "rb") as file:
            size = os.fstat(file.fileno()).st_size
            answer(more=True, name=name, size=size)
            found = hashlib.sha256()
            while size:
                data = file.read(min(size, CHUNK_BYTES))
                if not data:
                    raise Refused(f"{name} became shorter while it was read")
                found.update(data)
                sys.stdout.buffer.write(data)
                size -= len(data)
        answer(more=True, digest=found.hexdigest())
    answer()


def stop(base: str, run: str, hurry: bool) -> None:
    """Ask a command to end; hurry: it gets no more time. Answers its state."""
    folder = f"{base}/runs/{run}"
    if _state(folder) in (["running", "stopping"] if hurry else ["running"]):
        with open(f"{folder}/stopped", "w", encoding="utf-8"):
            pass
        job = _job(folder)
        if job is not None:
            queues.end(job, hurry)
        else:
            with open(f"{folder}/pid", encoding="utf-8") as file:
                os.kill(int(file.read()), signal.SIGTERM)
    answer(state=_state(folder))


def forget(base: str, run: str, partial: str | None) -> None:
    """Remove a command's folder, and of what it would have gone on from the part `partial`, None for nothing. Remove
    what nobody used for a long time.
    """
    folder = f"{base}/runs/{run}"
    if _state(folder) in ("running", "stopping"):
        raise Refused(f"{folder} still runs")
    remove(folder)
    remove(f"{folder}.lock")
    if partial is not None:
        kept = f"{base}/partial/{partial[len(base) :].split('/')[2]}"
        with contextlib.suppress(OSError), open(f"{kept}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # else another command goes on from it now
            remove(partial)
            _rmdir(kept)
            if not os.path.exists(kept):
                os.unlink(f"{kept}.lock")
    for parent in ("partial", "runs"):
        _rmdir(f"{base}/{parent}")
    old = time.time() - KEPT_DAYS * 86400
    for kept in ("files", "partial", "runs"):
        for name in os.listdir(f"{base}/{kept}") if os.path.isdir(f"{base}/{kept}") else ():
            path = f"{base}/{kept}/{name}"
            if os.lstat(path).st_mtime < old and (kept != "runs" or _state(path) not in ("running", "stopping")):
                remove(path)
    answer()


def _rmdir(folder: str) -> None:
    with contextlib.suppress(OSError):  # something is kept, or nothing was
        os.rmdir(folder)


def others(base: str, run: str, owner: str) -> None:
    """The other commands of one owner that run here, as [run, PID]."""
    found = []
    for name in os.listdir(f"{base}/runs") if os.path.isdir(f"{base}/runs") else ():
        folder = f"{base}/runs/{name}"
        try:
            with open(f"{folder}/spec.json", encoding="utf-8") as file:
                same = json.load(file)["owner"] == owner
            if same and name != run and _state(folder) == "running":
                with open(f"{folder}/{'job' if _job(folder) else 'pid'}", encoding="utf-8") as file:
                    found.append([name, file.read().strip()])
        except (OSError, ValueError, KeyError):
            continue
    answer(others=found)
