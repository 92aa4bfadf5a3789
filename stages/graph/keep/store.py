"""The store: finished results under their keys, each an immutable folder that appears by one rename.

    build/store/<key>/     the outputs, receipt.json, log.txt; files read-only, folders not: those could not be renamed
    build/store/.tmp-*/    being made; leftovers are removed when the lock is next taken
    build/store/.replaced-<key>/   an entry that is being replaced; restored if a kill left no new one
    build/<scope>/.current/<stage> -> ../../store/<key>

A receipt holds what the key was made from, the digests of the outputs, and how the run went. Nothing in it is trusted
unchecked: an entry counts only if its receipt can be read and belongs to its key, and every output still has its
digest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..declare.names import LOG, RECEIPT, within
from ..errors import GraphError, StageFailed
from ..read.digest import BYTECODE, FOREIGN, is_executable, tree_digest, walk
from ..read.statcache import StatCache, stamp
from .links import linked_key
from .receipt import Receipt, belongs, read_receipt, summary

TEMPORARY, REPLACED = ".tmp-", ".replaced-"
CHUNK_BYTES = 1 << 20


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

    def problems(self, key: str, receipt: Receipt, folder: str | None = None) -> list[tuple[str, str, str]]:
        """What is wrong with the outputs of an entry, as (output, expected, found); empty if all have their digests.
        `folder`: where its files lie, if not in the store yet.
        """
        found = []
        folder = folder or self.entry(key)
        for name, expected in receipt["outputs"].items():
            try:
                actual = self._measure(folder, name, receipt["outputs"])
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
        """Every readable receipt, of one stage or of all, the most recently used first."""
        with contextlib.suppress(FileNotFoundError):
            entries = [entry for entry in os.scandir(self.path) if not entry.name.startswith(".")]
            for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime_ns, reverse=True):
                receipt = self.receipt(entry.name)
                if receipt is not None and stage in (None, receipt.get("stage")):
                    yield receipt

    def new_folder(self, stage: str) -> str:
        """An empty temporary folder in which a command makes its outputs.

        Its name is always the same, so a path that leaks into an output does not differ from run to run. The lock
        keeps others out.
        """
        folder = f"{self.path}/{TEMPORARY}{stage}"
        if os.path.lexists(folder):
            remove_tree(folder)
        self.cache.forget(f"{folder}/")
        os.makedirs(folder)
        return folder

    def seal(self, folder: str, outputs: Sequence[str]) -> dict[str, Any]:
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
        for path, folders, files in os.walk(folder):
            if BYTECODE in folders:
                remove_tree(f"{path}/{BYTECODE}")
            for name in FOREIGN.intersection(files if path != folder else ()):
                os.unlink(f"{path}/{name}")
        try:
            for file in walk(folder):
                if file.stat.st_nlink > 1:
                    _unshare(file.path)
                flush(file.path, stat.S_IMODE(file.stat.st_mode) & ~0o222)
            for path, _, _ in os.walk(folder):
                flush(path)
            return {name: self._measure(folder, name, outputs) for name in outputs}
        except GraphError as error:
            raise StageFailed(str(error)) from error

    def publish(self, folder: str, key: str, receipt: Receipt) -> None:
        """Write the receipt beside outputs and log, and rename the folder to its key, in place of an entry that is
        there.
        """
        target = f"{folder}/{RECEIPT}"
        flush(f"{folder}/{LOG}", 0o444)
        # A name of a file need not be UTF-8: JSON's own escapes hold what is not.
        with open(target, "w", encoding="utf-8", errors="backslashreplace") as file:
            json.dump(receipt, file, sort_keys=True, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        flush(folder)
        self._put_in_place(folder, key)

    def import_from(self, key: str, source: Store) -> bool:
        """Copy an entry of another store, checked on arrival. False if there is none, or it is not what its key says.

        Nothing in the other store is trusted: an entry that is cut off, corrupt or malicious is a miss.
        """
        if source.receipt(key) is None:
            return False

        def copy(folder: str) -> None:
            for file in walk(source.entry(key)):
                copy_file(file.path, f"{folder}/{file.name}")

        try:
            self.import_entry(key, copy)
        except (OSError, GraphError):
            return self.good(key) is not None  # another run may have been faster
        return True

    def import_entry(self, key: str, fill: Callable[[str], None]) -> None:
        """Make the entry of `key` from what `fill` writes into the folder that it is given.

        Raises GraphError, and leaves no entry, unless all of it is what the key says; and whatever `fill` raises.
        """
        with self._in_use():
            folder = self.new_folder(f"{key[:16]}-{os.getpid()}")
            try:
                fill(folder)
                with open(f"{folder}/{RECEIPT}", "rb") as file:
                    receipt = read_receipt(file.read(), key)
                if receipt is None or not belongs(receipt):
                    raise GraphError("its receipt cannot be read, or is of another key")
                for name in receipt["outputs"]:
                    if name.endswith("/"):  # an empty folder holds no file that would have brought it along
                        os.makedirs(f"{folder}/{name}", exist_ok=True)
                if self.problems(key, receipt, folder):
                    raise GraphError("its content is not what its receipt says")
                self._put_in_place(folder, key)
            finally:
                if os.path.lexists(folder):
                    remove_tree(folder)

    def _put_in_place(self, folder: str, key: str) -> None:
        """Rename a finished folder to its key. An entry that is there stays until then: were this run to die between
        the two renames, the next sweep would bring it back.
        """
        old = f"{self.path}/{REPLACED}{key}"
        self._settle(key)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.entry(key), old)
            self.cache.forget(f"{self.entry(key)}/")
            os.rename(folder, self.entry(key))
            flush(self.path)
            self.cache.move(f"{folder}/", f"{self.entry(key)}/")
        finally:
            self._settle(key)

    def _settle(self, key: str) -> None:
        """Remove what an entry was replaced with, or put it back where nothing came in its place."""
        old = f"{self.path}/{REPLACED}{key}"
        if not os.path.lexists(old):
            return
        if os.path.lexists(self.entry(key)):
            remove_tree(old)
        else:
            os.rename(old, self.entry(key))

    @contextlib.contextmanager
    def _in_use(self, how: int = fcntl.LOCK_SH) -> Iterator[None]:
        """Keep others from sweeping a store that several build folders share while something is made in it."""
        os.makedirs(self.path, exist_ok=True)
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)

    def remove(self, key: str) -> None:
        """Remove an entry. It is renamed first, so it is never seen half deleted."""
        if os.path.lexists(self.entry(key)):
            aside = f"{self.path}/{TEMPORARY}removed-{key}-{os.getpid()}"
            os.rename(self.entry(key), aside)
            remove_tree(aside)
            self.cache.forget(f"{self.entry(key)}/")

    def sweep(self) -> None:
        """Remove what killed runs left, unless another run is making something here right now. The build folder's
        own store is swept by the holder of its lock alone.
        """
        with contextlib.suppress(OSError):  # not there yet, in use, or on a file system that locks no folder
            left = [name for name in os.listdir(self.path) if name.startswith((TEMPORARY, REPLACED))]
            if not left:
                return
            with self._in_use(fcntl.LOCK_EX | fcntl.LOCK_NB):
                for name in left:
                    if name.startswith(REPLACED):
                        self._settle(name.removeprefix(REPLACED))
                    else:
                        remove_tree(f"{self.path}/{name}")
                        self.cache.forget(f"{self.path}/{name}/")

    def _measure(self, folder: str, name: str, outputs: Iterable[str]) -> dict[str, Any]:
        """Digest and size of an output file or folder, one of the `outputs` in `folder`."""
        path = f"{folder}/{name}"
        if not name.endswith("/"):
            st = os.lstat(path)
            if not stat.S_ISREG(st.st_mode):
                raise GraphError(f"{path} is not a plain file")
            return {"digest": self.cache.digest(path, st), "size_bytes": st.st_size, "executable": is_executable(st)}
        files, size = [], 0
        for file in walk(path.rstrip("/"), within(name, outputs)):
            files.append((file.name, self.cache.digest(file.path, file.stat), is_executable(file.stat)))
            size += file.stat.st_size
        return {"digest": tree_digest(files), "size_bytes": size, "files": len(files)}


# ── Files ──


def remove_tree(path: str) -> None:
    """Remove a folder, also one that a command made read-only. What cannot be removed stays, without an error."""
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _keep_only(folder: str, outputs: Sequence[str], prefix: str = "") -> None:
    """Remove what is no part of an output: it would be in the store without a digest."""
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


def write_file(path: str, chunks: Iterable[bytes], executable: bool) -> None:
    """Write a new read-only file, durable, and the folders that it lies in. Raises FileExistsError where anything has
    that name: nothing is ever written through a link.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as out:
        for chunk in chunks:
            out.write(chunk)
        out.flush()
        os.fchmod(out.fileno(), 0o555 if executable else 0o444)
        os.fsync(out.fileno())


def copy_file(source: str, target: str) -> None:
    """Copy a file as `write_file` writes it. Raises OSError where `source` is a symbolic link."""
    with os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        write_file(target, iter(lambda: file.read(CHUNK_BYTES), b""), is_executable(os.fstat(file.fileno())))


def flush(path: str, mode: int | None = None) -> None:
    """Make a file or a folder durable; `mode`: its new permissions, never through a symbolic link (OSError)."""
    fd = os.open(path, os.O_RDONLY | (0 if mode is None else os.O_NOFOLLOW))
    try:
        if mode is not None:
            os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)
