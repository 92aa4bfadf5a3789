"""doit's commands as this engine means them: plugins under the entry points `doit.COMMAND`. They find the graph in
the tasks' meta.

Exit status: 0 well; 1 a failure with a message; 2 wrong arguments; 75 another run holds the lock; 128 + signal
after a signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from doit import cmd_list, cmd_run
from doit.cmd_base import DoitCmdBase, check_tasks_exist
from doit.cmdparse import CmdParseError
from doit.dependency import JsonDB, SqliteDB
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

from .errors import GraphError, Interrupted, LockHeld, UsageError
from .graph import Graph
from .report import Report, make

EXIT_FAILED, EXIT_USAGE, EXIT_LOCKED = 1, 2, 75
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _MemoryDB(JsonDB):
    """doit's record of runs, kept nowhere."""

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        self.name, self.codec = name, codec
        self._db: dict[str, dict[str, Any]] = {}

    def dump(self) -> None:
        """Called by doit at the end."""


def _sqlite_or_memory(name: str, codec: Any, *, module_name: str | None = None) -> Any:
    return (_MemoryDB if name == ":memory:" else SqliteDB)(name, codec, module_name=module_name)


class Command(DoitCmdBase):
    """What the commands here share: errors as one clear line, our exit statuses, and the graph."""

    task_list: list[Any]

    def get_backends(self) -> Any:
        """Called by doit: its record of runs in memory costs no sqlite (5 ms); other dodo files keep theirs."""
        backends = super().get_backends()
        backends["sqlite3"] = _sqlite_or_memory
        return backends

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit with the words after the command's name."""
        try:
            return int(super().parse_execute(in_args) or 0)
        except (UsageError, CmdParseError, InvalidDodoFile, InvalidCommand, InvalidTask) as error:
            return self._wrong(error)
        except LockHeld as error:
            print(f"doit: {error}", file=sys.stderr)
            return EXIT_LOCKED
        except BrokenPipeError:  # `doit list | head`: the reader has what it wanted
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 -- so that the flush at exit says nothing either
            return EXIT_FAILED
        except (GraphError, OSError) as error:
            print(f"doit: {error}", file=sys.stderr)
            return EXIT_FAILED
        except Exception:  # a defect: show where
            import traceback

            traceback.print_exc()
            return EXIT_FAILED

    def _wrong(self, error: Exception) -> int:
        message = str(error)
        unknown = getattr(error, "not_found", None)
        if unknown is not None:
            message = f"{unknown!r} is not a task" + self._nearest(unknown)
        print(f"doit: {message}", file=sys.stderr)
        return EXIT_USAGE

    def _nearest(self, word: str) -> str:
        import difflib

        names = [task.name for task in getattr(self, "task_list", [])]
        near = difflib.get_close_matches(word, names, n=1)
        return f"; did you mean {near[0]}?" if near else "; `doit list` shows them all"

    def graph(self) -> Graph:
        """The graph behind the tasks. Raises UsageError if this dodo.py has none."""
        graph = graph_of(self.task_list)
        if graph is None:
            raise UsageError("this dodo.py defines no stages")
        return graph

    def stage_names(self, names: Sequence[str] | None) -> list[str]:
        """The stages among `names`. Raises UsageError for a name that is none."""
        graph = self.graph()
        for name in names or ():
            if name not in graph.stages:
                raise UsageError(f"{name!r} is not a stage{self._nearest(name)}")
        return list(names or ())


def graph_of(tasks: Sequence[Any]) -> Graph | None:
    """The graph that made these tasks, if one did."""
    for task in tasks:
        graph = (task.meta or {}).get("graph")
        if graph is not None:
            return graph if isinstance(graph, Graph) else None
    return None


class Run(Command, cmd_run.Run):
    """Build what is stale: doit's `run` with the lock, signals, threads for `-n`, and our report."""

    name = "run"
    doc_purpose = "build what is stale"

    def _execute(
        self,
        outfile: Any,
        verbosity: int | None = None,
        always: bool = False,
        continue_: bool = False,
        reporter: Any = "console",
        num_process: int = 0,
        single: bool = False,
        auto_delayed_regex: bool = False,
        force_verbosity: bool = False,
        failure_verbosity: int = 0,
        pdb: bool = False,
    ) -> int:
        options = {
            "verbosity": verbosity,
            "always": always,
            "continue_": continue_,
            "num_process": num_process,
            "par_type": "thread",
            "single": single,
            "auto_delayed_regex": auto_delayed_regex,
            "force_verbosity": force_verbosity,
            "failure_verbosity": failure_verbosity,
            "pdb": pdb,
        }
        graph = graph_of(self.task_list)
        if graph is None:
            return int(super()._execute(outfile, reporter=reporter, **options))
        graph.lock.acquire()
        try:
            graph.store.sweep()
            graph.always = always
            report = graph.report = make(sys.stdout, quiet=verbosity == 0) if reporter == "console" else None
            with catching_signals(graph, report):
                result = super()._execute(outfile, reporter=report or reporter, **options)
            return EXIT_FAILED if result else 0
        except Interrupted as stopped:
            return 128 + stopped.signum
        finally:
            graph.cache.save()
            graph.lock.release()


