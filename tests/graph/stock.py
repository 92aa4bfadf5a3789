"""doit as it comes: a folder of plain tasks, to show that an edge that we claim to have mended is there.

A dodo.py is written out as a person would: file_dep, targets, shell commands. Every command writes its task's name to
ran.log first.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.build.projects import STOCK_DOIT
from tests.graph.project import HANGS_S

DODO = """
DOIT_CONFIG = {{"backend": {backend!r}, "dep_file": {dep_file!r}}}
TASKS = {tasks!r}

def task_all():
    for name, (sh, fields) in TASKS.items():
        yield {{"basename": name, "actions": [f"echo {{name}} >> ran.log; {{sh}}"], **fields}}
"""


@dataclass
class Done:
    """What a run of plain doit left behind."""

    status: int
    out: str  # both streams
    ran: list[str]


class Stock:
    """One folder with plain doit."""

    dep_file = "doit-db.json"

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.tasks: dict[str, tuple[str, dict[str, Any]]] = {}
        self.head = self.tail = ""
        self.write("stock.py", STOCK_DOIT)
        self._seen = 0

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def task(self, name: str, sh: str, deps: tuple[str, ...] = (), target: str | None = None) -> None:
        """A task whose action is a shell line. Declaring it again replaces it."""
        self.tasks[name] = (sh, {"file_dep": list(deps), "targets": [target or f"{name}.txt"]})

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        dodo = DODO.format(backend="json", dep_file=self.dep_file, tasks=self.tasks)
        self.write("dodo.py", f"{self.head}\n{dodo}\n{self.tail}\n")
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
        options["start_new_session"] = True
        return subprocess.Popen([sys.executable, "stock.py", *words], cwd=self.root, **options)

    def run(self, *words: str) -> Done:
        return self.finish(self.start(*words))

    def finish(self, process: subprocess.Popen[str]) -> Done:
        out, _ = process.communicate(timeout=HANGS_S)
        return Done(process.returncode, out, self.ran())

    def kill(self, process: subprocess.Popen[str]) -> None:
        """SIGKILL; its commands too, which would go on without it."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def ran(self) -> list[str]:
        """The tasks that ran since this was last asked."""
        log = self.root / "ran.log"
        names = log.read_text().split() if log.exists() else []
        new, self._seen = names[self._seen :], len(names)
        return new
