"""What the commands share: arguments, parameter files, messages, and outputs that appear whole or not at all.

Each command is `python -m training.X --params FILE ... --out DIR`, or `--preset NAME [--set train.steps=50] [--profile
repro]` in place of --params. Exit status: 0, 1 for a failure (one clear line on stderr), 2 for wrong arguments.
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

from training import config

PROFILES = ("fast", "repro")


class Interrupted(Exception):
    """A signal asked the command to stop, and what it kept lets it go on later."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.exit_status = 128 + signum


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with the arguments that every command takes."""
    made = argparse.ArgumentParser(prog=f"python -m training.{module}", description=description)
    where = made.add_mutually_exclusive_group()
    where.add_argument("--params", type=Path, metavar="FILE", help="parameters as JSON, written by a stage")
    where.add_argument("--preset", metavar="NAME", help=f"a preset ({', '.join(config.presets())}) or a .toml file")
    made.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override one value of the preset"
    )
    made.add_argument("--profile", choices=PROFILES, help="fast (default): all cores; repro: the same bits every time")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the outputs go")
    return made


def params_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parameters as a stage writes them: {"params": {section: {field: value}}, "profile": "fast" or "repro"}."""
    if arguments.params is not None:
        if arguments.set or arguments.profile:
            raise ValueError("--set and --profile go with --preset; a parameter file has all its values")
        params = read_json(arguments.params)
        # "profile" may be null: it is no matter to this command
        if not isinstance(params, dict) or params.get("profile") not in (*PROFILES, None):
            raise ValueError(f'{arguments.params}: no "profile" that is one of {", ".join(PROFILES)}')
        if not isinstance(params.get("params"), dict):
            raise ValueError(f'{arguments.params}: no "params" with the parameters by section')
        return {"profile": None, **params}
    overrides = {}
    for word in arguments.set:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"--set {word}: not of the form NAME=VALUE")
        overrides[name] = value
    loaded = config.load(arguments.preset or "shakespeare", overrides)
    sections: dict[str, Any] = {}
    for name, value in loaded.flat().items():
        section, _, field = name.partition(".")
        sections.setdefault(section, {})[field] = value
    preset = {"preset": Path(arguments.preset or "shakespeare").stem}
    return {"params": {**preset, **sections}, "profile": arguments.profile or "fast"}


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
        hint = f"; nothing went to {parsed.out}: make room on its disk and start again" if full else ""
        say(f"{arguments.prog.split()[-1]}: {error}{hint}")
        return 1
    return 0


def say(line: str) -> None:
    """One line for whoever watches. What a document's name could do to a terminal is shown as an escape instead."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    print(shown, file=sys.stderr, flush=True)


def read_json(path: Path) -> Any:
    """The JSON of a file. Raises ValueError naming the file where it is not UTF-8 or JSON, or says a key twice."""
    try:
        return json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError too
        raise ValueError(f"{path}: not JSON: {error}") from error


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return made


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
