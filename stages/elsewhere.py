"""Where stages run that do not run here: pocketlm.toml and words of the command line in; tables, and what makes a
stage's Python on another machine, out. Imported when a command is about to run, or where such a word was typed.

    [run.train]                      # in pocketlm.toml, which git does not know
    on = "ssh://gpu.example/scratch/me"

    ./doitw train run.train.on=ssh://gpu.example/scratch/me
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from stages import paths
from stages.graph import GraphError, Stage, UsageError
from stages.graph.declare.site import OPTIONS, Environment, site_of
from stages.settings import RUN

FILE = paths.ROOT / "pocketlm.toml"


def tables(words: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The tables of options, by the stage's name. A word for `on` takes the place of the whole table in the file; an
    empty one means: here.

    Raises UsageError for a file that is no such file.
    """
    found = _from_file()
    typed = _typed(words)
    for stage, options in typed.items():
        found[stage] = options if "on" in options else {**found.get(stage, {}), **options}
    return {stage: options for stage, options in found.items() if options.get("on") != ""}


def check_words(words: Mapping[str, str], stages: Collection[str]) -> None:
    """Raises UsageError for words that mean no stage, or say nothing."""
    for stage, options in _typed(words).items():
        if stage not in stages:
            raise UsageError(f"{RUN}{stage}: no stage is called so; `doit list` shows them")
        if options.get("on"):
            site_of(stage, options)


def _typed(words: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, text in words.items():
        if name.startswith(RUN):
            stage, _, option = name.removeprefix(RUN).partition(".")
            if option not in ("on", *OPTIONS):
                raise UsageError(f"{name}= is none of {RUN}STAGE.on, {', '.join(OPTIONS)}")
            number = OPTIONS.get(option, ((),))[0] == (int,)
            if number and not text.isdecimal():
                raise UsageError(f"{name}={text} is not a number")
            found.setdefault(stage, {})[option] = int(text) if number else text
    return found


def _from_file() -> dict[str, dict[str, Any]]:
    try:
        text = FILE.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        found = tomllib.loads(text).get("run", {})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{FILE}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        raise UsageError(f"{FILE}: `run` holds tables, such as [run.train]")
    return found


# uv comes with the first lock, and is quicker than pip for the others.
_VENV = '"{python}" -m venv "{env}"'
_FIRST = '"{env}/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r base.txt'
_MORE = (
    '{{ "{{env}}/bin/uv" pip install --quiet --python "{{env}}/bin/python" --require-hashes -r {lock} || '
    '"{{env}}/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r {lock}; }}'
)


def environment(stage: Stage) -> Environment:
    """The packages that a stage needs, by their locks, in an environment of their own."""
    locks = {"base.txt": str(paths.LOCKS / "base.txt")}
    for setup in stage.needs:
        name = f"{setup.name}.txt"
        if not (paths.LOCKS / name).is_file():
            raise GraphError(
                f"stage {stage.name} needs {setup.name}, which is made on this machine alone; where the other one has "
                f"it, name a Python there: run.{stage.name}.python; else what makes it: run.{stage.name}.prepare"
            )
        locks[name] = str(paths.LOCKS / name)
    more = [_MORE.format(lock=name) for name in list(locks)[1:]]
    return Environment(locks, " && ".join([_VENV, _FIRST, *more]))


def packages(stage: Stage) -> list[str]:
    """A stage's tools that are Python packages: those that a lock pins."""
    pinned = {line.partition("==")[0] for lock in paths.LOCKS.glob("*.txt") for line in lock.open(encoding="utf-8")}
    return [tool.name for tool in stage.tools if tool.version is not None and tool.name in pinned]
