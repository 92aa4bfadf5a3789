"""Tools that one checkout has compiled, for the next one of the same person: minutes of `cargo install` once a machine.

In ~/.cache/pocketlm/tools (XDG_CACHE_HOME): a program a folder, named by its version, the processor and the C library
that it is linked to, with its SHA-256 beside it. A copy that is damaged, or does not run, is as good as none; and where
nothing can be written, nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DIGEST = "sha256"


def folder() -> Path:
    """Where tools are kept for other checkouts."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pocketlm" / "tools"


def _place(name: str, version: str, libc: str) -> Path:
    words = (name, version, sys.platform, platform.machine(), libc)
    return folder() / "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in word) for word in words)


def fetch(name: str, version: str, libc: str, to: Path) -> bool:
    """Put the program where it is wanted, executable. False where none is kept that is whole and says this version."""
    kept, new = _place(name, version, libc), to.with_name(f".{to.name}.new")
    try:
        content = (kept / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != (kept / DIGEST).read_text(encoding="ascii").strip():
            return False
        to.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(content)
        new.chmod(0o755)
        said = subprocess.run([new, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        if version not in said.split():
            return False
        new.replace(to)
        return True
    except (OSError, UnicodeDecodeError):
        return False
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def keep(name: str, version: str, libc: str, program: Path) -> None:
    """Keep a copy of a program that was just installed, in the place of any that is there."""
    place = _place(name, version, libc)
    with contextlib.suppress(OSError):  # no room, or a home that nobody may write to: the next checkout compiles again
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as made:
            copy = Path(made) / place.name
            copy.mkdir()
            shutil.copy2(program, copy / name)
            digest = hashlib.sha256((copy / name).read_bytes()).hexdigest()
            (copy / DIGEST).write_text(f"{digest}\n", encoding="ascii")
            shutil.rmtree(place, ignore_errors=True)
            copy.replace(place)
