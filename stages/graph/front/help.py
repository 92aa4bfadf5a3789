"""help: the commands, one command, or one stage, in words for a newcomer."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

from doit import cmd_help
from doit.cmd_base import DoitCmdBase

from ..errors import UsageError
from ..show.table import made
from .base import BUILD, EXPERIMENT, LOOK, MORE, PROJECT, RESULTS, Command
from .text import columns, width

SECTIONS = (BUILD, LOOK, RESULTS, EXPERIMENT, PROJECT, MORE)
HIDDEN = {"dumpdb", "strace"}  # commands of doit that read its record of runs and file_dep; there are none here
OVERVIEW = """\
Usage: doit [STAGE ...]            build these stages and all that they need; without a name, the default ones
       doit COMMAND [...]          one of those below
       doit help COMMAND | STAGE   more about it; `doit list` shows the stages
"""
EVERYWHERE = (
    "-f FILE before a command names another dodo.py, -d FOLDER another folder to work in, "
    "-k looks for dodo.py in the folders above too."
)


class Help(Command, cmd_help.Help):
    """What there is, and how it is used."""

    name = "help"
    section = MORE
    doc_purpose = "list the commands, or explain one command or stage"
    doc_usage = "[COMMAND | STAGE]"

    def execute(self, params: Any, args: Sequence[str]) -> int:
        """Called by doit. Needs a dodo.py only for the help of a stage."""
        parts = getattr(self.cmds.get(args[0]) if args else None, "parts", {})
        if len(args) == 2 and args[1] in parts:
            print(parts[args[1]](cmds=self._cmds, **self.init_kwargs).help())
            return 0
        if len(args) > 1:
            raise UsageError("help takes one command or stage")
        if not args:
            print(overview(self.cmds, self._project(params)))
        elif args[0] in self.cmds:
            print(self.cmds[args[0]](cmds=self._cmds, **self.init_kwargs).help())
        else:
            DoitCmdBase.execute(self, params, args)
        return 0

    def _execute(self, pos_args: Any) -> None:
        tasks = {task.name: task for task in self.task_list}
        if pos_args[0] in tasks:
            print(task_help(tasks[pos_args[0]]))
        elif pos_args[0] == "task":
            self.print_task_help()
        else:
            names = [*tasks, *self.cmds]
            raise UsageError(f"{pos_args[0]!r} is neither a command nor a task{self.nearest(pos_args[0], names)}")

    def _project(self, params: Any) -> str:
        """What the project says about itself: the docstring of its dodo.py, "" where there is none."""
        try:
            self.loader.setup(params)
        except Exception:  # help works with a broken dodo.py too
            return ""
        return inspect.cleandoc((self.loader.namespace or {}).get("__doc__") or "")


def overview(commands: dict[str, Any], project: str) -> str:
    """The text of `doit help`. `commands`: name -> class. `project`: what the project says about itself."""
    parts = [project + "\n"] if project else []
    parts.append(OVERVIEW)
    for section in SECTIONS:
        rows = [
            (name, command.doc_purpose)
            for name, command in sorted(commands.items())
            if getattr(command, "section", MORE) == section and name not in HIDDEN
        ]
        if rows:
            parts += [f"{section}:", *columns(rows, max(map(len, commands))), ""]
    return "\n".join([*parts, *textwrap.wrap(EVERYWHERE, width())])


def task_help(task: Any) -> str:
    """The text of `doit help STAGE`; for any other task, its docstring and how to run it."""
    name, parts = task.name, [f"{task.name}: {task.doc}"]
    graph = (task.meta or {}).get("graph")
    if graph is not None and name in graph.plan.stages:
        stage = graph.plan.stages[name]
        inputs = ", ".join(dict.fromkeys(output.stage for output in stage.inputs.values()))
        parts += [f"Makes {', '.join(made(graph.plan, stage))}." + (f" Needs {inputs}." if inputs else "")]
        rows = [
            (f"doit {name}", "build it and all that it needs, where that is stale"),
            (f"doit -s {name}", "it alone"),
            (f"doit -a -s {name}", "it alone, even if it is fresh"),
            (f"doit why {name}", "what is stale, why, and what follows"),
            (f"doit info {name}", "its inputs, command, key, result and state"),
            (f"doit inspect {name}", "how its result was made, back to the sources"),
            (f"doit clean {name}", "remove its result"),
        ]
    else:
        rows = [(f"doit {name}", "run it, if it is not up to date")]
    return "\n".join([*parts, "", *columns(rows, max(len(label) for label, _ in rows))])
