"""Make `.venv` from `locks/base.txt`: what `doitw` runs once, with the system's Python and the standard library alone.

In: the project's root. Out: `.venv/` with doit and its companions, this package installed in editable form, the
`doit` command, and `.venv/.pocketlm/` with copies of the pins it was made from (doitw compares them).

Two runs at once are one after another (a lock on `.venv.lock`); a run that was cut short leaves no stamp, so the next
one mends it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path


def fail(message: str) -> None:
    """Print one sentence to stderr and leave with status 1."""
    print(f"doitw: {message}", file=sys.stderr)
    raise SystemExit(1)


def usable(env: Path, root: Path) -> bool:
    """Is there an environment that was made here and whose interpreter still runs?"""
    made_at = env / ".pocketlm" / "root"
    if not made_at.exists() or made_at.read_bytes() != os.fsencode(root):
        return False  # moved, copied, or cut short: its scripts name another path
    try:
        return subprocess.run([env / "bin" / "python", "-c", "import pip"], capture_output=True).returncode == 0
    except OSError:
        return False  # the Python that it was made with is gone


def pip(env: Path, *args: str) -> None:
    """Run pip in the environment, quietly; on failure show all it said."""
    command = [str(env / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *args]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        fail(
            f"`pip {' '.join(args)}` failed (see above). Is the package registry within reach? Then run ./doitw again."
        )


def make(root: Path) -> None:
    """Create or mend `.venv`. Raises SystemExit(1) with a sentence where that is not possible."""
    env, stamps = root / ".venv", root / ".venv" / ".pocketlm"
    lock, manifest = root / "locks" / "base.txt", root / "pyproject.toml"
    began = time.monotonic()
    if not usable(env, root):
        if env.exists():
            print("doitw: .venv was made elsewhere or is broken: making it anew", file=sys.stderr)
            shutil.rmtree(env)
        print("doitw: making .venv ...", file=sys.stderr, flush=True)
        venv.EnvBuilder(with_pip=True, symlinks=True).create(env)
        stamps.mkdir()
        (stamps / "root").write_bytes(os.fsencode(root))
    print("doitw: installing doit and its companions ...", file=sys.stderr, flush=True)
    pip(env, "install", "-q", "--require-hashes", "-r", str(lock))
    pip(env, "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(root))
    # A by-product of `pip install -e .`: Python would take its list of commands, once stale, before that of .venv.
    shutil.rmtree(root / "pocketlm.egg-info", ignore_errors=True)
    shutil.copyfile(lock, stamps / "base.txt")
    shutil.copyfile(manifest, stamps / "pyproject.toml")
    print(f"doitw: ready ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)


def main() -> None:
    root = Path(sys.argv[1])
    try:
        with (root / ".venv.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            make(root)
    except PermissionError as error:
        advice = "run as its owner, or remove .venv" if os.access(root, os.W_OK) else "take a copy that is yours"
        fail(f"{error.filename} cannot be written (as user {os.getuid()}): {advice}")
    except OSError as error:  # a read-only file system, a full disk
        fail(f"{error.filename or root}: {error.strerror}")


if __name__ == "__main__":
    main()
