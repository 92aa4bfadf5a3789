"""list, graph: the whole graph at a glance."""

from __future__ import annotations

from typing import Any

from doit import cmd_list
from doit.cmd_base import check_tasks_exist

from .base import Command


class List(Command, cmd_list.List):
    """One sentence a task, in graph order."""

    name = "list"
    doc_purpose = "list the tasks, one sentence each"

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
