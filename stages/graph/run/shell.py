"""A shell where a stage's command ran: the record of its last attempt in; the snapshot, its environment and its
command out, to be looked at and run again by hand. Nothing that is made there is ever published.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from ..declare.plan import Plan
from ..declare.stage import expand_placeholders
from ..errors import GraphError
from ..keep import attempts
from ..keep.store import remove_tree
from ..read import environment

VARIABLE = "DOIT_SHELL"  # in such a shell: the stage's name


@dataclass(frozen=True)
class Place:
    """Where a command ran."""

    folder: str  # build/run/STAGE
    attempt: attempts.Attempt
    argv: Sequence[str]
    cwd: str
    env: dict[str, str]

    @property
    def out(self) -> str:
        """What the command made, where it failed."""
        return f"{self.folder}/{attempts.OUT}"


def place_of(plan: Plan, word: str) -> Place:
    """Where the last command of a stage ran.

    Raises GraphError where none ran, or what it ran with is gone.
    """
    folder = attempts.newest(plan.build, word)
    attempt = None if folder is None else attempts.load(folder)
    if folder is None or attempt is None:
        raise GraphError(
            f"no command of {word} has run here, or its result came from the store since; `doit -a -s {word}` runs it"
        )
    values = {
        **attempt.values,
        "out": f"{folder}/{attempts.OUT}",
        "params": f"{folder}/params.json",
        "snapshot": f"{folder}/src",
    }
    if "partial" in values:  # a copy: what is tried out here must not be what the next run goes on from
        values["partial"] = f"{folder}/partial"
    for name, there in values.items():
        if name.startswith("in.") and not os.path.lexists(there):
            raise GraphError(f"{word}: its input {name[3:]}, {there}, is gone; run `doit {attempt.stage}` first")
    stage = plan.stages.get(attempt.stage)

    def expanded(word: str) -> str:
        for left in stage.leaves if stage is not None else ():  # a folder of its own instead
            word = word.replace(left, f"{folder}/{os.path.basename(left)}")
        return expand_placeholders(word, values)

    set_env = {name: expanded(value) for name, value in attempt.set_env.items()}
    pythonpath = [expanded(each) for each in attempt.pythonpath]
    env = environment.child_environment(attempt.env, set_env, plan.path, pythonpath)
    env[VARIABLE] = attempt.stage
    return Place(folder, attempt, [expanded(each) for each in attempt.run], expanded(attempt.cwd), env)


def rerun(place: Place) -> int:
    """Run the command there once more, with an empty output folder; returns its exit status."""
    remove_tree(place.out)
    os.makedirs(place.out)
    partial, copied = place.attempt.values.get("partial"), f"{place.folder}/partial"
    remove_tree(copied)
    if partial is not None and os.path.isdir(partial):
        shutil.copytree(partial, copied)
    else:
        os.makedirs(copied)
    return _run(place.argv, place)


def open_shell(place: Place) -> int:
    """The person's own shell there; returns its exit status."""
    return _run([os.environ.get("SHELL") or "/bin/sh"], place)


def _run(argv: Sequence[str], place: Place) -> int:
    """A command on our own terminal. Ctrl-C is for it, not for us."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN, which the command would inherit
    try:
        status = subprocess.run(argv, cwd=place.cwd, env=place.env, check=False).returncode
    except OSError as error:
        raise GraphError(f"cannot start {argv[0]}: {error.strerror}") from error
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status
