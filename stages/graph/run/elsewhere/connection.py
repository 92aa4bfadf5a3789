"""A conversation with the other side: the words that start a program there in, requests out, answers in.

The other side's program (there/) is sent first, so nothing has to be installed. A connection that breaks raises Lost;
every request may be made again on another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...errors import GraphError, StageFailed

THERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "there")
MODULES = ("talk", "stock", "queues", "commands", "serve")  # in an order in which each finds what it imports
BOOT = "import sys;b=sys.stdin.buffer;exec(b.read(int(b.readline())))"
LOAD = """
import types
package = sys.modules["there"] = types.ModuleType("there")
package.__path__ = []
for name, text in TEXTS:
    module = sys.modules["there." + name] = types.ModuleType("there." + name)
    module.__package__ = "there"
    exec(compile(text, "there/" + name + ".py", "exec"), module.__dict__)
module.serve()
"""
MARK = b"\0there\n"
LOOK_S = 0.2  # how often it is seen that this run is being stopped
END_S = 2.0  # how long the program that connects may take to end by itself
CHUNK_BYTES = 1 << 18
LOST = 255  # ssh's own exit status where it, and not the program there, failed


class Lost(Exception):
    """The connection broke, or could not be made; the text is what the connecting program said."""


class Connection:
    """One program there, that obeys."""

    def __init__(self, shell: Sequence[str], python: str, stopping: Callable[[], bool]) -> None:
        """`shell`: the words that start a program there; none for this machine. `python`: what runs ours there.
        `stopping`: whether to give up.

        Raises Lost where nobody answers, GraphError where the other side has no such Python.
        """
        self._stopping = stopping
        self._buffer = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `close`
        words = [python, "-c", BOOT]
        try:
            self._process = subprocess.Popen(
                [*shell, shlex.join(words)] if shell else words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C is for us: the other side is told
            )
        except OSError as error:
            self._errors.close()
            raise GraphError(f"cannot start {(shell or words)[0]}: {error.strerror}") from error
        try:
            text = _program()
            self.send(f"{len(text)}\n".encode() + text)
            while MARK not in self._buffer:  # behind what login scripts print
                self._fill()
            self._buffer = self._buffer.partition(MARK)[2]
        except BaseException as error:
            status = self.close()
            if isinstance(error, Lost) and status not in (LOST, None) and status >= 0:
                raise GraphError(f"`{python}` does not run there (status {status}): {error}") from None
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Make a request that has one answer. Raises StageFailed where the other side refuses, Lost."""
        self.request(do, **request)
        return self.answer()

    def request(self, do: str, **request: Any) -> None:
        """Make a request; its answers are to be read."""
        self.send(json.dumps({"do": do, **request}).encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Send bytes. Raises Lost."""
        assert self._process.stdin is not None
        try:
            for start in range(0, len(data), CHUNK_BYTES):
                self._look()
                self._process.stdin.write(data[start : start + CHUNK_BYTES])
            self._process.stdin.flush()
        except OSError:
            raise Lost(self._said()) from None

    def answer(self) -> dict[str, Any]:
        """The next line of an answer. Raises StageFailed where it says what went wrong, Lost."""
        while b"\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise StageFailed(f"the other side refused: {found['error']}", "the other side refused")
        return found

    def read(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, a little at a time. Raises Lost."""
        while size:
            if not self._buffer:
                self._fill()
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(data)
            yield data

    def is_quiet(self, wait_s: float) -> bool:
        """Whether nothing came within a while."""
        assert self._process.stdout is not None
        return not self._buffer and not select.select([self._process.stdout], [], [], wait_s)[0]

    def close(self) -> int | None:
        """End it; what runs there by itself goes on. Returns the exit status of the connecting program, None where it
        had to be killed.
        """
        process = self._process
        with contextlib.suppress(OSError):
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
        try:
            return process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None
        finally:
            if process.stdout is not None:
                process.stdout.close()
            self._errors.close()

    def _fill(self) -> None:
        assert self._process.stdout is not None
        while not select.select([self._process.stdout], [], [], LOOK_S)[0]:
            self._look()
        data = os.read(self._process.stdout.fileno(), CHUNK_BYTES)
        if not data:
            raise Lost(self._said())
        self._buffer += data

    def _look(self) -> None:
        if self._stopping():
            raise StageFailed("it was stopped")

    def _said(self) -> str:
        """The last lines that the connecting program wrote to standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return "; ".join(line.strip() for line in lines[-3:]) or "the connection broke"


def _program() -> bytes:
    """The text of the program there: modules that no file there holds."""
    texts = []
    for name in MODULES:
        with open(f"{THERE}/{name}.py", encoding="utf-8") as file:
            texts.append((name, file.read()))
    return f"TEXTS = {texts!a}\n{LOAD}".encode()
