"""run: build what is stale."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, ClassVar, TextIO

from doit import cmd_run
from doit.control import TaskControl

from ..errors import Interrupted, LockHeld, UsageError
from ..show.report import Report
from ..show.terminal import moves
from .base import BUILD, EXIT_FAILED, Command, graph_of, locked
from .tasks import Graph

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Run(Command, cmd_run.Run):
    """Build what is stale: doit's `run` with the lock, signals, threads for `-n`, and our report."""

    name = "run"
    section = BUILD
    doc_purpose = "build what is stale"
    doc_usage = "[STAGE ...]"
    doc_description: str | None = (
        "The word run may be left out. Named stages are built with all that they need; without a name, those that the "
        "project builds by default. Exit status 0 if all is well, 1 for a failure, 2 for wrong arguments, 75 if "
        "another run holds the lock, 128 + the signal's number after a signal."
    )
    shown_options: ClassVar[Mapping[str, tuple[str, str]] | None] = {
        "always": ("", "build fresh stages too, and reuse no result from the store"),
        "since": ("STAGE", "build this stage and what is made from it anew, fresh or not (-a is implied)"),
        "single": ("", "only the named stages, without those that they need"),
        "continue": ("", "after a failure, go on with the stages that do not depend on it"),
        "num_process": ("N", "run up to N stages at the same time"),
        "verbosity": ("N", "0: leave out what the commands print (where the output is no terminal)"),
    }

    cmd_options = (
        *cmd_run.Run.cmd_options,
        {"name": "since", "short": "", "long": "from", "type": str, "default": "", "help": "", "metavar": "STAGE"},
    )

    def get_reporters(self) -> dict[str, Any]:
        """Called by doit at every start. Those of other packages are looked for when one is named: that takes 2 ms."""
        return {}

    def unknown_task(self, word: str) -> str:
        """The message for a word after `doit` that is neither a task nor a command."""
        names = [*self._task_names(), *self.loader.cmd_names]
        otherwise = "; `doit list` shows the tasks, `doit help` the commands"
        return f"{word!r} is neither a task nor a command{self.nearest(word, names, otherwise)}"

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
        since: str = "",
    ) -> int:
        always = always and not since
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
        if graph is None or reporter != "console":
            self.reporters = super().get_reporters()
            if isinstance(reporter, str) and reporter not in self.reporters:
                raise UsageError(f"{reporter!r} is not a reporter; there are: {', '.join(sorted(self.reporters))}")
        if graph is None:
            return int(super()._execute(outfile, reporter=reporter, **options))
        try:
            with locked(graph):
                graph.session.always = always
                if since:
                    graph.session.anew = self._behind(graph, since)
                if num_process > 1 and (takers := sum(1 for each in graph.plan.stages.values() if each.resources)):
                    # A stage that waits for its slots must not keep another from running: more threads than commands.
                    graph.session.slots.limit(num_process)
                    options["num_process"] = num_process + min(takers, 2 * num_process)
                report = report_for(sys.stdout, verbosity == 0) if reporter == "console" else None
                graph.session.report = report
                if report is not None and report.terminal:
                    self._foretell(graph, report, num_process)
                with catching_signals(graph, report):
                    result = super()._execute(outfile, reporter=report or reporter, **options)
                if report is not None:
                    note_held(graph, report)
                return EXIT_FAILED if result else 0
        except LockHeld:
            TaskControl(self.task_list).process(self.sel_tasks)  # a misspelt name is reported before the lock
            raise
        except Interrupted as stopped:
            return 128 + stopped.signum

    def _behind(self, graph: Graph, since: str) -> set[str]:
        """What --from names. Raises UsageError for no stage, and for one that this run does not need."""
        self.stage_names([since])
        TaskControl(self.task_list).process(self.sel_tasks)  # a misspelt name is reported as one
        names = [name for name in self.sel_tasks or graph.plan.stages if name in graph.plan.stages]
        if since not in graph.plan.needed(names):
            raise UsageError(f"--from {since}: nothing that is to be built is made from it")
        return graph.plan.behind(since)

    def _foretell(self, graph: Graph, report: Any, num_process: int) -> None:
        """Let a live report show the time left."""

        def expected() -> Mapping[str, float | None]:
            from ..decide.times import expected_times  # only what really runs pays for it

            return expected_times(graph.look, names, graph.session.runs_anew)

        names = [name for name in self.sel_tasks or graph.plan.stages if name in graph.plan.stages]
        report.foretell(expected, graph.plan, max(1, num_process))


def note_held(graph: Graph, report: Report) -> None:
    """A line for each stage that keeps a chosen result: it does not follow what changes."""
    for stage in graph.plan.stages.values():
        key = graph.look.held(stage)
        if key is not None:
            report.note(f"{stage.name} is held at {key[:10]}, whatever changes; `doit use --today` lets it go")


def report_for(stream: TextIO, quiet: bool) -> Report:
    """The report that suits a stream: a live one on a terminal."""
    if moves(stream):
        from ..show.live import LiveReport

        return LiveReport(stream, quiet)
    return Report(stream, quiet)


@contextlib.contextmanager
def catching_signals(graph: Graph, report: Report | None) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the commands by group, then this run. A second signal leaves them no grace."""
    before: dict[int, Any] = {}

    def stop(signum: int, frame: FrameType | None) -> None:
        if graph.session.stopping:
            graph.session.hurry()
            return
        graph.session.stopping = True
        if report is not None:
            report.stopped = True
        raise Interrupted(signum)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup: stays ignored
            before[number] = signal.signal(number, stop)
    try:
        yield
    except Interrupted as stopped:
        graph.session.stop_all()
        if report is not None:
            report.close()
        name = signal.Signals(stopped.signum).name
        print(f"\ndoit: stopped by {name}; what was finished is kept, run again to go on", file=sys.stderr)
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
