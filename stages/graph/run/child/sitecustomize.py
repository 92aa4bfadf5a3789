"""The audit: every Python process of a command notes the files that its stage did not declare.

Python imports this module at start, in grandchildren (data loader workers, pip) too: `audit.py` puts this folder on
PYTHONPATH. In: the rules, in the file that the variable STAGE_AUDIT names, one `KIND<tab>PATH` a line:

    any    read, list and write below it        root   of what is not declared below it everything is a violation
    read   read and list below it               free   outside of the roots: anything below it
    list   list below it                        only   list it, nothing below it
    note   where violations go, one line each

Out: lines `WHAT<tab>PATH<tab>WHERE`, appended. Nothing is forbidden here: the run decides when the command has ended.
Only what Python opens itself is seen: neither whether a file is there (`stat`), nor files that a C, C++ or Rust
library opens, nor other programs. Standard library alone, and little of it: each process pays for this.
"""

from __future__ import annotations

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {  # audit event -> which of its arguments are paths that it changes
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.remove": (0,),
    "os.truncate": (0,),
    "os.rename": (0, 1),
    "os.symlink": (1,),
    "os.link": (1,),
}


class Rules:
    """The rules of a stage: lists of resolved paths, each with its slash."""

    def __init__(self, lines: list[str]) -> None:
        kinds: dict[str, list[str]] = {kind: [] for kind in ("any", "read", "list", "only", "root", "free", "note")}
        for line in lines:
            kind, _, path = line.partition("\t")
            kinds[kind].append(path)
        self.note = kinds["note"][0]
        self.roots = _below(kinds["root"])
        self.write = _below(kinds["any"] + kinds["note"])
        self.read = self.write + _below(kinds["read"])
        self.list = self.read + _below(kinds["list"])
        self.only = set(_below(kinds["only"]))
        self.free = _below(kinds["free"])
        # Most of what a process opens belongs to Python: seen by its name alone, unresolved.
        own = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__), HERE}
        self.python = _below([*own, *(os.path.realpath(path) for path in own)])

    def allows(self, what: str, path: str) -> bool:
        """Whether a stage may read, list or write an absolute path."""
        if what != "write" and path.startswith(self.python):
            return True
        path = os.path.realpath(path) + "/"
        if path.startswith({"read": self.read, "list": self.list, "write": self.write}[what]):
            return True
        if what == "list" and path in self.only:
            return True
        if path.startswith(self.roots):
            return False
        return what == "write" or path.startswith((*self.free, *self.python))


def _below(paths: list[str]) -> tuple[str, ...]:
    return tuple(path.rstrip("/") + "/" for path in paths)


class Audit:
    """The hook."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.noted: set[tuple[str, str]] = set()

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Called by Python at every audited event, most of which do not concern files."""
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & WRITING
            self._see("write" if writes else "read", path)
        elif event == "os.listdir" or event == "os.scandir":
            self._see("list", _folder(arguments[0]))
        elif event == "import":  # of an extension module: its file is not opened by Python
            if arguments[1] is not None:
                self._see("read", arguments[1])
        elif event == "sqlite3.connect":
            self._see("read", arguments[0])
        elif event in CHANGES:
            for index in CHANGES[event]:
                self._see("write", arguments[index])
            if event == "os.link":
                self._see("read", arguments[0])

    def _see(self, what: str, path: object) -> None:
        if isinstance(path, int) or path == "":  # an open descriptor: seen when it was opened
            return
        try:
            full = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]
            if (what, full) in self.noted or self.rules.allows(what, full):
                return
            if what == "read" and os.path.isdir(full):
                return  # a descriptor of a folder: what is in it is seen when it is listed
            if what == "list" and _importing():
                return  # the import system looks through all of sys.path; what it takes from there, it opens
            if what != "write" and not os.path.exists(full):
                return  # a look, as by `stat`
            self.noted.add((what, full))
            line = f"{what}\t{os.path.realpath(full)}\t{_where()}\n".encode("utf-8", "surrogateescape")
        except (OSError, TypeError, ValueError):
            return  # no path at all: the call itself will say so
        note = os.open(self.rules.note, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(note, line)
        finally:
            os.close(note)


def _folder(argument: object) -> object:
    """The folder that a listing is of: by name, by an open descriptor, or the current one."""
    if isinstance(argument, int):
        try:
            return os.readlink(f"/proc/self/fd/{argument}")
        except OSError:
            return argument
    return "." if argument is None else argument


def _importing() -> bool:
    return "importlib._bootstrap" in sys._getframe(3).f_code.co_filename


def _where() -> str:
    """FILE:LINE of the program's own code behind this event; else of the innermost."""
    frame = sys._getframe(3)
    innermost = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    library = (os.path.dirname(os.__file__), sys.prefix + "/lib", sys.base_prefix + "/lib", "<")
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(library):
            return f"{os.path.realpath(name)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return innermost


def _run_other() -> None:
    """Python takes only the first sitecustomize of sys.path: run the one that this one hides."""
    from importlib.machinery import PathFinder

    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != HERE]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    code = spec.loader.get_code("sitecustomize") if spec and spec.loader else None  # type: ignore[attr-defined]
    if code is not None:
        exec(code, {"__name__": "sitecustomize", "__file__": spec.origin})  # type: ignore[union-attr]


def _start() -> None:
    rules = os.environ.get("STAGE_AUDIT")
    if rules:
        try:
            with open(rules, encoding="utf-8", errors="surrogateescape") as file:
                audit = Audit(Rules(file.read().splitlines()))
        except OSError:
            return  # the process outlived its command: its notes would not be read
        sys.addaudithook(audit)


if __name__ == "sitecustomize":
    _run_other()
    _start()
