"""The stat cache: a path in, the digest of its content out, read again only when its stat says that it may have
moved.

An entry holds size, mtime, ctime and inode as they were when the file was hashed, and the clock at that moment. It
is believed only if all four still match and the file had settled: a file changed in the same tick of the clock in
which it was hashed may change once more without a new timestamp (git calls these racily clean). What is hashed
again with equal content just refreshes its entry, so a `touch` costs one reading, not one at every start.

What is worth remembering of a receipt is kept by the same rule: a no-op would spend most of its time on opening and
parsing those (a third, with 1,000 stages).

Kept in one JSON file, loaded and saved once a run, by rename. A corrupt or lost file costs time only.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from typing import Any

from .digest import bytes_digest

VERSION = 4  # raised when an entry, or the summary of a receipt, changes its form
FINE_TICK_NS = 20_000_000  # Linux stamps files at its timer tick, 4 to 10 ms
COARSE_TICK_NS = 2_000_000_000  # FAT and old file systems: two seconds
MAX_PARSED = 4_000  # parsed sources that are kept


class StatCache:
    """Digests and receipts by path; parsed Python sources by content; versions of tools by the stat of the program."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.dirty = False
        self._saved_s = float("-inf")  # monotonic time of the last save
        self._saving = threading.Lock()
        self._files: dict[str, list[Any]] = {}  # path -> [size, mtime_ns, ctime_ns, inode, hashed_at_ns, digest]
        self.parsed: dict[str, Any] = {}  # content digest of a Python source -> see sources.py
        self.tools: dict[str, Any] = {}  # see tools.py
        self._receipts: dict[str, list[Any]] = {}  # path -> [size, mtime_ns, ctime_ns, inode, read_at_ns, its summary]
        try:
            with open(path, "rb") as file:
                data = json.loads(file.read())
            if data["version"] == VERSION:
                self._files, self.parsed, self.tools, self._receipts = (
                    data[name] for name in ("files", "parsed", "tools", "receipts")
                )
        except (OSError, ValueError, KeyError, TypeError):
            self._files, self.parsed, self.tools, self._receipts = {}, {}, {}, {}

    def digest(self, path: str, st: os.stat_result | None = None) -> str:
        """SHA-256 of the file at `path`; `st` is its stat where the caller has it.

        Raises OSError if it cannot be read.
        """
        if st is None:
            st = os.stat(path)
        entry = self._files.get(path)
        if entry is not None and entry[:4] == stamp(st) and settled(entry):
            digest: str = entry[5]
            return digest
        return self._hash(path)

    def _hash(self, path: str) -> str:
        """Read the file; remember the digest if the file did not move meanwhile."""
        import hashlib

        with open(path, "rb") as file:
            before = os.fstat(file.fileno())
            hashed_at = time.time_ns()
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(file.fileno())
        if stamp(before) == stamp(after):
            self._files[path] = [*stamp(before), hashed_at, digest]
            self.dirty = True
        return digest

    def receipt(self, path: str) -> Any:
        """What `remember_receipt` was told about the file at `path`; None if it may have changed since."""
        entry = self._receipts.get(path)
        try:
            if entry is not None and entry[:4] == stamp(os.stat(path)) and settled(entry):
                return entry[5]
        except OSError:
            pass
        return None

    def remember_receipt(self, path: str, st: os.stat_result, read_at_ns: int, summary: Any) -> None:
        """Keep what is worth knowing of a receipt that was read at `read_at_ns`, and whose stat was `st` before and
        after.
        """
        self._receipts[path] = [*stamp(st), read_at_ns, summary]
        self.dirty = True

    def forget(self, prefix: str) -> None:
        """Drop every entry whose path begins with `prefix`."""
        for path in [path for path in self._files if path.startswith(prefix)]:
            del self._files[path]
            self.dirty = True

    def move(self, prefix: str, to: str) -> None:
        """A folder was renamed: its files keep their stats, so their entries stay good under the new path."""
        for path in [path for path in self._files if path.startswith(prefix)]:
            self._files[to + path[len(prefix) :]] = self._files.pop(path)
            self.dirty = True

    def save(self, every_s: float = 0.0) -> None:
        """Write the cache if anything changed and the last time is `every_s` ago: all of it after each of many stages
        would grow with the square of their number. A cache that cannot be written (a full disk) is not an error.
        """
        if not self.dirty or time.monotonic() < self._saved_s + every_s:
            return
        with self._saving, contextlib.suppress(OSError):
            self.dirty, self._saved_s = False, time.monotonic()
            while len(self.parsed) > MAX_PARSED:
                del self.parsed[next(iter(self.parsed))]
            data = {
                "version": VERSION,
                "files": dict(self._files),
                "parsed": self.parsed,
                "tools": self.tools,
                "receipts": dict(self._receipts),
            }
            temporary = f"{self.path}.{os.getpid()}"
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            try:
                with open(temporary, "w", encoding="utf-8") as file:
                    json.dump(data, file, separators=(",", ":"))
                os.replace(temporary, self.path)
            except OSError:
                os.unlink(temporary)
                raise


def stamp(st: os.stat_result) -> list[int]:
    """What tells one state of a file from another without reading it."""
    return [st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino]


def settled(entry: list[Any]) -> bool:
    """Whether the file had not changed for more than a tick of its file system's clock when it was hashed."""
    changed = max(entry[1], entry[2])
    tick = FINE_TICK_NS if changed % 1_000_000_000 else COARSE_TICK_NS
    return bool(entry[4] - changed > tick)


def content_digest(data: bytes) -> str:
    """The digest that `StatCache.digest` gives for a file of these bytes."""
    return bytes_digest(data)
