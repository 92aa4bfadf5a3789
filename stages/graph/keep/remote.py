"""The remote store: results at any URL that fsspec reaches, one archive a key.

    URL/<key>.tar        see archive.py

In: keys that are wanted here, results that were built here. Out: entries of the local store, checked as they arrive.
An archive that is cut off, corrupt or malicious counts as a miss, with one line. Digests find damage, not forgery:
whoever may write to a remote is trusted as much as those who may write to the project.

A remote that is down, slow or read-only costs one line and is not used for the rest of the run: a cache must not fail
a build. fsspec is imported when the first key is asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from ..errors import GraphError, StageFailed
from . import archive
from .receipt import Receipt
from .store import CHUNK_BYTES, Store, remove_tree

STALLED_S = 30.0  # no byte moved for so long: the remote counts as down
SLOWEST_BYTES_PER_S = 200_000  # some backends report an upload only at its end: time allowed for that
ATTEMPTS = 2
RETRY_AFTER_S = 1.0
CONNECT_S = 10
ASK_S, ASK_ALL_S = 4.0, 10.0  # how long `doit why` waits for one answer, and for all of them
REFUSALS = (401, 403, 404, 405, 501)  # HTTP's ways of saying that nothing may be written there


class Remote:
    """One remote store. Its methods may be called from several threads."""

    def __init__(self, url: str, note: Callable[[str], None], stopping: Callable[[], bool] = lambda: False) -> None:
        """`note` takes lines for a person; `stopping` says that this run is to end."""
        self.url = url
        self.shown = without_secrets(url, url)
        self.trouble: str | None = None  # the first thing that went wrong with the remote itself
        self._readable = self._writable = True
        self._note, self._stopping = note, stopping
        self._guard = threading.Lock()
        self._asked_s = 0.0  # spent on asking for receipts

    def fetch(self, key: str, store: Store) -> int | None:
        """Bring the result of `key` into `store`; returns the size of its archive in bytes, None for a miss."""
        if not self._readable:
            return None
        temporary = f"{store.path}/.tmp-fetch-{key}"
        os.makedirs(store.path, exist_ok=True)
        try:
            try:
                self._patiently(
                    lambda callback: self._fs.get_file(self._place(key), temporary, callback=callback),
                    moved=lambda: os.path.getsize(temporary) if os.path.exists(temporary) else 0,
                )
            except FileNotFoundError:
                return None
            except StageFailed:  # stopped
                raise
            except Exception as error:  # every backend has its own kinds
                self._give_up("reading", error)
                return None
            try:
                store.import_entry(key, lambda folder: archive.unpack(temporary, folder, key))
                return os.path.getsize(temporary)
            except (GraphError, OSError) as error:
                self._note(f"{self.shown}: {key[:10]} is not used: {error}")
                return None
        finally:
            _remove(temporary)

    def receipt(self, key: str) -> Receipt | None:
        """The receipt in the remote's archive of `key`; None where there is none, or no answer came in time.

        A person is waiting: a remote that does not answer within ASK_S is not used again, and after ASK_ALL_S in all
        nothing more is asked.
        """
        if not self._readable or self._asked_s > ASK_ALL_S:
            return None

        def read(_: Any) -> Receipt | None:
            # block_size 0: one stream, of which only the start is read, even where a server sends only whole objects
            with self._fs.open(self._place(key), "rb", cache_type="none", block_size=0) as file:
                return archive.receipt_at(file, key)

        began = time.monotonic()
        try:
            found: Receipt | None = self._watched(read, ASK_S, lambda: 0)
            return found
        except FileNotFoundError as error:
            if (trouble := _trouble_behind(error)) is not None:
                self._give_up("reading", trouble)
            return None
        except Exception as error:  # every backend has its own kinds
            self._give_up("reading", error)
            return None
        finally:
            self._asked_s += time.monotonic() - began
            if self._asked_s > ASK_ALL_S:
                self._note(f"{self.shown} is slow: what it has of the other stages was not asked")

    def send(self, key: str, store: Store, unless_there: bool = False) -> tuple[bool, int] | None:
        """Copy the entry of `key`, which must be good; returns whether it was sent and its size in bytes, None where
        that did not work. `unless_there`: not if the remote has the very same bytes.
        """
        receipt = store.receipt(key)
        if not self._writable or receipt is None:
            return None
        temporary = f"{store.path}/.tmp-send-{key}"
        try:
            _remove(temporary)
            trailer = archive.pack(store.entry(key), receipt, temporary)
            size = os.path.getsize(temporary)
            if unless_there and self._has(key, size, trailer):
                return False, size
            self._patiently(lambda callback: self._put(temporary, self._place(key), callback), size=size)
            return True, size
        except StageFailed:  # stopped
            raise
        except Exception as error:  # every backend has its own kinds
            self._give_up("writing", error)
            return None
        finally:
            _remove(temporary)

    def _has(self, key: str, size: int, trailer: bytes) -> bool:
        """Whether the remote's archive has this size and this end. False where that is not known."""

        def read(_: Any) -> bytes:
            with self._fs.open(self._place(key), "rb", cache_type="none") as file:
                if file.size != size:
                    return b""
                file.seek(size - len(trailer))
                return bytes(file.read(len(trailer)))

        try:
            return self._patiently(read) == trailer
        except (FileNotFoundError, ValueError, AttributeError):  # a server that sends whole objects only
            return False

    def _put(self, path: str, place: str, callback: Any) -> None:
        """Upload one file. Where that is not atomic by itself, under another name first."""
        from fsspec.implementations.local import LocalFileSystem

        if isinstance(self._fs, LocalFileSystem):
            self._fs.makedirs(os.path.dirname(place), exist_ok=True)
            beside = f"{place}.tmp-{os.getpid()}"
            try:
                self._fs.put_file(path, beside, callback=callback)
                with open(beside, "rb") as file:
                    os.fsync(file.fileno())
                os.replace(beside, place)
            finally:
                _remove(beside)
        elif self._protocol in ("http", "https"):
            self._fs.put_file(path, place, callback=callback, method="put")
        elif self._fs.async_impl:  # these report their progress
            self._fs.put_file(path, place, callback=callback)
        else:  # sftp and others report nothing before the end
            self._fs.makedirs(os.path.dirname(place), exist_ok=True)
            with open(path, "rb") as file, self._fs.open(place, "wb") as out:
                while chunk := file.read(CHUNK_BYTES):
                    out.write(chunk)
                    callback.relative_update(len(chunk))

    # ── The connection ──

    @cached_property
    def _protocol(self) -> str:
        return self.url.partition("://")[0].rpartition("::")[2].lower()

    @cached_property
    def _fs_and_path(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        options: dict[str, Any] = {"skip_instance_cache": True}
        if self._protocol in ("http", "https"):
            import aiohttp

            # aiohttp's own default ends every transfer after five minutes.
            timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=STALLED_S)
            options["client_kwargs"] = {"timeout": timeout, "trust_env": True}
        elif self._protocol in ("s3", "s3a"):
            options["config_kwargs"] = {"connect_timeout": CONNECT_S, "read_timeout": STALLED_S}
        fs, path = url_to_fs(self.url, **options)
        return fs, str(path).rstrip("/")

    @property
    def _fs(self) -> Any:
        with self._guard:
            return self._fs_and_path[0]

    def _place(self, key: str) -> str:
        with self._guard:
            return f"{self._fs_and_path[1]}/{key}.tar"

    def _patiently(self, work: Callable[[Any], Any], *, size: int = 0, moved: Callable[[], int] = lambda: 0) -> Any:
        """The value of `work(callback)`, tried twice. `moved`: how many bytes came so far, for backends that do not
        call back. Raises what `work` raises, TimeoutError once nothing moves any more, StageFailed when this run is
        to end.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._watched(work, STALLED_S + size / SLOWEST_BYTES_PER_S, moved)
            except (TimeoutError, ImportError, ValueError, GraphError):
                raise
            except Exception as error:
                if attempt == ATTEMPTS or _is_refusal(error):
                    raise
                time.sleep(RETRY_AFTER_S)
        raise AssertionError("unreachable")

    def _watched(self, work: Callable[[Any], Any], patience_s: float, moved: Callable[[], int]) -> Any:
        """Run `work` in a thread that can be left behind: not every backend has time limits of its own."""
        from fsspec.callbacks import Callback

        last_s, seen = [time.monotonic()], 0
        ended: list[tuple[Any, BaseException | None]] = []
        done = threading.Event()

        class Watch(Callback):
            def call(self, *_: Any, **__: Any) -> None:
                last_s[0] = time.monotonic()

        def run() -> None:
            try:
                ended.append((work(Watch()), None))
            except BaseException as error:  # handed to the caller below
                ended.append((None, error))
            done.set()

        threading.Thread(target=run, daemon=True).start()
        while not done.wait(0.1):
            if self._stopping():
                raise StageFailed("was stopped")
            if (now := moved()) != seen:
                seen, last_s[0] = now, time.monotonic()
            if time.monotonic() - last_s[0] > patience_s:
                raise TimeoutError(f"nothing moved for {patience_s:.0f} s")
        value, error = ended[0]
        if error is not None:
            raise error
        return value

    def _give_up(self, doing: str, error: Exception) -> None:
        """Do not use the remote from now on, and say so in one line."""
        with self._guard:
            if not self._readable or (doing == "writing" and not self._writable):
                return
            self._writable = False
            if not (doing == "writing" and _is_refusal(error)):
                self._readable = False
            what = without_secrets(f"{type(error).__name__}: {error}".splitlines()[0], self.url)
            left = "is left alone for this run" if not self._readable else "is only read from in this run"
            self.trouble = f"{doing} failed ({what.rstrip('.')})"
        advice = "check the address, the network, and your rights and credentials there"
        if isinstance(error, ImportError):
            advice = "install that package, with its pins if the project has some"
        self._note(f"{self.shown} {left}: {self.trouble}; {advice}")


def without_secrets(text: str, url: str) -> str:
    """`text` without what may be secret in URLs: user and password, and queries (signatures)."""
    authority = re.match(r"[^/]*//([^/?#]*)@", url)
    for secret in authority[1].split(":") if authority else ():
        for written in {secret, unquote(secret)}:
            text = text.replace(written, "…") if len(written) > 2 else text
    text = re.sub(r"(://)[^/\s@]*@", r"\1", text)
    return re.sub(r"(://[^\s?]*)\?[^\s'\")]*", r"\1", text)


def _is_refusal(error: Exception) -> bool:
    """Whether the error is a refusal: asking again would not help, but other requests may succeed."""
    return (
        isinstance(error, PermissionError | NotImplementedError)
        or (isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC))
        or getattr(error, "status", None) in REFUSALS
        or isinstance(error, FileNotFoundError)
    )


def _trouble_behind(error: FileNotFoundError) -> OSError | None:
    """What really happened where fsspec says of a server that was not reached that a file is not there."""
    cause = error.__cause__
    while isinstance(cause, FileNotFoundError):
        cause = cause.__cause__
    return cause if isinstance(cause, OSError) else None


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        remove_tree(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
