"""The store: finished results under their keys, each an immutable folder that appears by one rename.

    build/store/<key>/     the outputs, receipt.json, log.txt; files read-only, folders not: those could not be renamed
    build/store/.tmp-*/    being made; left-overs go when the lock is next taken
    build/<scope>/.current/<stage> -> ../../store/<key>

A receipt holds what the key was made from, what came out, and beside it how the run went. Nothing in it is believed
unchecked: an entry counts only if its receipt can be read, belongs to its key, and every output still has its
digest.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..declare.names import LOG, RECEIPT
from ..errors import GraphError, StageFailed
from ..read.digest import BYTECODE, is_executable, tree_digest, walk
from ..read.statcache import StatCache, stamp
from .links import linked_key
from .receipt import Receipt, belongs, read_receipt, summary


class Store:
    """A folder of results: that of one build folder, or one that several share."""

    def __init__(self, path: str, cache: StatCache) -> None:
        self.path = path
        self.cache = cache

    def entry(self, key: str) -> str:
        """The folder of a key, there or not."""
        return f"{self.path}/{key}"

    def receipt(self, key: str) -> Receipt | None:
        """The receipt of a key; None if it is missing, truncated, or of another key."""
        try:
            with open(f"{self.path}/{key}/{RECEIPT}", "rb") as file:
                return read_receipt(file.read(), key)
        except OSError:
            return None

    def linked(self, build: str, scope: str, stage: str) -> tuple[str | None, Receipt | None]:
        """(key, summary of the receipt) of what a stage's link names; None for what is missing or corrupt.

        One stat where nothing changed: the receipt is looked at through the link, so another result is another inode.
        """
        path = f"{build}/{scope}/.current/{stage}/{RECEIPT}"
        known = self.cache.receipt(path)
        if known is not None:
            return known["key"], known
        key = linked_key(build, scope, stage)
        if key is None:
            return None, None
        try:
            before, read_at_ns = os.stat(path), time.time_ns()
            receipt = self.receipt(key)
            if receipt is None:
                return key, None
            known = summary(receipt)
            if stamp(os.stat(path)) == stamp(before):
                self.cache.remember_receipt(path, before, read_at_ns, known)
            return key, known
        except OSError:
            return key, None

    def problems(self, key: str, receipt: Receipt) -> list[tuple[str, str, str]]:
        """What is wrong with the outputs of an entry, as (output, expected, found); empty if all have their digests."""
        found = []
        for name, expected in receipt["outputs"].items():
            try:
                actual = self._measure(f"{self.path}/{key}/{name}", name)
            except (OSError, GraphError) as error:
                what = "missing" if isinstance(error, FileNotFoundError) else str(error)
                found.append((name, expected["digest"], what))
                continue
            if actual["digest"] != expected["digest"]:
                found.append((name, expected["digest"], actual["digest"]))
            elif actual.get("executable") != expected.get("executable"):
                found.append((name, expected["digest"], "other permissions"))
        return found

    def good(self, key: str) -> Receipt | None:
        """The receipt of an entry that may be used: whole, made from what its key says, every output with its
        digest.
        """
        receipt = self.receipt(key)
        return receipt if receipt is not None and belongs(receipt) and not self.problems(key, receipt) else None

    def receipts(self, stage: str | None = None) -> Iterator[Receipt]:
        """Every readable receipt, of one stage or of all, the last used first."""
        with contextlib.suppress(FileNotFoundError):
            entries = [entry for entry in os.scandir(self.path) if not entry.name.startswith(".")]
            for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime_ns, reverse=True):
                receipt = self.receipt(entry.name)
                if receipt is not None and stage in (None, receipt.get("stage")):
                    yield receipt

    def new_folder(self, stage: str) -> str:
        """An empty temporary folder in which a command makes its outputs.

        Always of the same name: a path that leaks into an output does not differ from run to run. The lock keeps
        others out.
        """
        folder = f"{self.path}/.tmp-{stage}"
        if os.path.lexists(folder):
            remove_tree(folder)
        self.cache.forget(f"{folder}/")
        os.makedirs(folder)
        return folder

    def seal(self, folder: str, stage: str, outputs: Sequence[str]) -> dict[str, Any]:
        """Check that the command made what it declared, drop the rest, make the files read-only and durable;
        returns their digests.

        Raises StageFailed for an output that is missing, of the wrong kind, or not made of plain files.
        """
        for name in outputs:
            path = f"{folder}/{name}".rstrip("/")
            if not os.path.lexists(path):
                made = ", ".join(sorted(os.listdir(folder))) or "nothing"
                raise StageFailed(f"the command ended well but did not make its output {name} (it made: {made})")
            if os.path.isdir(path) and not name.endswith("/"):
                raise StageFailed(f"output {name} is a folder; declare it as {name}/")
            if name.endswith("/") and not os.path.isdir(path):
                raise StageFailed(f"output {name} is not a folder")
        _keep_only(folder, outputs)
        for path, folders, _ in os.walk(folder):
            if BYTECODE in folders:
                remove_tree(f"{path}/{BYTECODE}")
        try:
            for file in walk(folder):
                if file.stat.st_nlink > 1:
                    _unshare(file.path)
                os.chmod(file.path, stat.S_IMODE(file.stat.st_mode) & ~0o222)
                flush(file.path)
            for path, _, _ in os.walk(folder):
                flush(path)
            return {name: self._measure(f"{folder}/{name}", name) for name in outputs}
        except GraphError as error:
            raise StageFailed(str(error)) from error

    def publish(self, folder: str, key: str, receipt: Receipt) -> None:
        """Write the receipt beside outputs and log, and rename the folder to its key, in place of an entry that is
        there.
        """
        log, target = f"{folder}/{LOG}", f"{folder}/{RECEIPT}"
        os.chmod(log, 0o444)
        flush(log)
        # A name of a file need not be UTF-8: JSON's own escapes hold what is not.
        with open(target, "w", encoding="utf-8", errors="backslashreplace") as file:
            json.dump(receipt, file, sort_keys=True, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        flush(folder)
        self.remove(key)
        os.rename(folder, self.entry(key))
        flush(self.path)
        self.cache.move(f"{folder}/", f"{self.entry(key)}/")

    def import_from(self, key: str, source: Store) -> bool:
        """Copy an entry of another store, checked on arrival. False if there is none, or it is not what its key says.

        Nothing in the other store is trusted: an entry that is cut off, corrupt or made to do harm is a miss.
        """
        if source.receipt(key) is None:
            return False

        def copy(folder: str) -> None:
            for file in walk(source.entry(key)):
                target = f"{folder}/{file.name}"
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(file.path, target, follow_symlinks=False)
                os.chmod(target, stat.S_IMODE(file.stat.st_mode) & 0o555)
                flush(target)

        try:
            self.import_entry(key, copy)
        except (OSError, GraphError):
            return False
        return True

    def import_entry(self, key: str, fill: Callable[[str], None]) -> None:
        """Make the entry of `key` from what `fill` writes into the folder that it is given.

        Raises GraphError, and leaves no entry, unless all of it is what the key says; and whatever `fill` raises.
        """
        folder = self.new_folder(f"{key[:16]}-{os.getpid()}")
        try:
            fill(folder)
            self.remove(key)
            os.rename(folder, self.entry(key))
        finally:
            if os.path.lexists(folder):
                remove_tree(folder)
        if self.good(key) is None:
            self.remove(key)
            raise GraphError("its content is not what its receipt says")

    def remove(self, key: str) -> None:
        """Take an entry away, by a rename first: it is never seen half deleted."""
        if os.path.lexists(self.entry(key)):
            aside = f"{self.path}/.tmp-removed-{key}-{os.getpid()}"
            os.rename(self.entry(key), aside)
            remove_tree(aside)
            self.cache.forget(f"{self.entry(key)}/")

    def sweep(self) -> None:
        """Remove what killed runs left. Only for the holder of the lock."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.path):
                if name.startswith(".tmp-"):
                    remove_tree(f"{self.path}/{name}")
                    self.cache.forget(f"{self.path}/{name}/")

    def _measure(self, path: str, name: str) -> dict[str, Any]:
        """Digest and size of an output file or folder."""
        if not name.endswith("/"):
            st = os.lstat(path)
            if not stat.S_ISREG(st.st_mode):
                raise GraphError(f"{path} is not a plain file")
            return {"digest": self.cache.digest(path, st), "size_bytes": st.st_size, "executable": is_executable(st)}
        files, size = [], 0
        for file in walk(path.rstrip("/")):
            files.append((file.name, self.cache.digest(file.path, file.stat), is_executable(file.stat)))
            size += file.stat.st_size
        return {"digest": tree_digest(files), "size_bytes": size, "files": len(files)}


# ── Files ──


def remove_tree(path: str) -> None:
    """Remove a folder, also one that a command made read-only."""
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _keep_only(folder: str, outputs: Sequence[str], prefix: str = "") -> None:
    """Remove what no output names: it would lie in the store without a digest."""
    keep = {f"{prefix}{LOG}" if not prefix else "", *(name.rstrip("/") for name in outputs)}
    for entry in list(os.scandir(folder)):
        name = prefix + entry.name
        if name in keep:
            continue
        if any(output.startswith(f"{name}/") for output in keep) and entry.is_dir(follow_symlinks=False):
            _keep_only(entry.path, outputs, f"{name}/")
        elif entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)


def _unshare(path: str) -> None:
    """Give a hard-linked file an inode of its own: its other name could still be written through."""
    temporary = f"{path}.{os.getpid()}.tmp"
    shutil.copy2(path, temporary)
    os.replace(temporary, path)


def flush(path: str) -> None:
    """Make a file or a folder durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
