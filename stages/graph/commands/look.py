"""list, graph: the whole graph at a glance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from doit import cmd_list
from doit.cmd_base import check_tasks_exist

from ..errors import UsageError
from ..graph import Graph
from ..stage import Stage
from ..terminal import coloured, shows_unicode
from .base import LOOK, Command


class List(Command, cmd_list.List):
    """One sentence a task, in graph order."""

    name = "list"
    section = LOOK
    doc_purpose = "list the tasks, one sentence each"
    doc_usage = "[--status] [--all] [TASK ...]"
    doc_description = (
        "A table in the terminal: what a task makes and how long that usually takes too. In a pipe: a line a task."
    )
    told_options: ClassVar[Mapping[str, tuple[str, str]] | None] = {
        "status": ("", "with the state of each stage, as `doit why` tells it"),
        "subtasks": ("", "with what groups hold, such as each setup"),
        "quiet": ("", "only the names"),
    }

    def _execute(
        self,
        subtasks: bool = False,
        quiet: bool = False,
        status: bool = False,
        private: bool = False,
        pos_args: Any = None,
    ) -> int:
        tasks = {task.name: task for task in self.task_list}
        check_tasks_exist(tasks, pos_args)
        shown = (
            [tasks[name] for name in pos_args]
            if pos_args
            else [t for t in self.task_list if subtasks or not t.subtask_of]
        )
        shown = [task for task in shown if private or not task.name.startswith("_")]
        states: dict[str, str] = {}
        if status:
            from ..why import explain

            graph = self.graph()
            states = {
                e.stage: e.state for e in explain(graph, [task.name for task in shown if task.name in graph.stages])
            }
        width = max((len(task.name) for task in shown), default=0) + 2
        state_width = max((len(state) for state in states.values()), default=0) + 2
        for task in shown:
            state = f"{states.get(task.name, ''):<{state_width}}" if status else ""
            text = task.name if quiet else f"{task.name:<{width}}{state}{task.doc}"
            self.outstream.write(text.rstrip() + "\n")
        return 0


class GraphCommand(Command):
    """The graph with each stage's state."""

    name = "graph"
    section = LOOK
    doc_purpose = "draw the graph with each stage's state"
    doc_usage = "[STAGE ...]"
    doc_description = (
        "Named stages and all that they need; every stage without a name. In the terminal; with --svg FILE or "
        "--mermaid for a page. Edges that follow from others are left out. Like why, it needs no lock and changes "
        "no result."
    )
    cmd_options = (
        {
            "name": "svg",
            "short": "",
            "long": "svg",
            "metavar": "FILE",
            "type": str,
            "default": "",
            "help": "write a picture to this file",
        },
        {"name": "mermaid", "short": "", "long": "mermaid", "type": bool, "default": False, "help": "as Mermaid text"},
        {"name": "every", "short": "", "long": "all", "type": bool, "default": False, "help": "draw every edge"},
        {"name": "plain", "short": "", "long": "plain", "type": bool, "default": False, "help": "without the states"},
    )

    def _execute(self, svg: str, mermaid: bool, every: bool, plain: bool, pos_args: Any = None) -> int:
        from ..draw import Node, as_mermaid, as_svg, as_text
        from ..why import explain, needed

        graph = self.graph()
        names = self.stage_names(pos_args)
        if svg and mermaid:
            raise UsageError("--svg and --mermaid are two pictures; choose one")
        wanted = needed(graph, names or graph.order)
        states = {} if plain else {each.stage: each.state for each in explain(graph, names)}
        graph.cache.save()
        nodes = [
            Node(name, stage.doc, states.get(name, ""), tuple(output.stage for output in stage.inputs.values()))
            for name in graph.order
            if name in wanted and (stage := graph.stages[name])
        ]
        if svg:
            with open(svg, "w", encoding="utf-8") as file:
                file.write(as_svg(nodes, f"The stages of {os.path.basename(graph.root)}", every))
        elif mermaid:
            self.outstream.write(as_mermaid(nodes, every))
        else:
            self.outstream.write(as_text(nodes, every, coloured(self.outstream), not shows_unicode(self.outstream)))
        return 0


def made(graph: Graph, stage: Stage) -> list[str]:
    """What a person opens: the links to a stage's outputs, relative to the project; its outputs where it has none."""
    folder = f"{os.path.relpath(graph.build, graph.root)}/{stage.scope}"
    return [f"{folder}/{name}" for name in stage.links] or list(stage.outputs)
