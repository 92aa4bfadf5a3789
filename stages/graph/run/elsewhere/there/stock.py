"""What commands need on the other side: files by their content, and Python environments."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

from .talk import CHUNK_BYTES, Refused, answer, digest_of, remove

ASK_VERSIONS = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
python = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
print(json.dumps({"python": python, "packages": found}))
"""


def hello(base: str, python: str | None) -> None:
    """Where everything lies, and what this machine is. python: the version that commands need, None for any."""
    base = os.path.realpath(os.path.expanduser(base))
    os.makedirs(base, exist_ok=True)
    program = sys.executable
    if python is not None and _versions(program, [])["python"] != python:
        program = shutil.which("python" + python.partition(" ")[2]) or ""
    uname = platform.uname()
    answer(
        base=base,
        python=program,
        version=platform.python_version(),
        host={
            "system": uname.system,
            "machine": uname.machine,
            "release": uname.release,
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
    )


def versions(python: str, packages: list[str], tools: dict[str, list[str]]) -> None:
    """What a Python and its packages are, and what tools print about themselves. tools: name -> argv."""
    said = {}
    for name, argv in tools.items():
        try:
            done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            said[name] = done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None
        except (OSError, subprocess.TimeoutExpired):
            said[name] = None
    answer(tools=said, **(_versions(python, packages) if python else {"python": None, "packages": {}}))


def _versions(python: str, packages: list[str]) -> dict[str, Any]:
    done = subprocess.run([python, "-c", ASK_VERSIONS, *packages], capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Refused(f"{python} does not run: {done.stderr.decode('utf-8', 'replace').strip()[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def missing(base: str, digests: list[str]) -> None:
    """Which of these files are not here; the others count as used today."""
    absent = []
    for digest in digests:
        try:
            os.utime(f"{base}/files/{digest}")
        except OSError:
            absent.append(digest)
    answer(missing=absent)


def put(base: str, files: list[tuple[str, int]]) -> None:
    """Take files, as [digest, size in bytes]; their bytes follow the request."""
    os.makedirs(f"{base}/files", exist_ok=True)
    for expected, size in files:
        temporary = f"{base}/files/.{os.getpid()}-{expected}"
        found = hashlib.sha256()
        with open(temporary, "wb") as file:
            while size:
                data = sys.stdin.buffer.read(min(size, CHUNK_BYTES))
                if not data:
                    os.unlink(temporary)
                    sys.exit(1)  # the connection is lost
                found.update(data)
                file.write(data)
                size -= len(data)
            os.fchmod(file.fileno(), 0o444)
        if found.hexdigest() != expected:
            os.unlink(temporary)
            raise Refused(f"what came for {expected} is {found.hexdigest()}")
        os.replace(temporary, f"{base}/files/{expected}")
    answer()


def prepare(base: str, name: str, files: dict[str, str], line: str, python: str) -> None:
    """Make an environment, unless it was made before; what that prints comes as "text". It ends with the connection."""
    env, work = f"{base}/env/{name}", f"{base}/env/.{name}"
    os.makedirs(f"{base}/env", exist_ok=True)
    with open(f"{work}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(f"{env}/.made"):
            for folder in (env, work):
                remove(folder)
            os.makedirs(work)
            for file, digest in files.items():
                shutil.copyfile(f"{base}/files/{digest}", f"{work}/{file}")
            line = line.replace("{python}", python).replace("{env}", env)
            status = _make(line, work)
            remove(work)
            if status != 0:
                raise Refused(f"the environment could not be made: `{line}` ended with status {status}")
            os.makedirs(env, exist_ok=True)
            with open(f"{env}/.made", "w", encoding="utf-8"):
                pass
    answer(env=env)


def _make(line: str, folder: str) -> int:
    """Run a shell line to its end, and answer with what it prints; returns its status."""
    process = subprocess.Popen(
        ["/bin/sh", "-ec", line],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        while True:
            ready, _, _ = select.select([process.stdout.fileno(), 0], [], [])
            if 0 in ready:  # nothing is asked meanwhile: the connection is lost
                sys.exit(1)
            text = os.read(process.stdout.fileno(), CHUNK_BYTES)
            if not text:
                return process.wait()
            answer(more=True, text=text.decode("utf-8", "replace"))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def lay(base: str, made: str, name: str, digest: str, executable: bool) -> bool:
    """Put a file in its place; whether it was here with its digest. Sources are copies: a command may change them."""
    source, target = f"{base}/files/{digest}", f"{made}/{name}"
    try:
        with open(source, "rb") as file:
            sound = digest_of(file) == digest
    except OSError:
        return False
    if not sound:
        os.unlink(source)
        return False
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if name.startswith("in/") and not executable:
        try:
            os.link(source, target)
            return True
        except OSError:
            pass  # a file system without links
    shutil.copyfile(source, target)
    os.chmod(target, (0o755 if executable else 0o644) if name.startswith("src/") else (0o555 if executable else 0o444))
    return True
