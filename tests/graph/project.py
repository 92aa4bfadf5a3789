"""A project of dummy stages in a temporary folder: `project.stage(...)` adds one, `project.doit(...)` runs doit on
them.

`doit` runs in this process, on a graph made anew each time as a new process would; `start` runs a real process, for
signals and kills. Every stage writes its name to ran.log before its command, so `ran()` tells what really ran.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from stages.graph import Elsewhere, Graph, Setup, Stage
from tests.graph.run_doit import CONFIG

RUN_DOIT = Path(__file__).with_name("run_doit.py")
HANGS_S = 300.0  # nothing is measured by it: it only ends what would never end


@dataclass
class Result:
    """What a run of doit left behind."""

    status: int
    out: str
    err: str
    ran: list[str]  # the stages whose command ran, in that order


class Project:
    """One project and its graph."""

    def __init__(self, root: Path, read_output: Callable[[], Any]) -> None:
        self.root = root
        self.build = root / "build"
        self.stages: dict[str, Stage] = {}
        self.setups: list[Setup] = []
        self.grace_s = 1.0
        self.remote: str | None = None  # the setting of the project, not the variable
        self.elsewhere: dict[str, dict[str, Any]] = {}  # stage -> the table of where it runs
        self._read_output = read_output
        self._seen = 0

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def stage(self, name: str, sh: str, outputs: Sequence[str] = ("o.txt",), **fields: Any) -> None:
        """A stage whose command is a shell line. Declaring it again replaces it."""
        line = f'echo {name} >> "{{root}}/ran.log"; {sh}'
        self.stages[name] = Stage(name=name, doc=f"Makes {name}.", run=("sh", "-ec", line), outputs=outputs, **fields)

    def graph(self) -> Graph:
        return Graph(
            list(self.stages.values()),
            self.setups,
            root=self.root,
            build=self.build,
            grace_s=self.grace_s,
            remote=lambda: self.remote,
            elsewhere=Elsewhere(lambda: self.elsewhere),
        )

    def doit(self, *words: str) -> Result:
        graph = self.graph()
        namespace = {"DOIT_CONFIG": graph.doit_config(), "task_all": lambda: graph.tasks()}
        # doit sorts task makers by their line in the source
        status = DoitMain(task_loader=ModuleTaskLoader(namespace), config_filenames=(), extra_config=CONFIG).run(
            list(words)
        )
        captured = self._read_output()
        return Result(status, captured.out, captured.err, self.ran())

    def why(self, *words: str) -> dict[str, tuple[str, list[dict[str, Any]]]]:
        """doit why --json as {stage: (state, reasons)}."""
        result = self.doit("why", "--json", *words)
        assert result.status == 0, result.err
        return {each["stage"]: (each["state"], each["reasons"]) for each in json.loads(result.out)}

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """doit as a process of its own, on a dodo.py that declares the same stages."""
        assert not self.setups
        stages = ",\n".join(repr(stage) for stage in self.stages.values())
        self.write(
            "dodo.py",
            "from stages.graph import *\nfrom stages.graph.declare.sources import Files, PythonSources\n"
            f"GRAPH = Graph([{stages}], root={str(self.root)!r}, build={str(self.build)!r}, grace_s={self.grace_s}, "
            f"elsewhere=Elsewhere(lambda: {self.elsewhere!r}))\n"
            "DOIT_CONFIG = GRAPH.doit_config()\ndef task_all():\n    yield from GRAPH.tasks()\n",
        )
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen([sys.executable, str(RUN_DOIT), *words], cwd=self.root, **options)

    def finish(self, process: subprocess.Popen[str], timeout: float = HANGS_S) -> Result:
        out, err = process.communicate(timeout=timeout)
        return Result(process.returncode, out, err, self.ran())

    def run(self, *words: str) -> Result:
        return self.finish(self.start(*words))

    def ran(self) -> list[str]:
        """The stages that ran since this was last asked."""
        log = self.root / "ran.log"
        names = log.read_text().split() if log.exists() else []
        new, self._seen = names[self._seen :], len(names)
        return new

    def receipt(self, stage: str, scope: str = "shared") -> dict[str, Any]:
        return json.loads((self.result(stage, scope) / "receipt.json").read_text())

    def result(self, stage: str, scope: str = "shared") -> Path:
        """The folder of the linked result, in the store."""
        return (self.build / scope / ".current" / stage).resolve()


def wait_until(true: Callable[[], Any], seconds: float = HANGS_S, what: str = "it") -> None:
    """Wait for a condition. Fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        os.kill(pid, 0)
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
            if sys.platform == "linux"
            else True
        )
    except (ProcessLookupError, FileNotFoundError):
        return False


def tree_state(folder: Path) -> dict[str, tuple[int, int]]:
    """(mtime_ns, inode) of everything below a folder: equal before and after means that nothing was written."""

    def entries() -> Iterator[Path]:
        yield folder
        yield from sorted(folder.rglob("*"))

    return {str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in entries()}
