"""What a graph is made of: `Stage`, its inputs, tools and setups, as frozen declarations, checked when they are made.

Words of commands, `cwd`, `set_env` and `pythonpath` hold placeholders: {out} {params} {partial} {snapshot} {build}
{root} {python} {in.NAME}. The unexpanded text enters the key, the expanded one runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from .names import LOG, RECEIPT, within
from .sources import Source

RESERVED = (RECEIPT, LOG)
NO_PARTS = frozenset(("", ".", ".."))  # of a plain relative name
PLACEHOLDERS = ("out", "params", "snapshot", "build", "root", "python")  # and {partial} of resumable stages
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z][a-z_]*(?:\.[\w-]+)?)\}")


class Output(NamedTuple):
    """An output of another stage, used as an input."""

    stage: str
    path: str = ""  # as that stage declares it, with its "/" if it is a folder; "": all that it makes and compares


def receipt_of(stage: str) -> Output:
    """The receipt of another stage, used as an input: for stages that report how results were made.

    It counts as changed if the other stage's key, outputs or acceptance changed; not if it merely ran again.
    """
    return Output(stage, RECEIPT)


@dataclass(frozen=True, eq=False)
class Tool:
    """A program or package whose version enters the key: probed with `argv` (memoised by the stat of the program),
    or pinned by `version`.
    """

    name: str
    argv: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()  # a function where the program must be found first
    version: str | None = None
    watch: tuple[str, ...] = ()  # more files whose stat the memo depends on, such as one that selects the version

    def __post_init__(self) -> None:
        if bool(self.argv) == (self.version is not None):
            raise ValueError(f"tool {self.name}: give either argv (to ask it) or version (to pin it)")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int  # exit status; 128 + signal; 127 if it could not be started
    tail: list[str]  # its last lines
    seconds: float

    def last_lines(self) -> str:
        """Its last lines, indented, for the message of a failure."""
        return "".join(f"    {line}\n" for line in self.tail) or "    (no output)\n"


class Runner(Protocol):
    """What an `install` runs its commands with: under the supervisor, with a log, shown like a stage's."""

    def __call__(
        self, argv: Sequence[str], *, cwd: os.PathLike[str] | str | None = None, env: Mapping[str, str] | None = None
    ) -> Ended:
        """Run one command to its end. cwd: else the root; env: its whole environment, else ours."""


@dataclass(frozen=True, eq=False)
class Setup:
    """Something to install before a command can run: doit task `setup:NAME`. It is in no store and no key."""

    name: str
    doc: str
    is_ready: Callable[[], bool]
    install: Callable[[Runner], None]
    # Setups with the same word here are never installed at once: a folder below the root that they share, or
    # something of the machine's, such as "apt".
    exclusive: str = ""