@contextlib.contextmanager
def catching_signals(graph: Graph, report: Report | None) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the commands by group, then this run. A second signal leaves them no grace."""
    before: dict[int, Any] = {}

    def stop(signum: int, frame: FrameType | None) -> None:
        if graph.stopping:
            if "processes" in vars(graph):
                graph.processes.hurry()
            return
        graph.stopping = True
        raise Interrupted(signum)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            before[number] = signal.signal(number, stop)
    try:
        yield
    except Interrupted as stopped:
        if "processes" in vars(graph):
            graph.processes.stop_all()
        name = signal.Signals(stopped.signum).name
        print(f"\ndoit: stopped by {name}; what was finished is kept, run again to go on", file=sys.stderr)
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


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
            from .why import explain

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


class Why(Command):
    """What is stale, why, and what follows."""

    name = "why"
    doc_purpose = "say what is stale, why, and what follows"
    doc_usage = "[STAGE ...] [--json]"
    doc_description = "Costs no more than a run in which nothing is stale, needs no lock and changes no result."
    cmd_options = (
        {"name": "json", "short": "", "long": "json", "type": bool, "default": False, "help": "for programs"},
    )

    def parse_execute(self, in_args: list[str]) -> int:
        """Options may follow the names here."""
        return super().parse_execute(sorted(in_args, key=lambda word: not word.startswith("-")))

    def _execute(self, json: bool, pos_args: Any = None) -> int:
        from .why import as_text, explain

        graph = self.graph()
        explanations = explain(graph, self.stage_names(pos_args))
        graph.cache.save()
        if json:
            from json import dumps

            text = dumps([explanation.as_json() for explanation in explanations], indent=1, ensure_ascii=False)
        else:
            text = as_text(explanations)
        self.outstream.write(text + "\n")
        return 0


class Info(Command):
    """Everything about one stage: what it is made from, where its result lies, whether it is fresh."""

    name = "info"
    doc_purpose = "show a stage: inputs, command, key, result, state"
    doc_usage = "STAGE"

    def _execute(self, pos_args: Any = None) -> int:
        from .why import explain

        names = self.stage_names(pos_args)
        if len(names) != 1:
            raise UsageError("info takes one stage")
        graph = self.graph()
        stage = graph.stages[names[0]]
        explanation = explain(graph, names)[-1]
        key, receipt = graph.linked_receipt(stage)
        rows = [
            ("stage", f"{stage.name}: {stage.doc}"),
            ("state", explanation.state),
            *(("", reason.text()) for reason in explanation.reasons),
            ("command", " ".join(stage.run)),
            *(("input", f"{name}: {output.path or 'all'} of {output.stage}") for name, output in stage.inputs.items()),
            *(("output", output) for output in stage.outputs),
            *(("parameter", f"{name} = {value!r}") for name, value in sorted(stage.params.items())),
            *(
                ("tool", f"{name}: {version.splitlines()[0]}")
                for name, version in (receipt or {"components": {"tools": {}}})["components"]["tools"].items()
            ),
            ("result", graph.store.entry(key) if key else "none"),
            *([("took", f"{receipt['run']['duration_s']} s")] if receipt else []),
        ]
        for label, text in rows:
            self.outstream.write(f"{label:<11}{text}\n")
        return 0


class Clean(Command):
    """Remove results, so that the next run makes them again."""

    name = "clean"
    doc_purpose = "remove the results of stages"
    doc_usage = "[STAGE ...]"
    doc_description = "Without a name: of every stage. Results under other keys stay in the store."
    cmd_options = (
        {
            "name": "dryrun",
            "short": "n",
            "long": "dry-run",
            "type": bool,
            "default": False,
            "help": "only say what would go",
        },
    )

    def _execute(self, dryrun: bool, pos_args: Any = None) -> int:
        import os

        graph = self.graph()
        names = self.stage_names(pos_args) or list(graph.order)
        if not dryrun:
            graph.lock.acquire()
        try:
            for name in names:
                stage = graph.stages[name]
                key = graph.linked_receipt(stage)[0]
                if key is None:
                    continue
                self.outstream.write(f"{'would remove' if dryrun else 'removed'} {name}: {graph.store.entry(key)}\n")
                if dryrun:
                    continue
                base = f"{graph.build}/{stage.scope}"
                for link in (*stage.links, f".current/{name}"):
                    path = f"{base}/{link}".rstrip("/")
                    if os.path.islink(path):
                        os.unlink(path)
                graph.store.remove(key)
            if not dryrun:
                graph.cache.save()
        finally:
            graph.lock.release()
        return 0


class _Refused(Command):
    """A command of doit's that means nothing here: says what to use instead."""

    instead = ""

    def parse_execute(self, in_args: list[str]) -> int:
        """Exit status 2, and a sentence."""
        print(f"doit: {self.instead}", file=sys.stderr)
        return EXIT_USAGE


class Forget(_Refused):
    """doit's forget."""

    name = "forget"
    doc_purpose = "not here: use `clean STAGE`, or `run -a -s STAGE`"
    instead = (
        "there is no record of runs to forget: results are found by what they were made from. "
        "`doit -a -s STAGE` makes one again, `doit clean STAGE` removes it"
    )


class Ignore(_Refused):
    """doit's ignore."""

    name = "ignore"
    doc_purpose = "not here: name the stages that you want"
    instead = (
        "a stage cannot be ignored, for what comes after it would be made from the wrong inputs; "
        "name the stages that you want: `doit STAGE`"
    )


class ResetDep(_Refused):
    """doit's reset-dep."""

    name = "reset-dep"
    doc_purpose = "not here: nothing is recorded that could be reset"
    instead = (
        "nothing is recorded that could be reset: `doit why` compares with what is there now, "
        "`doit -a -s STAGE` makes a result again"
    )
