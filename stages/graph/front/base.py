"""What the commands share: how they find the graph, how errors read, and the exit statuses.

Exit status: 0 success; 1 a failure with a message; 2 wrong arguments; 75 another run holds the lock; 128 + signal
after a signal.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

from doit.cmd_base import DoitCmdBase
from doit.cmdparse import CmdParseError
from doit.dependency import JsonDB, SqliteDB
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

from ..declare.stage import Stage
from ..errors import GraphError, LockHeld, UsageError
from .tasks import Graph

GC_THRESHOLD = 100_000  # a look's objects live to its end: with 1,000 stages, collecting sooner took 14 % of the time
EXIT_FAILED, EXIT_USAGE, EXIT_LOCKED = 1, 2, 75
# The sections of `doit help`.
BUILD, LOOK, RESULTS, EXPERIMENT = "Build", "Look", "Results", "Experiments"
PROJECT, MORE, NOWHERE = "This project", "More", ""


class _MemoryDB(JsonDB):
    """doit's record of runs, never written to disk."""

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        self.name, self.codec = name, codec
        self._db: dict[str, dict[str, Any]] = {}

    def dump(self) -> None:
        """Called by doit at the end."""


def _sqlite_or_memory(name: str, codec: Any, *, module_name: str | None = None) -> Any:
    return (_MemoryDB if name == ":memory:" else SqliteDB)(name, codec, module_name=module_name)


class _Backends(dict[str, Any]):
    """doit's backends for its record. Those of other packages are searched when one is named: it takes 2 ms."""

    def __init__(self, look: Callable[[], dict[str, Any]]) -> None:
        super().__init__(sqlite3=_sqlite_or_memory)
        self._look = look

    def get(self, name: str, default: Any = None) -> Any:
        """Called by doit with the name that was chosen. Raises UsageError if there is no such backend."""
        if name not in self:
            self.update({**self._look(), **self})
        if name not in self:
            raise UsageError(f"{name!r} is not a backend; there are: {', '.join(sorted(self))}")
        return self[name]


def option(name: str, long: str, text: str, metavar: str = "", short: str = "") -> dict[str, Any]:
    """An option as doit wants it: one with a value where there is a `metavar`, else a switch."""
    kind = {"metavar": metavar, "type": str, "default": ""} if metavar else {"type": bool, "default": False}
    return {"name": name, "short": short, "long": long, "help": text, **kind}


def with_condition(words: list[str]) -> list[str]:
    """The words of a command, with a condition such as `a>=1` put back behind its --filter: doit takes a word that has
    a "=" in it for the setting of a variable.
    """
    from doit import doit_cmd

    variables = doit_cmd._CMDLINE_VARS
    for name, value in list(variables.items()):
        if "--filter" in words and (set(name) & set("<>!") or value.startswith("=")):
            del variables[name]
            at = words.index("--filter") + 1
            words = [*words[:at], f"{name}={value}", *words[at:]]
    return words


def json_text(value: Any) -> str:
    """What a command prints for `--json`, but for the newline."""
    return json.dumps(value, indent=1, ensure_ascii=False)


