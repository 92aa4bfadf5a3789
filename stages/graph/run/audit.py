"""The audit of a command's Python processes: the stage's declaration in, a refusal out where it read something else.

`prepare` writes the rules and tells how the processes find them; `child/sitecustomize.py` notes what breaks them;
`check` refuses the result. A file that was read and not declared could change without anything becoming stale. Always
on: measured, a process pays 0.4 ms at its start and 22 µs for each file that is not Python's own.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..decide.look import Look
from ..declare.plan import Plan
from ..declare.stage import Stage, expand_placeholders
from ..errors import StageFailed

CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child")
VARIABLE = "STAGE_AUDIT"
SHOWN = 5  # violations that a message names

# Outside of the project: system files, which the versions of tools stand for. No homes and no data disks.
SYSTEM = (
    *("/bin", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/nix", "/opt", "/proc", "/run", "/sbin", "/snap", "/sys"),
    *("/usr", "/var", "/Applications", "/Library", "/System", "/private/etc", "/private/var"),
)
# Variables that reach every command (environment.py) and may name a file or a folder: certificates, indexes, caches.
NAMING = re.compile(r"XDG_\w+|TMPDIR|\w*(?:SSL_CERT|CA_BUNDLE|CA_CERTS)\w*|PIP_\w+|UV_\w+|CARGO_\w+|RUSTUP_\w+", re.I)


class Violation(NamedTuple):
    """Something that a command did and did not declare."""

    what: str  # "read", "list" or "write"
    path: str
    where: str  # FILE:LINE of the code that did it


def prepare(look: Look, stage: Stage, folder: str, values: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """Write the rules of a stage into its run folder; returns the variables that its command needs for them.

    values: its placeholders; env: its environment.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(note(folder))
    with open(f"{folder}/audit-rules.txt", "w", encoding="utf-8", errors="surrogateescape") as file:
        for kind, path in [*rules(look.plan, stage, folder, values), *_named(env)]:
            file.write(f"{kind}\t{os.path.realpath(os.path.expanduser(path))}\n")
    pythonpath = env.get("PYTHONPATH")
    return {
        VARIABLE: f"{folder}/audit-rules.txt",
        "PYTHONPATH": CHILD if not pythonpath else f"{CHILD}{os.pathsep}{pythonpath}",
    }


def check(look: Look, stage: Stage, folder: str) -> None:
    """Raises StageFailed if the command read or wrote what its stage does not declare."""
    found = violations(folder)
    if not found:
        return
    lines = [_line(look, f"{folder}/src", each) for each in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more: {note(folder)}")
    raise StageFailed(
        f"stage {stage.name} opened what it does not declare; its result was not kept, for a change there would not "
        "make it stale\n" + "".join(f"    {line}\n" for line in lines) + "  "
        "declare what decides the result: a file of the project in `sources` or `external`, another stage's result in "
        "`inputs`;\n  what does not (a cache of downloads, say) in `reads`, a folder that is only searched in `lists`"
    )


def violations(folder: str) -> list[Violation]:
    """What the processes of the last command noted, each once."""
    try:
        with open(note(folder), encoding="utf-8", errors="surrogateescape") as file:
            words = (line.split("\t") for line in file.read().splitlines())
            return list(dict.fromkeys(Violation(*each) for each in words if len(each) == 3))
    except FileNotFoundError:
        return []


def note(folder: str) -> str:
    """The file in which the processes of a command note what breaks the rules."""
    return f"{folder}/audit.txt"


def rules(plan: Plan, stage: Stage, folder: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The rules of a stage whose command runs in `folder` with these placeholders, on whichever machine."""
    yield "note", note(folder)
    yield from (("root", values[name]) for name in ("root", "build"))
    yield from (("any", values[name]) for name in ("out", "partial", "snapshot"))
    yield from (("read", path) for path in (values["params"], f"{folder}/audit-rules.txt"))
    for name, output in stage.inputs.items():
        if output.path:
            yield "read", values[f"in.{name}"]
        else:  # its outputs, not the receipt beside them, which holds times
            yield "only", values[f"in.{name}"]
            made = plan.stages[output.stage]
            for path in set(made.outputs) - set(made.volatile):
                yield "read", f"{values[f'in.{name}']}/{path}"
    for paths in stage.external.values():
        yield from (("read", os.path.join(values["root"], os.fspath(path))) for path in paths)
    for kind, words in (("any", (*stage.reads, *stage.leaves)), ("list", stage.lists)):
        for word in words:
            path = expand_placeholders(word, values)
            yield kind, path if path.startswith("~") else os.path.join(values["root"], path)
    yield from (("free", path) for path in (*SYSTEM, "/tmp"))


def _named(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The folders that variables name, such as TMPDIR."""
    for name, value in env.items():
        if NAMING.fullmatch(name):
            yield from (("free", path) for path in value.split(os.pathsep) if path.startswith("/") and path != "/")


def _line(look: Look, snapshot: str, found: Violation) -> str:
    done = {"read": "read", "list": "listed the folder", "write": "changed"}[found.what]
    name = found.path.removeprefix(os.path.realpath(look.plan.root) + "/")
    store = os.path.realpath(look.store.path) + "/"
    if found.path.startswith(store):  # name the stage, not a digest
        key, _, inside = found.path.removeprefix(store).partition("/")
        receipt = look.store.receipt(key)
        name = f"{inside} of stage {receipt['stage']}" if receipt else name
    where = found.where.removeprefix(os.path.realpath(snapshot) + "/")
    return f"{done} {name}  (at {where})"
