"""The stat cache: a path in, the digest of its content out; the file is read again only when its stat has changed.

An entry holds size, mtime, ctime and inode as they were when the file was hashed, and the clock at that moment. It
is trusted only if all four still match and the file had settled: a file that changed in the clock tick in which it
was hashed may change once more without a new timestamp (git calls these racily clean). Hashing equal content again
refreshes the entry, so a `touch` costs one read, not one at every start.

Summaries of receipts are kept by the same rule: opening and parsing receipts took a third of a no-op with 1,000
stages.

Kept in one JSON file, loaded once a run and saved by rename. A corrupt or lost file costs time only. With `-n` several
threads share the cache: changing or iterating over a table takes the lock, a single lookup does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from typing import Any

VERSION = 6  # raised when an entry, or the summary of a receipt, changes its form
FINE_TICK_NS = 20_000_000  # Linux stamps files at its timer tick, 4 to 10 ms
COARSE_TICK_NS = 2_000_000_000  # FAT and old file systems: two seconds
MAX_PARSED = 4_000  # parsed sources that are kept
PARSER = f"{sys.version_info.major}.{sys.version_info.minor}"  # the next version may parse what this one cannot

TABLES = (
    "files",  # path -> [size, mtime_ns, ctime_ns, inode, hashed_at_ns, digest]
    "parsed",  # content digest of a Python source -> see python.py
    "tools",  # how a tool is asked -> [stamps of its files, its answer]
    "patterns",  # gitignore patterns -> see tree.py
    "receipts",  # path -> [size, mtime_ns, ctime_ns, inode, read_at_ns, summary]
)


class StatCache:
    """Digests and receipts by path; parsed Python sources by content; versions of tools by the stat of the program."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.dirty = False
        self._saved_s = float("-inf")  # monotonic time of the last save
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._tables: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path, "rb") as file:
            data = json.load(file)
            if data["version"] == VERSION:
                same_parser = data["parser"] == PARSER
                self._tables = {name: data[name] if name != "parsed" or same_parser else {} for name in TABLES}
        self._files, self._parsed, self._tools, self._patterns, self._receipts = self._tables.values()

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
        """Read the file; remember the digest if the file did not change meanwhile."""
        import hashlib

        with open(path, "rb") as file:
            before = os.fstat(file.fileno())
            hashed_at = time.time_ns()
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(file.fileno())
        if stamp(before) == stamp(after):
            self._keep(self._files, path, [*stamp(before), hashed_at, digest])
        return digest

    def parsed(self, content: str) -> Any:
        """What `remember_parsed` kept for a source with this content digest, or None."""
        return self._parsed.get(content)

    def remember_parsed(self, content: str, found: Any) -> None:
        """Keep what was found in a Python source."""
        self._keep(self._parsed, content, found)

    def tool(self, question: str, stamps: list[Any]) -> str | None:
        """What a tool answered when its files had these stamps, or None."""
        known = self._tools.get(question)
        return known[1] if known is not None and known[0] == stamps else None

    def remember_tool(self, question: str, stamps: list[Any], said: str) -> None:
        """Keep the answer of a tool."""
        self._keep(self._tools, question, [stamps, said])

    def pattern(self, patterns: str) -> str | None:
        """The regular expression that stands for these patterns, or None."""
        return self._patterns.get(patterns)

    def remember_pattern(self, patterns: str, regex: str) -> None:
        """Keep the regular expression that stands for patterns."""
        self._keep(self._patterns, patterns, regex)

    def receipt(self, path: str) -> Any:
        """What `remember_receipt` kept for the file at `path`; None if it may have changed since."""
        entry = self._receipts.get(path)
        try:
            if entry is not None and entry[:4] == stamp(os.stat(path)) and settled(entry):
                return entry[5]
        except OSError:
            pass
        return None

    def remember_receipt(self, path: str, st: os.stat_result, read_at_ns: int, summary: Any) -> None:
        """Keep the summary of a receipt that was read at `read_at_ns` and whose stat was `st` before and after."""
        self._keep(self._receipts, path, [*stamp(st), read_at_ns, summary])

    def _keep(self, table: dict[str, Any], name: str, value: Any) -> None:
        with self._lock:
            table[name] = value
            self.dirty = True

    def forget(self, prefix: str) -> None:
        """Drop the digest of every file whose path begins with `prefix`."""
        with self._lock:
            for path in [path for path in self._files if path.startswith(prefix)]:
                del self._files[path]
                self.dirty = True

    def forget_all(self) -> None:
        """Drop what rests on the stats of files: digests and versions of tools."""
        with self._lock:
            self._files.clear()
            self._tools.clear()
            self.dirty = True

    def move(self, prefix: str, to: str) -> None:
        """A folder was renamed: its files keep their stats, so their entries stay good under the new path."""
        with self._lock:
            for path in [path for path in self._files if path.startswith(prefix)]:
                self._files[to + path[len(prefix) :]] = self._files.pop(path)
                self.dirty = True

    def save(self, every_s: float = 0.0) -> None:
        """Write the cache if anything changed and the last save was `every_s` ago: saving after every stage would
        take time with the square of their number. A cache that cannot be written (a full disk) is not an error.
        """
        if not self.dirty or time.monotonic() < self._saved_s + every_s:
            return
        with self._saving, contextlib.suppress(OSError):
            with self._lock:
                self.dirty, self._saved_s = False, time.monotonic()
                while len(self._parsed) > MAX_PARSED:
                    del self._parsed[next(iter(self._parsed))]
                tables = {name: dict(table) for name, table in self._tables.items()}
            temporary = f"{self.path}.{os.getpid()}"
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            try:
                with open(temporary, "w", encoding="utf-8") as file:
                    json.dump({"version": VERSION, "parser": PARSER, **tables}, file, separators=(",", ":"))
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
