"""Where commands run that do not run here: tables that a person wrote in, a checked `Site` for each out. Pure data.

    on = "ssh://me@gpu.example:22/scratch/me"   another machine, in that folder ("/~/..." is below the home there)
    on = "slurm:PARTITION"                      a queue; `path` is a folder that its machines see, or an ssh:// URL
    on = "ray://HOST:8265"                      a Ray cluster, by the address of its dashboard; `path` as for a queue
    on = "nice -n 19"                           here, behind these words; also as a list of words

What a table says is in no key: the same command on the same bytes. What a key does hold, the versions of tools, is
compared with what is found there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError

SSH, SLURM, RAY, PREFIX = "ssh", "slurm", "ray", "prefix"
QUEUES = (SLURM, RAY)
REMOTE = (SSH, *QUEUES)
# option -> what it may be, and for which kinds
OPTIONS: dict[str, tuple[tuple[type, ...], tuple[str, ...]]] = {
    "path": ((str,), QUEUES),
    "python": ((str,), REMOTE),
    "prepare": ((str,), REMOTE),
    "ssh": ((str, list), REMOTE),
    "options": ((str, list), (SLURM,)),
    "at_once": ((int,), REMOTE),
}
QUEUED_AT_ONCE = 1000  # a queue has an order of its own
_URL = re.compile(r"ssh://((?:[^-@/\s][^@/\s]*@)?(?:\[[0-9A-Fa-f:.%]+\]|[^-\[@:/\s][^@:/\s]*))(?::(\d+))?(/\S.*)")
_RAY = re.compile(r"ray:(?:(?P<scheme>https?:))?(?P<rest>//[^\s?#]*[^\s?#/])/?")


@dataclass(frozen=True)
class Site:
    """Where the command of one stage runs."""

    on: str  # as a person wrote it
    kind: str  # SSH, SLURM, RAY or PREFIX
    shell: Sequence[str] = ()  # the words that start a program there, before the program's own; none: it starts here
    path: str = ""  # the folder there that all lies in
    prefix: Sequence[str] = ()  # of PREFIX: the words before the command, which may hold its placeholders
    partition: str = ""  # of SLURM
    address: str = ""  # of RAY: the URL of its dashboard, as the program that connects sees it
    options: Sequence[str] = ()  # of SLURM: more words for sbatch
    python: str | None = None  # the Python there; None: it is looked for, or made
    prepare: str | None = None  # a shell line that makes the environment there, in place of the project's
    at_once: int = 1  # how many commands may run there at a time

    @property
    def is_here(self) -> bool:
        """Whether the command runs in our own snapshot, and nothing has to travel."""
        return self.kind == PREFIX


@dataclass(frozen=True)
class Environment:
    """How what a stage needs is made on another machine."""

    files: Mapping[str, str]  # name there -> file here: what `make` reads
    # A shell line, run in a folder with these files. {python} is a Python there of our version, {env} the folder to
    # make, {env}/bin/python what runs the command. The same line and files are run once.
    make: str


def site_of(name: str, table: Mapping[str, Any]) -> Site:
    """The site that a table means. name: of the stage, for messages.

    Raises UsageError with what is wrong, and where.
    """
    where = f"run.{name}"
    on = table.get("on")
    if isinstance(on, str) and on.startswith("["):  # a list typed as a word
        on = _json_list(f"{where}.on", on)
    if not on or not isinstance(on, str | list):
        raise UsageError(
            f'{where}: on is missing; write on = "ssh://HOST/FOLDER", "slurm:PARTITION", "ray://HOST:8265" or a command'
        )
    kind = _kind(on)
    for option, value in table.items():
        if option == "on":
            continue
        types, kinds = OPTIONS.get(option, ((), ()))
        if not kinds:
            raise UsageError(f"{where}: {option} is none of on, {', '.join(OPTIONS)}")
        if kind not in kinds:
            raise UsageError(f"{where}: {option} means nothing where on = {_shown(on)!r}")
        if not isinstance(value, types) or isinstance(value, bool):
            raise UsageError(f"{where}.{option} is {value!r}; it takes {' or '.join(each.__name__ for each in types)}")
    if kind == PREFIX:
        return Site(_shown(on), kind, prefix=tuple(_words(f"{where}.on", on)))
    ssh = _words(f"{where}.ssh", table.get("ssh", "ssh"))
    common: dict[str, Any] = {"python": table.get("python"), "prepare": table.get("prepare")}
    at_once = table.get("at_once", 1 if kind == SSH else QUEUED_AT_ONCE)
    if at_once < 1:
        raise UsageError(f"{where}.at_once is {at_once}; it takes a number above 0")
    assert isinstance(on, str)
    shell: tuple[str, ...] = ()
    if kind == SSH:
        shell, path = _reach(f"{where}.on", on, ssh)
        return Site(on, kind, shell, path, at_once=at_once, **common)
    queue = _queue(f"{where}.on", on, kind)
    path = table.get("path", "")
    if not path.startswith(("/", "ssh://")):
        raise UsageError(
            f"{where}.path is {path!r}; give a folder that the machines of the queue see: /FOLDER or ssh://HOST/FOLDER"
        )
    if path.startswith("ssh://"):
        shell, path = _reach(f"{where}.path", path, ssh)
    options = _words(f"{where}.options", table.get("options", []))
    return Site(on, kind, shell, path, options=tuple(options), at_once=at_once, **queue, **common)


def _queue(where: str, on: str, kind: str) -> dict[str, str]:
    """Which queue it is: the partition, or the address."""
    if kind == RAY:
        found = _RAY.fullmatch(on)
        if found is None:
            raise UsageError(f"{where} is {on!r}; write ray://HOST:8265, or ray:https://HOST")
        return {"address": f"{found['scheme'] or 'http:'}{found['rest']}"}
    partition = on.removeprefix("slurm:")
    if not re.fullmatch(r"[\w.,-]*", partition):
        raise UsageError(f"{where} is {on!r}; write slurm:PARTITION")
    return {"partition": partition}


def _kind(on: str | list[Any]) -> str:
    if isinstance(on, str):
        for kind in REMOTE:
            if on.startswith(f"{kind}:"):
                return kind
    return PREFIX


def _reach(where: str, url: str, ssh: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """(the words that start a program there, the folder) of an ssh:// URL."""
    found = _URL.fullmatch(url)
    if found is None:
        raise UsageError(f"{where} is {url!r}; write ssh://[USER@]HOST[:PORT]/FOLDER")
    host, port, path = found[1], found[2], found[3].rstrip("/")
    # What a person's own words set goes first, and ssh takes the first. Without BatchMode it would ask on the terminal.
    own = ("-T", "-oBatchMode=yes", "-oConnectTimeout=10", "-oServerAliveInterval=5", "-oServerAliveCountMax=3")
    host = re.sub(r"\[(.*)\]$", r"\1", host)
    return (*ssh, *own, *(("-p", port) if port else ()), host), path.removeprefix("/") if path[:2] == "/~" else path


def _words(where: str, value: str | list[Any]) -> list[str]:
    if isinstance(value, list):
        if not all(isinstance(word, str) for word in value):
            raise UsageError(f"{where} is {value!r}; a list must hold words")
        return value
    import shlex

    try:
        return shlex.split(value)
    except ValueError as error:
        raise UsageError(f"{where} is {value!r}: {error}") from error


def _json_list(where: str, text: str) -> list[Any]:
    import json

    try:
        return list(json.loads(text))
    except ValueError as error:
        raise UsageError(f"{where}={text} is not a list: {error}; in a shell, put the word in single quotes") from error


def _shown(on: str | list[Any]) -> str:
    return on if isinstance(on, str) else " ".join(map(str, on))
