"""list, graph: the whole graph at a glance."""

from __future__ import annotations

from typing import Any

from doit.cmd_base import check_tasks_exist

from ..show.terminal import coloured, moves, shows_unicode
from .base import LOOK, Command, graph_of, option


class List(Command):
    """One sentence a task, in graph order."""

    name = "list"
    options_anywhere = True
    section = LOOK
    doc_purpose = "list the tasks, one sentence each"
    doc_usage = "[--status] [--all] [TASK ...]"
    doc_description = (
        "In the terminal, a table that also shows what each task makes and how long it usually takes; in a pipe, one "
        "line a task."
    )
    cmd_options = (
        option("status", "status", "with the state of each stage, as in why", short="s"),
        option("subtasks", "all", "with the members of groups, such as each setup"),
        option("private", "private", "with tasks whose names begin with _", short="p"),
        option("quiet", "quiet", "only the names", short="q"),
    )

    def _execute(self, status: bool, subtasks: bool, private: bool, quiet: bool, pos_args: Any = None) -> int:
        tasks = {task.name: task for task in self.task_list}
        check_tasks_exist(tasks, pos_args)
        named = [tasks[name] for name in pos_args or ()]
        shown = named or [task for task in self.task_list if subtasks or not task.subtask_of]
        shown = [task for task in shown if private or not task.name.startswith("_")]
        states: dict[str, str] | None = None
        if status:
            from ..decide.why import explain

            graph = self.graph()
            stages = [task.name for task in shown if task.name in graph.plan.stages]
            explained = explain(graph.look, stages, graph.receipt_at_remote) if stages else []
            states = {each.stage: each.state for each in explained}
            graph.look.cache.save()
        if quiet:
            self.outstream.write("".join(f"{task.name}\n" for task in shown))
        elif moves(self.outstream):
            from ..show.table import print_tasks

            known = graph_of(self.task_list)
            print_tasks(self.outstream, None if known is None else known.look, shown, states)
        else:
            self._plain(shown, states)
        return 0

    def _plain(self, shown: list[Any], states: dict[str, str] | None) -> None:
        """A line a task: name, state, sentence."""
        width = max((len(task.name) for task in shown), default=0) + 2
        state_width = max(map(len, (states or {}).values()), default=-2) + 2
        for task in shown:
            state = f"{(states or {}).get(task.name, ''):<{state_width}}"
            self.outstream.write(f"{task.name:<{width}}{state}{task.doc}".rstrip() + "\n")


class GraphCommand(Command):
    """The graph with each stage's state."""

    name = "graph"
    section = LOOK
    doc_purpose = "draw the graph with each stage's state"
    doc_usage = "[STAGE ...]"
    doc_description = (
        "Named stages and all that they need; without a name, every stage. Drawn as text, or with --mermaid for a web "
        "page. Edges that others imply are left out. Like why, it needs no lock and changes no result."
    )
    cmd_options = (
        option("mermaid", "mermaid", "as Mermaid text"),
        option("every", "all", "draw every edge"),
        option("plain", "plain", "without the states"),
    )

    def _execute(self, mermaid: bool, every: bool, plain: bool, pos_args: Any = None) -> int:
        from ..decide.why import explain
        from ..show.draw import Node, as_mermaid, as_text

        graph = self.graph()
        names = self.stage_names(pos_args)
        explained = [] if plain else explain(graph.look, names, graph.receipt_at_remote)
        states = {each.stage: each.state for each in explained}
        graph.look.cache.save()
        nodes = [
            Node(name, states.get(name, ""), tuple(output.stage for output in graph.plan.stages[name].inputs.values()))
            for name in graph.plan.chain(names)
        ]
        if mermaid:
            self.outstream.write(as_mermaid(nodes, every))
        else:
            self.outstream.write(as_text(nodes, every, coloured(self.outstream), not shows_unicode(self.outstream)))
        return 0
