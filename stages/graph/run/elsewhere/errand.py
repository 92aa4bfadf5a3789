"""One command that runs elsewhere: sent, begun, followed, asked to end, and what it made fetched.

What is begun there goes on whatever happens to the connection or to this run. A connection that was lost is taken up
again; a run that was killed finds the command there when it is started again, for it is called by its key.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ...declare.elsewhere import Elsewhere
from ...declare.site import RAY, SLURM, Environment, Site
from ...declare.stage import NO_PARTS, Ended
from ...errors import GraphError, StageFailed
from ...read import versions
from ...read.digest import bytes_digest, file_digest
from ..printed import SHOW_S, Printed
from .connection import CHUNK_BYTES, Connection, Lost
from .job import File, Job

AGAIN_S = (1.0, 30.0)  # how long it is waited before a lost connection is taken up: the first time, and the longest
STOP_S = 20.0  # beside the grace: how long it is tried to reach the other side, so that it ends the command
LOOK_S = 0.2
SAID_BYTES = 1 << 20  # from here on a transfer gets a line
GONE = -1  # the status of a command that has none

Value = TypeVar("Value")


class Errand:
    """One command elsewhere."""

    def __init__(
        self,
        site: Site,
        job: Job,
        elsewhere: Elsewhere,
        grace_s: float,
        stopping: Callable[[], bool],
        note: Callable[[str], None],
    ) -> None:
        """`stopping`: whether this run is being stopped. `note`: says something to the person."""
        self.site, self.job, self.elsewhere = site, job, elsewhere
        self.grace_s, self._stopping, self._note = grace_s, stopping, note
        self.host: Mapping[str, Any] = {}  # the machine there, for the receipt
        self.argv: list[str] = []  # the command as it ran there
        self.moved: list[str] = []  # its sources and inputs that it changed
        self._base = ""  # the folder there; "" until it was reached
        self._connection: Connection | None = None
        self._begun = False  # it may run there
        self._lost = False  # the connection was lost, and is not there again
        self._offset = 0  # bytes of its output that came
        self._fetched: set[str] = set()
        self._hurry = False

    def run(self, log: str, on_line: Callable[[str, str], None], terminal: bool, out: str, audit: str) -> Ended:
        """Run it to its end. `log`, `on_line`, `terminal`: as in process.py. `out`: the folder for what it makes.
        `audit`: the file for what its audit notes.

        Raises StageFailed where it cannot run there, or is gone without a status; GraphError where the other side lacks
        what every command needs.
        """
        with Printed(log, on_line, terminal) as printed:
            try:
                found = self._through(lambda connection: self._once(connection, printed, out, audit))
            except BaseException:
                if self._stopping():
                    self._stop()
                raise
            finally:
                printed.finish()
            if found["status"] == GONE:
                more = f": {found['trouble']}" if found.get("trouble") else ""
                raise StageFailed(
                    f"its command is gone from {self.site.on} without a status (was the machine restarted?){more}; "
                    "run again to go on",
                    "gone without a status",
                )
            return Ended(found["status"], list(printed.tail), found["seconds"])

    def forget(self, done: bool) -> None:
        """Clean the other side. `done`: its result is published, so there is nothing to go on from any more."""
        partial = None
        if done and self.job.partial:
            whole = self.job.partial_folder(self._base)
            partial = f"{whole}/done" if self.job.stage.resumes_over else whole
        for attempt in (1, 2):
            try:
                self._connected().ask("forget", base=self._base, run=self.job.run, partial=partial)
                break
            except (Lost, GraphError) as error:
                self._drop()
                if attempt == 2:
                    self._note(f"{self.job.folder(self._base)} on {self.site.on} could not be removed: {error}")
        self._drop()

    def hurry(self) -> None:
        """A second request to stop."""
        self._hurry = True

    def _stop(self) -> None:
        """Ask the command to end, and wait until it has, as long as its grace; then remove its folder."""
        give_up_at = time.monotonic() + self.grace_s + STOP_S
        while self._begun and time.monotonic() < give_up_at:
            with contextlib.suppress(Lost, GraphError), self._connect(lambda: False) as connection:
                while time.monotonic() < give_up_at:
                    hurry, self._hurry = self._hurry, False
                    found = connection.ask("stop", base=self._base, run=self.job.run, hurry=hurry)
                    if found["state"] not in ("running", "stopping"):
                        connection.ask("forget", base=self._base, run=self.job.run, partial=None)
                        return
                    time.sleep(LOOK_S)
            time.sleep(LOOK_S)
        if self._begun:
            name = self.job.stage.name
            print(f"doit: {name} could not be stopped on {self.site.on}; run again to follow it", file=sys.stderr)

    # ── Connections ──

    def _connect(self, stopping: Callable[[], bool]) -> Connection:
        return Connection(self.site.shell, self.site.python or "python3", stopping)

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect(self._stopping)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _through(self, work: Callable[[Connection], Value]) -> Value:
        """Do something over a connection, and again over another one as often as it breaks. What cannot be reached the
        first time fails.
        """
        wait_s = AGAIN_S[0]
        try:
            while True:
                try:
                    return work(self._connected())
                except Lost as error:
                    self._drop()
                    if not self._base:
                        raise StageFailed(f"{self.site.on} cannot be reached: {error}", "not reached") from error
                    wait_s = min(AGAIN_S[1], wait_s * 2 if self._lost else AGAIN_S[0])
                    self._lost = True
                    goes_on = "; the command goes on there" if self._begun else ""
                    self._note(f"the connection to {self.site.on} is lost ({error}){goes_on}; again in {wait_s:.0f} s")
                    self._sleep(wait_s)
        except BaseException:
            self._drop()
            raise

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._stopping():
                raise StageFailed("it was stopped")
            time.sleep(LOOK_S)

    # ── The conversation ──

    def _once(self, connection: Connection, printed: Printed, out: str, audit: str) -> dict[str, Any]:
        """All of it over one connection, from wherever an earlier one came to; returns how the command ended."""
        base, job = self.site.path, self.job
        there = connection.ask("hello", base=base, python=job.tools.get("python"))
        self._check_machine(there["host"])
        self._base, self.host = there["base"], there["host"]
        if self._lost:
            self._lost = False
            self._note(f"connected to {self.site.on} again")
        if not self._found_there(connection):
            if not self._begun:
                self._tell_others(connection)
            python = self._python(connection, there, printed)
            self._start(connection, python, printed)
        found = self._follow(connection, printed)
        if found["status"] != GONE:
            self._fetch(connection, out, audit)
        return found

    def _check_machine(self, host: Mapping[str, Any]) -> None:
        """Raises StageFailed where the machine there is of another kind: no key says so, and its result would be taken
        for one of ours.
        """
        ours, theirs = (platform.system(), platform.machine()), (host["system"], host["machine"])
        if ours != theirs:
            raise StageFailed(
                f"{self.site.on} is {' '.join(theirs)} and this machine {' '.join(ours)}: what one makes is no result "
                "of the other; run the build there instead",
                "another kind of machine",
            )

    def _found_there(self, connection: Connection) -> bool:
        """Whether it is there, running or ended: begun by us, or by a run of ours that was cut off."""
        job = self.job
        told = False
        while True:
            state = connection.ask("state", base=self._base, run=job.run)["state"]
            if state == "none":
                return False
            if state in ("running", "ended") or (state == "lost" and self._begun):
                if not self._begun:
                    self._note(f"{'still runs' if state == 'running' else 'has ended'} on {self.site.on}: taken up")
                self._begun = True
                return True
            if state == "stopping":
                if not told:
                    self._note(f"an earlier command still ends on {self.site.on}")
                told = True
                self._sleep(LOOK_S)
            else:
                connection.ask("forget", base=self._base, run=job.run, partial=None)

    def _tell_others(self, connection: Connection) -> None:
        """Say what else a run of this build folder left running there: nobody follows it."""
        found = connection.ask("others", base=self._base, run=self.job.run, owner=self.job.owner)["others"]
        for run, number in found:
            self._note(f"{run} runs on {self.site.on} too ({number})")

    def _python(self, connection: Connection, there: Mapping[str, Any], printed: Printed) -> str:
        """The Python of the command there, made where it has to be, with the versions that the key says."""
        job, site = self.job, self.site
        wanted = job.tools.get("python")
        python = site.python or str(there["python"])
        if wanted is not None and not python:
            raise StageFailed(
                f"{site.on} has Python {there['version']}, and the key says {wanted}; install that one there, or "
                f"name it: run.{job.stage.name}.python"
            )
        if site.python is None and wanted is not None:
            environment = self._environment()
            if environment is not None:
                python = self._prepare(connection, environment, python, printed)
        tools = {
            tool.name: list(tool.argv() if callable(tool.argv) else tool.argv)
            for tool in job.stage.tools
            if tool.version is None
        }
        packages = list(self.elsewhere.packages(job.stage)) if wanted is not None else []
        found = connection.ask("versions", python=python if wanted is not None else "", packages=packages, tools=tools)
        theirs = {
            **found["tools"],
            **{name: (said or "").partition("+")[0] for name, said in found["packages"].items()},
        }
        if wanted is not None:
            theirs["python"] = found["python"]
        for name, said in theirs.items():
            if said != job.tools.get(name):
                raise StageFailed(
                    f"{name} is {said or 'not there'} on {site.on}, and the key says {job.tools.get(name)}",
                    "other tools",
                )
        return python

    def _environment(self) -> Environment | None:
        if self.site.prepare is None:
            return self.elsewhere.environment(self.job.stage)
        files: Mapping[str, str] = {}
        with contextlib.suppress(GraphError):  # what the project cannot make, a person's own line may
            made = self.elsewhere.environment(self.job.stage)
            files = made.files if made is not None else {}
        return Environment(files, self.site.prepare)

    def _prepare(self, connection: Connection, environment: Environment, python: str, printed: Printed) -> str:
        """Make an environment there, if it was not made before; returns its Python."""
        files = {name: File(name, path, file_digest(path), False) for name, path in environment.files.items()}
        self._send(connection, list(files.values()))
        digests = {name: file.digest for name, file in files.items()}
        name = bytes_digest(repr((environment.make, sorted(digests.items()), python, versions.python())).encode())[:16]
        request = {"base": self._base, "name": name, "files": digests, "line": environment.make, "python": python}
        connection.request("prepare", **request)
        while "more" in (found := connection.answer()):
            printed.feed(found["text"].encode())
        return f"{found['env']}/bin/python"

    def _start(self, connection: Connection, python: str, printed: Printed) -> None:
        """Send what is not there, and begin."""
        job = self.job
        self._send(connection, job.files)
        spec = {
            **job.spec(self._base, python),
            "grace": str(self.grace_s),
            "terminal": _terminal_size() if printed.rewrites else None,
            "slurm": self._slurm() if self.site.kind == SLURM else None,
            "ray": self._ray() if self.site.kind == RAY else None,
        }
        files = [(file.name, file.digest, file.executable) for file in job.files]
        request = {"base": self._base, "run": job.run, "spec": spec, "texts": job.texts(), "files": files}
        self._begun = True  # before the answer: it may be lost
        while missing := connection.ask("start", **request, folders=job.folders)["missing"]:
            self._send(connection, [file for file in job.files if file.digest in missing])

    def _needs(self) -> list[float]:
        """Cores, GPUs and memory in GB that a queue is asked for; 0: nothing is said."""
        return [self.job.stage.resources.get(name, 0) for name in ("cores", "gpu", "memory_gb")]

    def _ray(self) -> dict[str, Any]:
        """What Ray's job server is told, and where it is. A command that needs nothing runs on the head."""
        cores, gpus, memory_gb = self._needs()
        wants = {"num_cpus": cores, "num_gpus": gpus, "memory": round(memory_gb * 1e9)}
        asked = {f"entrypoint_{name}": value for name, value in wants.items() if value}
        return {"address": self.site.address, "job": {**asked, "metadata": {"name": self.job.run}}}

    def _slurm(self) -> list[str]:
        """The words for sbatch."""
        stage, partition = self.job.stage, self.site.partition
        cores, gpus, memory_gb = self._needs()
        found = [f"--job-name={stage.name}"] + [f"--partition={partition}"] * bool(partition)
        found += [f"--cpus-per-task={round(cores)}"] * bool(cores) + [f"--gpus={round(gpus)}"] * bool(gpus)
        return [*found, *[f"--mem={round(memory_gb * 1000)}M"] * bool(memory_gb), *self.site.options]

    def _send(self, connection: Connection, files: list[File]) -> None:
        """Send the files that are not there."""
        by_digest = {file.digest: file for file in files}
        missing = connection.ask("missing", base=self._base, digests=list(by_digest))["missing"]
        if not missing:
            return
        chosen = [(by_digest[digest], os.path.getsize(by_digest[digest].path)) for digest in missing]
        total = sum(size for _, size in chosen)
        if total >= SAID_BYTES:
            self._note(f"sends {total / 1e6:.1f} MB to {self.site.on}")
        connection.request("put", base=self._base, files=[(file.digest, size) for file, size in chosen])
        for file, size in chosen:
            with open(file.path, "rb") as opened:
                while size and (data := opened.read(min(size, CHUNK_BYTES))):
                    connection.send(data)
                    size -= len(data)
            if size:
                raise StageFailed(f"{file.path} became shorter while it was sent")
        connection.answer()

    def _follow(self, connection: Connection, printed: Printed) -> dict[str, Any]:
        """Take what it prints until it has ended; returns how."""
        connection.request("follow", base=self._base, run=self.job.run, offset=self._offset)
        while True:
            if not printed.is_current and connection.is_quiet(SHOW_S):
                printed.show()
            found = connection.answer()
            if "more" not in found:
                return found
            for data in connection.read(found["size"]):
                self._offset += len(data)
                printed.feed(data)

    def _fetch(self, connection: Connection, out: str, audit: str) -> None:
        """Take what it made, each file with its digest; those that came over an earlier connection are here."""
        made = connection.ask("made", base=self._base, run=self.job.run)
        self.moved, self.argv = made["moved"], made["argv"]
        if made["links"]:
            raise StageFailed(f"it made {', '.join(made['links'][:3])}: a result holds plain files and folders only")
        names = [*made["folders"], *(name for name, _, _ in made["files"])]
        if bad := [name for name in names if not NO_PARTS.isdisjoint(name.split("/")) or "\0" in name]:
            raise StageFailed(f"the other side sent a file that leads elsewhere: {bad[0]!r}")
        folder = self.job.folder(self._base)
        if made["audit"]:
            with open(audit, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(made["audit"].replace(f"{folder}/", f"{os.path.dirname(audit)}/"))
        for name in made["folders"]:
            os.makedirs(f"{out}/{name}", exist_ok=True)
        executable = {name: mode for name, _, mode in made["files"] if name not in self._fetched}
        if (total := sum(size for name, size, _ in made["files"] if name in executable)) >= SAID_BYTES:
            self._note(f"fetches {total / 1e6:.1f} MB from {self.site.on}")
        connection.request("get", base=self._base, run=self.job.run, names=list(executable))
        while "name" in (found := connection.answer()):
            path = f"{out}/{found['name']}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            digest = hashlib.sha256()
            with open(path, "wb") as file:
                for data in connection.read(found["size"]):
                    digest.update(data)
                    file.write(data)
                os.fchmod(file.fileno(), 0o755 if executable[found["name"]] else 0o644)
            if digest.hexdigest() != connection.answer()["digest"]:
                raise Lost(f"{found['name']} came damaged")
            self._fetched.add(found["name"])


class Errands:
    """The commands elsewhere of one run. Threads may share it."""

    def __init__(self) -> None:
        self._guard = threading.RLock()  # a signal handler may take it while its own thread holds it
        self._running: list[Errand] = []

    @contextlib.contextmanager
    def during(self, errand: Errand) -> Any:
        """Let a signal reach this one meanwhile."""
        with self._guard:
            self._running.append(errand)
        try:
            yield
        finally:
            with self._guard:
                self._running.remove(errand)

    def wait(self) -> None:
        """Wait until no command is left, once the run is being stopped: whoever follows one ends it."""
        while self._running:
            time.sleep(LOOK_S / 4)

    def hurry(self) -> None:
        """A second request to stop: no more grace."""
        with self._guard:
            for errand in self._running:
                errand.hurry()


def _terminal_size() -> tuple[int, int]:
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    return rows, columns