class Command(DoitCmdBase):
    """What the commands here share: errors as one clear line, our exit statuses, and the graph."""

    task_list: list[Any]
    section = PROJECT  # where `doit help` lists it
    options_anywhere = False  # whether options may follow the names
    # option -> (its value, what it does): those of doit's that mean something here; None: `cmd_options` as they are
    shown_options: ClassVar[Mapping[str, tuple[str, str]] | None] = None

    def get_backends(self) -> Any:
        """Called by doit: its record of runs in memory costs no sqlite (5 ms); other dodo files keep theirs."""
        return _Backends(super().get_backends)

    def help(self) -> str:
        """Called by `doit help COMMAND`."""
        from .text import command_help

        return command_help(self)

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit with the words after the command's name."""
        gc.set_threshold(GC_THRESHOLD)
        for stream in (sys.stdout, sys.stderr):  # names of files need not be UTF-8
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        if "--help" in in_args or "-h" in in_args:
            print(self.help())
            return 0
        try:
            return int(super().parse_execute(self._options_first(in_args) if self.options_anywhere else in_args) or 0)
        except (UsageError, CmdParseError, InvalidDodoFile, InvalidCommand, InvalidTask) as error:
            return self._wrong(error)
        except LockHeld as error:
            print(f"doit: {error}", file=sys.stderr)
            return EXIT_LOCKED
        except BrokenPipeError:  # `doit list | head`: the reader has what it wanted
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 -- so that the flush at exit says nothing either
            return EXIT_FAILED
        except (GraphError, OSError) as error:
            from ..run.disk import described  # only what fails pays for it

            graph = graph_of(getattr(self, "task_list", []))
            print(f"doit: {described(error, graph.plan.build if graph else os.getcwd())}", file=sys.stderr)
            return EXIT_FAILED
        except Exception:  # a defect: show where
            import traceback

            traceback.print_exc()
            return EXIT_FAILED

    def _options_first(self, words: Sequence[str]) -> list[str]:
        """The words with the options, and the values of those that take one, before the names: doit wants it so."""
        options_with_value = [option for option in self.cmd_options if option["type"] is not bool]
        valued = {f"--{option['long']}" for option in options_with_value}
        valued |= {f"-{option['short']}" for option in options_with_value if option["short"]}
        options, names, rest = [], [], iter(words)
        for word in rest:
            if word.startswith("-"):
                options += [word, *islice(rest, word in valued)]
            else:
                names.append(word)
        return options + names

    def _wrong(self, error: Exception) -> int:
        unknown = getattr(error, "not_found", None)
        if unknown is not None:
            message = self.unknown_task(unknown)
        elif isinstance(error, CmdParseError):
            message = self._wrong_option(str(error))
        elif missing := re.match(r"Could not find dodo file '(.+)'", str(error)):
            message = f"there is no {missing[1]}: go to the project's folder, or look above (-k), or name it (-f FILE)"
        else:
            message = str(error)
        print(f"doit: {message}", file=sys.stderr)
        return EXIT_USAGE

    def unknown_task(self, word: str) -> str:
        """The message for a word that is not a task."""
        return f"{word!r} is not a task{self.nearest(word, self._task_names())}"

    def _wrong_option(self, message: str) -> str:
        """doit's message without its dump of the options, and the nearest option that there is."""
        known = self.get_options()
        message = re.sub(r"^Error parsing \w+: | \(parsing options: .*", "", message, flags=re.DOTALL)
        otherwise = f"; `doit help {self.name}` shows the options"
        if wrong := re.match(r"option (--[\w-]+) not recognized", message):
            return message + self.nearest(wrong[1], [f"--{option.long}" for option in known if option.long], otherwise)
        if wrong := re.match(r"Error parsing parameter '(\w+)' <class 'int'>.*: ('.*')", message, re.DOTALL):
            one = next(option for option in known if option.name == wrong[1])
            return f"{f'-{one.short}, ' if one.short else ''}--{one.long} takes a number, not {wrong[2]}"
        return message.strip() + otherwise

    def nearest(self, word: str, names: Sequence[str], otherwise: str = "; `doit list` shows them all") -> str:
        """The end of a message about a word that is not among `names`: the closest of them, else `otherwise`."""
        import difflib

        near = difflib.get_close_matches(word, names, n=1)
        return f"; did you mean {near[0]}?" if near else otherwise

    def _task_names(self) -> list[str]:
        return [task.name for task in getattr(self, "task_list", [])]

    def graph(self) -> Graph:
        """The graph behind the tasks. Raises UsageError if this dodo.py has none."""
        graph = graph_of(self.task_list)
        if graph is None:
            raise UsageError("this dodo.py defines no stages")
        return graph

    def stage_names(self, names: Sequence[str] | None) -> list[str]:
        """`names` as a list. Raises UsageError for a name that is not a stage."""
        graph = self.graph()
        for name in names or ():
            if name not in graph.plan.stages:
                raise UsageError(f"{name!r} is not a stage{self.nearest(name, self._task_names())}")
        return list(names or ())

    def one_stage(self, names: Sequence[str] | None) -> Stage:
        """The stage that is named. Raises UsageError unless there is exactly one name, and it is a stage."""
        found = self.stage_names(names)
        if len(found) != 1:
            raise UsageError(f"{self.name} takes one stage")
        return self.graph().plan.stages[found[0]]


@contextlib.contextmanager
def locked(graph: Graph) -> Iterator[None]:
    """Hold the lock of the build folder. Removes what killed runs left, and saves the stat cache at the end."""
    graph.session.lock.acquire()
    try:
        for store in (graph.look.store, graph.look.shared):
            if store is not None:
                store.sweep()
        yield
    finally:
        graph.look.cache.save()
        graph.session.lock.release()


def graph_of(tasks: Sequence[Any]) -> Graph | None:
    """The graph that made these tasks, if one did."""
    for task in tasks:
        graph = (task.meta or {}).get("graph")
        if graph is not None:
            return graph if isinstance(graph, Graph) else None
    return None
