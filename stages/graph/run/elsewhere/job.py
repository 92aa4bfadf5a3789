"""What has to travel so that a stage's command can run elsewhere: its snapshot, inputs and parameters in; files by
content, and a description in which no path of this machine is left, out.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...decide.key import Components
from ...decide.look import Input, Look
from ...declare.stage import Stage, expand_placeholders
from ...errors import StageFailed
from ...keep.receipt import compared
from ...read import environment
from ...read.digest import bytes_digest, is_executable, walk
from ...read.expand import Expansion
from .. import audit
from ..audit import NAMING
from ..process import SUPERVISOR

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "there", "runner.py")


@dataclass(frozen=True)
class File:
    """A file that travels."""

    name: str  # below the command's folder there
    path: str  # here
    digest: str
    executable: bool


@dataclass(frozen=True)
class Job:
    """One command, before it is known where it will lie."""

    look: Look
    stage: Stage
    key: str
    tools: Mapping[str, str]  # the versions that the key holds
    params: str  # the text of params.json
    partial: str  # the name of what it goes on from; "" where it is not resumable
    files: list[File]
    folders: list[str]  # below the command's folder there, those without a file among them
    given: dict[str, str]  # in.NAME -> where it lies below the command's folder

    @property
    def owner(self) -> str:
        """Who began it: this build folder."""
        return bytes_digest(f"{socket.gethostname()}:{self.look.plan.build}".encode("utf-8", "surrogateescape"))[:16]

    @property
    def run(self) -> str:
        """What it is called there: the same again after a kill."""
        return f"{self.stage.name}-{self.key[:20]}-{self.owner[:8]}"

    def folder(self, base: str) -> str:
        """Where it runs."""
        return f"{base}/runs/{self.run}"

    def partial_folder(self, base: str) -> str:
        """What it goes on from."""
        return f"{base}/partial/{self.partial}" if self.partial else ""

    def values(self, base: str, python: str) -> dict[str, str]:
        """The placeholders there."""
        folder = self.folder(base)
        return {
            "out": f"{folder}/out",
            "params": f"{folder}/params.json",
            "partial": self.partial_folder(base),
            "snapshot": f"{folder}/src",
            "build": f"{base}/build",
            "root": f"{folder}/root",
            "python": python,
            **{name: f"{folder}/{place}" for name, place in self.given.items()},
        }

    def argv(self, base: str, python: str) -> list[str]:
        """The command as it runs there."""
        values = self.values(base, python)
        return [expand_placeholders(word, values) for word in self.stage.run]

    def spec(self, base: str, python: str) -> dict[str, Any]:
        """What the other side's runner reads."""
        stage, values = self.stage, self.values(base, python)
        set_env = {name: expand_placeholders(value, values) for name, value in stage.set_env.items()}
        pythonpath = [expand_placeholders(word, values) for word in stage.pythonpath]
        rules = list(audit.rules(self.look.plan, stage, self.folder(base), values))
        return {
            "owner": self.owner,
            "argv": self.argv(base, python),
            "cwd": expand_placeholders(stage.cwd, values),
            "env": environment.declared(stage.env, set_env, pythonpath),
            "passed": environment.PASSED,
            "naming": NAMING.pattern,
            "rules": [*rules, ("root", base)],
            "partial": self.partial_folder(base),
            "background": "background" if stage.background else "-",
        }

    def texts(self) -> dict[str, str]:
        """The small files of its folder there."""
        found = {"params.json": self.params}
        programs = {"runner.py": RUNNER, "supervisor.py": SUPERVISOR}
        programs["child/sitecustomize.py"] = f"{audit.CHILD}/sitecustomize.py"
        for name, path in programs.items():
            with open(path, encoding="utf-8") as file:
                found[name] = file.read()
        return found


def job_of(
    look: Look,
    stage: Stage,
    key: str,
    components: Components,
    inputs: Mapping[str, Input],
    sources: Expansion,
    snapshot: str,
    params: str,
    partial: str,
) -> Job:
    """What the command of a stage needs. partial: the name of what it goes on from.

    Raises StageFailed where it reads a file of this machine that is not the project's.
    """
    files = [
        File(f"src/{name}", f"{snapshot}/{name}", digests.content, is_executable(os.stat(f"{snapshot}/{name}")))
        for name, digests in sources.items()
    ]
    folders: list[str] = []
    given: dict[str, str] = {}
    for name, output in stage.inputs.items():
        made = str(inputs[name].key)
        receipt = look.store.receipt(made)
        assert receipt is not None
        place = f"in/{name}"
        for path in [output.path] if output.path else compared(receipt):
            _add(look, f"{look.store.entry(made)}/{path}".rstrip("/"), f"{place}/{path}".rstrip("/"), files, folders)
        given[f"in.{name}"] = f"{place}/{output.path}".rstrip("/")
    for group in stage.external.values():
        for each in group:
            full = os.path.join(look.plan.root, os.fspath(each))
            inside = os.path.relpath(full, look.plan.root)
            if inside.startswith("../"):
                raise StageFailed(f"it reads {full}, which lies outside of the project: it can run here alone")
            _add(look, full, f"root/{inside}", files, folders)
    return Job(look, stage, key, components["tools"], params, partial if stage.resumable else "", files, folders, given)


def _add(look: Look, path: str, name: str, files: list[File], folders: list[str]) -> None:
    """A file, or all that is below a folder."""
    if not os.path.isdir(path):
        st = os.stat(path)
        files.append(File(name, path, look.cache.digest(path, st), is_executable(st)))
        return
    folders += [name, *(f"{name}/{os.path.relpath(each, path)}" for each, _, _ in os.walk(path) if each != path)]
    for found in walk(path):
        files.append(
            File(
                f"{name}/{found.name}", found.path, look.cache.digest(found.path, found.stat), is_executable(found.stat)
            )
        )
