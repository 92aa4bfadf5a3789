"""What the commands share: arguments, parameter files, messages, and outputs that appear whole or not at all.

Each command is `python -m training.X --params FILE ... --out DIR`; training.params writes such a file from a preset.
Exit status: 0, 1 for a failure (one clear line on stderr), 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PROFILES = ("fast", "repro")


class Interrupted(Exception):
    """A signal asked the command to stop, and what it kept lets it go on later."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.exit_status = 128 + signum


class StopRequest:
    """SIGINT and SIGTERM as a request that is honoured at the next safe point."""

    def __init__(self) -> None:
        self.signum = 0
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: object) -> None:
        self.signum = signum

    def check(self) -> None:
        """Raises Interrupted once a signal came."""
        if self.signum:
            raise Interrupted(
                self.signum, f"stopped by {signal.Signals(self.signum).name}; the same command goes on from here"
            )


def parser(module: str, description: str, *, params: bool = True) -> argparse.ArgumentParser:
    """A parser with the arguments that commands share. params: whether this one takes parameters."""
    made = argparse.ArgumentParser(prog=f"python -m training.{module}", description=description)
    if params:
        made.add_argument(
            "--params",
            type=Path,
            required=True,
            metavar="FILE",
            help="parameters as JSON: a stage writes them, and so does python -m training.params PRESET",
        )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the outputs go")
    return made


def params_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parameters of a file, with every part in place:
    {"params": {section: {field: value}}, "runtime": the same of what decides no result, "profile": "fast", "repro" or,
    where it is no matter to the command, None}.

    Raises ValueError naming the file where it is not that.
    """
    params = read_json(arguments.params)
    if not isinstance(params, dict) or params.get("profile") not in (*PROFILES, None):
        raise ValueError(f'{arguments.params}: no "profile" that is one of {", ".join(PROFILES)}')
    params = {"runtime": {}, "profile": None, **params}
    for part in ("params", "runtime"):
        if not isinstance(params.get(part), dict):
            raise ValueError(f'{arguments.params}: no "{part}" with the parameters by section')
    return params


@contextlib.contextmanager
def publishing(out: Path) -> Iterator[Path]:
    """A temporary folder inside out. What stands in it at the end moves into out, replacing what had those names; after
    an exception nothing does. The folder is on out's file system, so each move is one rename."""
    out.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=out))
    try:
        yield temporary
        for entry in sorted(temporary.iterdir()):
            target = out / entry.name
            if target.is_dir() and not target.is_symlink():
                target.rename(temporary / f".old-{entry.name}")
            entry.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def run(
    command: Callable[[argparse.Namespace], None], arguments: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> int:
    """Parse argv, run the command, and turn its errors into a line on stderr and an exit status."""
    parsed = arguments.parse_args(argv)
    try:
        command(parsed)
    except Interrupted as stopped:
        say(str(stopped))
        return stopped.exit_status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (ValueError, OSError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        out = getattr(parsed, "out", "its output")
        hint = f"; nothing went to {out}: make room on its disk and start again" if full else ""
        say(f"{arguments.prog.split()[-1]}: {error}{hint}")
        return 1
    return 0


def speaks() -> bool:
    """Whether this process is the one that people see, of those that torchrun has started."""
    return int(os.environ.get("RANK", "0")) == 0


def say(line: str) -> None:
    """One line for whoever watches."""
    if speaks():
        print(printable(line), file=sys.stderr, flush=True)


def printable(line: str) -> str:
    """The line, where what a document's name or a model's text could do to a terminal is an escape instead."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)


def read_json(path: Path) -> Any:
    """The JSON of a file. Raises ValueError naming the file where it is not UTF-8 or JSON, or says a key twice."""
    return parse_json(path.read_bytes(), str(path))


def parse_json(data: bytes, where: str) -> Any:
    """The JSON of a file or a line. Raises ValueError that begins with `where`."""
    try:
        return _JSON.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError too
        raise ValueError(f"{where}: not JSON: {error}") from error


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return made


_JSON = json.JSONDecoder(object_pairs_hook=_no_key_twice)  # json.loads would make one for each line of a long list


def write_json(path: Path, value: Any) -> None:
    """value as readable JSON with sorted keys: equal values give equal bytes."""
    path.write_text(
        json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
