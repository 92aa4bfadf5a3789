"""log and shell: what a command printed, and where it ran."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import time
from typing import Any

from ..declare.names import LOG
from ..errors import GraphError, UsageError
from .base import LOOK, Command, locked, option


class Log(Command):
    """What a command printed."""

    name = "log"
    options_anywhere = True
    section = LOOK
    doc_purpose = "show what a stage's command printed, the last time or now"
    doc_usage = "STAGE | KEY | NAME | setup:NAME [-f]"
    doc_description = (
        "Of a stage, the command that runs now, else the last one that did, failed or not; of a stored result, the one "
        "that made it. How it ended is said on standard error. Needs no lock."
    )
    cmd_options = (option("follow", "follow", "(or -f) go on until the command has ended"),)

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit, for which -f names a dodo.py; behind this word it means what it means for `tail`."""
        return super().parse_execute(["--follow" if word == "-f" else word for word in in_args])

    def _execute(self, follow: bool, pos_args: Any = None) -> int:
        from ..keep import attempts
        from ..show import follow as logs
        from ..show.results_text import age_text

        if len(pos_args or ()) != 1:
            raise UsageError("log takes one stage, or one result")
        word, build = pos_args[0], self.graph().plan.build
        folder = attempts.newest(build, word.replace("setup:", "setup-"))
        if folder is None:
            self._print(self._of_result(word))
            return 0
        path = f"{folder}/{LOG}"
        running = attempts.is_running(folder)
        if follow and running:
            try:
                logs.follow(path, self.outstream, lambda: attempts.is_running(folder))
            except KeyboardInterrupt:
                return 128 + signal.SIGINT
        else:
            self._print(path)
        attempt = attempts.load(folder)
        if attempt is not None:
            self.outstream.flush()
            ago = age_text(time.time() - attempt.started)
            where = f" on {attempt.on}" if attempt.on else ""
            killed = "was killed" + (f"; what runs{where} goes on, and the next run follows it" if where else "")
            how = {
                attempts.RUNNING: "runs now" if attempts.is_running(folder) else killed,
                attempts.FAILED: f"failed: {attempt.how}",
                attempts.STOPPED: "was stopped",
                attempts.BUILT: f"ended well after {attempt.seconds:.1f} s",
            }[attempt.state]
            print(f"doit: {os.path.basename(folder)} began {ago} ago{where} and {how}", file=sys.stderr)
        return 0

    def _of_result(self, word: str) -> str:
        """The log of a stored result."""
        from ..manage.results import Results

        graph = self.graph()
        stage = graph.plan.stages.get(word)
        if stage is not None and graph.look.linked_receipt(stage)[1] is None:
            raise GraphError(f"nothing of {word} has run here; `doit {word}` runs it")
        if word.startswith("setup:"):
            raise GraphError(f"no command of {word} has run here; it is installed when a stage needs it")
        path = f"{graph.look.store.entry(Results(graph.look).find(word)['key'])}/{LOG}"
        if not os.path.exists(path):
            raise GraphError(f"the result of {word} came without its log")
        return path

    def _print(self, path: str) -> None:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                self.outstream.write(line)


class Shell(Command):
    """A shell where a command ran."""

    name = "shell"
    options_anywhere = True
    section = LOOK
    doc_purpose = "open a shell where a stage's command ran, with its environment; --rerun runs it there"
    doc_usage = "STAGE [--rerun]"
    doc_description = (
        "The snapshot of the sources that the last command of the stage ran in, with its parameters, inputs and "
        "environment; what a failed one had made lies in its output folder until the stage succeeds. STAGE@KEY: of a "
        "choice of `doit exp run` that failed. Nothing made there is kept as a result, checkpoints are a copy, logs go "
        "to a folder beside the snapshot; and the next run makes the snapshot equal to your sources again. No other "
        "run can start meanwhile. Exit status: that of the shell, or of the command."
    )
    cmd_options = (option("rerun", "rerun", "run the stage's command once more, with an empty output folder"),)

    def _execute(self, rerun: bool, pos_args: Any = None) -> int:
        from ..run import shell

        if len(pos_args or ()) != 1:
            raise UsageError("shell takes one stage")
        word, plan = pos_args[0], self.graph().plan
        if word.startswith("setup:"):
            raise UsageError(f"{word} has no command of its own; `doit log {word}` shows what it printed")
        if word.partition("@")[0] not in plan.stages:
            self.stage_names([word])
        with locked(self.graph()):
            place = shell.place_of(plan, word)
            here = os.path.relpath
            rows = [
                ("command", shlex.join(place.argv)),
                ("folder", here(place.cwd)),
                ("output", here(place.out)),
                ("log", here(f"{place.folder}/{LOG}")),
                *([("it ran", f"on {place.attempt.on}; this shell is here")] if place.attempt.on else []),
            ]
            with contextlib.suppress(BrokenPipeError):
                for label, text in rows:
                    print(f"{label:<9}{text}", file=sys.stderr)
            if rerun:
                status = shell.rerun(place)
                print(f"doit: it ended with status {status}; nothing was published", file=sys.stderr)
                return status
            print(f"doit: a shell where {word} ran; `exit` leaves it", file=sys.stderr)
            return shell.open_shell(place)