@dataclass(frozen=True, eq=False)
class Stage:
    """One arrow of the graph: what goes in, the command, what comes out. See the module's text for placeholders."""

    name: str  # the doit task, and the link build/<scope>/.current/<name>
    doc: str  # one sentence, for `doit list`
    run: Sequence[str]  # argv
    outputs: Sequence[str]  # relative to {out}; a folder ends in "/"
    # Outputs that differ from run to run by nature, such as timings and logs, or depend on `runtime`. One may lie in a
    # folder that is an output, and is no part of it then. Such an output is an input of stages that have some
    # themselves, and in no key there.
    volatile: Sequence[str] = ()
    # Outside the key: numbers that people compare results by, as name -> "OUTPUT:PATH", where OUTPUT is JSON and PATH
    # leads to a number in it, such as {"test_bpb": "evaluation.json:splits.test.bpb"}.
    metrics: Mapping[str, str] = field(default_factory=dict)
    # Outside the key: series that people lay over one another, as name -> "OUTPUT:X,Y", where OUTPUT has a JSON object
    # a line and X and Y lead to numbers in it, such as {"loss": "metrics.jsonl:step,loss"}.
    curves: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Output] = field(default_factory=dict)
    sources: Sequence[Source] = ()
    external: Mapping[str, Sequence[os.PathLike[str] | str]] = field(default_factory=dict)  # other files, by content
    params: Mapping[str, Any] = field(default_factory=dict)  # dotted name -> JSON value
    # As `params`, but in no key: values that no compared output depends on, such as how often the command saves its
    # progress. The receipt has the values of the run that made the result.
    runtime: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Tool] = ()
    env: Sequence[str] = ()  # variables that enter the key and reach the command
    set_env: Mapping[str, str] = field(default_factory=dict)
    pythonpath: Sequence[str] = ()
    needs: Sequence[Setup] = ()
    # Outside the key: how much of the machine the command takes while it runs, such as {"cores": 2, "gpu": 1,
    # "memory_gb": 8}; other names are the project's own (Graph(resources=...)). See run/slots.py.
    resources: Mapping[str, float] = field(default_factory=dict)
    scope: str = "shared"  # links live in build/<scope>/
    links: Mapping[str, str] = field(default_factory=dict)  # build/<scope>/NAME -> .current/<stage>/PATH
    profile: str = "fast"
    profile_in_key: bool = False
    reproducible: bool = True  # False: the same sources and tools need not give the same bytes
    resumable: bool = False  # {partial} is kept from an interrupted run to the next one of the same key
    # Component and name, such as ("params", "train.steps"): a run may resume one that differs in these alone. They do
    # not enter the name of {partial}. When the stage has its result, only {partial}/done is deleted there.
    resumes_over: Sequence[tuple[str, str]] = ()
    cwd: str = "{snapshot}"
    background: bool = False  # outside the key: yields the processor to other stages (`-n 2`)
    # For the audit (audit.py), outside the key: files and folders that the command may read because something else
    # pins their content (download caches, pip's settings); and folders that it may list.
    reads: Sequence[str] = ()
    lists: Sequence[str] = ()
    # Outside the key: folders of the build folder ("{build}/logs") in which the command leaves what is no result, such
    # as a folder of curves for each of its runs. `doit shell` gives it others, `doit gc` removes what is old there.
    leaves: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raises ValueError with the stage's name for any declaration that cannot work."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"stage name {self.name!r} is not made of letters, digits, '_', '.' and '-'")
        if not self.outputs:
            raise ValueError(f"stage {self.name} declares no outputs")
        for output in self.outputs:
            parts = output.rstrip("/").split("/")
            if not NO_PARTS.isdisjoint(parts) or parts[0] in RESERVED:
                raise ValueError(f"stage {self.name}: output {output!r} is not a plain relative name, or is reserved")
        for output in self.volatile:
            if output not in self.outputs:
                raise ValueError(
                    f"stage {self.name}: volatile {output!r} is not among its outputs {list(self.outputs)}"
                )
        for folder in self.outputs:
            for name in within(folder, self.outputs):
                if folder + name not in self.volatile or name.endswith("/"):
                    raise ValueError(
                        f"stage {self.name}: output {folder + name} lies in {folder}, which covers it; only a volatile "
                        "file may"
                    )
        for name, where in self.metrics.items():
            output, colon, path = where.partition(":")
            if output not in self.outputs or output.endswith("/") or not colon or not path:
                raise ValueError(
                    f"stage {self.name}: metric {name} is {where!r}; write OUTPUT:PATH, where OUTPUT is a file among "
                    f"{list(self.outputs)}"
                )
        for name, where in self.curves.items():
            output, _, axes = where.partition(":")
            x, _, y = axes.partition(",")
            if output not in self.outputs or output.endswith("/") or not x or not y or "," in y:
                raise ValueError(
                    f"stage {self.name}: curve {name} is {where!r}; write OUTPUT:X,Y, where OUTPUT is a file among "
                    f"{list(self.outputs)}"
                )
        for name, path in self.links.items():
            if not any(
                path.rstrip("/") == o.rstrip("/") or (o.endswith("/") and path.startswith(o)) for o in self.outputs
            ):
                raise ValueError(
                    f"stage {self.name}: link {name} -> {path} is not among its outputs {list(self.outputs)}"
                )
        for name, amount in self.resources.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not amount >= 0:
                raise ValueError(f"stage {self.name}: resource {name} is {amount!r}; give a number, 0 or more")
        for folder in self.leaves:
            if not folder.startswith("{build}/"):
                raise ValueError(f"stage {self.name}: it leaves things in {folder!r}, which is not below {{build}}/")
        if both := self.params.keys() & self.runtime.keys():
            raise ValueError(f"stage {self.name}: {', '.join(sorted(both))} is in params and in runtime")
        if self.resumes_over and not self.resumable:
            raise ValueError(f"stage {self.name} names what it resumes over, but is not resumable")
        for word in self.words():
            for name in _PLACEHOLDER.findall(word) if "{" in word else ():
                given = name[3:] in self.inputs if name.startswith("in.") else name == "partial" and self.resumable
                if name not in PLACEHOLDERS and not given:
                    known = [*PLACEHOLDERS, *(f"in.{each}" for each in self.inputs), *["partial"] * self.resumable]
                    raise ValueError(f"stage {self.name}: {{{name}}} in {word!r} is none of {', '.join(sorted(known))}")

    @property
    def compared(self) -> list[str]:
        """The outputs that equal runs make equal: what an input can name."""
        return [output for output in self.outputs if output not in self.volatile]

    def words(self) -> list[str]:
        """Every text that may hold placeholders."""
        return [*self.run, *self.set_env.values(), *self.pythonpath, self.cwd, *self.reads, *self.lists, *self.leaves]


def expand_placeholders(word: str, values: Mapping[str, str]) -> str:
    """`word` with each {name} replaced; `${NAME}` of the shell is left alone."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], word)


def nested(params: Mapping[str, Any]) -> dict[str, Any]:
    """{"train.lr": 1} -> {"train": {"lr": 1}}. Raises ValueError if a name is both a value and a section."""
    tree: dict[str, Any] = {}
    for name, value in params.items():
        *sections, last = name.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise ValueError(f"parameter {name}: {section} is a value, not a section")
        if last in node:
            raise ValueError(f"parameter {name} is given twice, or is also a section")
        node[last] = value
    return tree
