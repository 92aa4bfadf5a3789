"""Sources: which files of the repository a command uses, and the digest of each.

In: a declaration (`python_sources("training.train")`, `files("shaders", "Cargo.lock")`) and a `View` of the tree.
Out: an expansion, name -> (what enters the key, digest of the content). They differ for Python, whose key digest is
that of its syntax tree without comments and docstrings; the snapshot always gets the real file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import GraphError
from .digest import bytes_digest
from .statcache import StatCache

# Never sources: caches, what tools install beside the sources, and editors' temporary files.
IGNORED = ("__pycache__", "*.pyc", ".git", "node_modules", "target", "*~", ".*.sw?", ".#*", "#*#", ".DS_Store")
LINK = "\0"  # ends the name of a link to a folder


class Digests(NamedTuple):
    """What is known of one source file."""

    key: str  # enters the stage's key
    content: str  # SHA-256 of the bytes


Expansion = dict[str, Digests]  # by name relative to the root, with "/"


class PythonSources(NamedTuple):
    """The modules and everything of the repository that they import, directly or not."""

    modules: tuple[str, ...]


class Files(NamedTuple):
    """Files, folders and globs (`*` within a folder, `**` across folders), less those that match an exclude pattern."""

    patterns: tuple[str, ...]
    exclude: tuple[str, ...] = ()


Source = PythonSources | Files


def python_sources(*modules: str) -> PythonSources:
    """The first-party import closure of `python -m MODULE`. What is imported by a computed name is not seen:
    declare it with `files`.
    """
    return PythonSources(modules)


def files(*patterns: str, exclude: Sequence[str] = ()) -> Files:
    """Repository files by name, folder or glob. An exclude pattern without "/" matches a name in any folder."""
    return Files(patterns, tuple(exclude))


class View:
    """The tree as one look at it found it: stats and listings are asked for once. Make a new one whenever time has
    passed.
    """

    def __init__(self, root: str, cache: StatCache) -> None:
        self.root = root
        self.cache = cache
        self._stats: dict[str, os.stat_result | None] = {}
        self._digests: dict[str, str] = {}
        self._entries: dict[str, list[tuple[str, bool]]] = {}
        self._listings: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self._names: dict[str, set[str]] = {}

    def stat(self, name: str) -> os.stat_result | None:
        """The stat of a file or folder below the root, or None."""
        try:
            return self._stats[name]
        except KeyError:
            pass
        try:
            found: os.stat_result | None = os.stat(f"{self.root}/{name}")
        except OSError:
            found = None
        self._stats[name] = found
        return found

    def digest(self, name: str) -> str:
        """Content digest of a file below the root. Raises GraphError if it cannot be read."""
        digest = self._digests.get(name)
        if digest is None:
            try:
                digest = self.cache.digest(f"{self.root}/{name}", self.stat(name))
            except OSError as error:
                raise GraphError(f"source {name} cannot be read: {error.strerror}") from error
            self._digests[name] = digest
        return digest

    def names(self, folder: str) -> set[str]:
        """The names in a folder below the root; empty where there is none."""
        found = self._names.get(folder)
        if found is None:
            try:
                found = set(os.listdir(f"{self.root}/{folder}"))
            except OSError:
                found = set()
            self._names[folder] = found
        return found

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        """What lies in a folder (relative to the root), sorted: (name below the root, whether it is a folder).

        Links to files count as files. Raises GraphError at a link to a folder, unless its name is ignored.
        """
        found = self._entries.get(folder)
        if found is None:
            prefix = f"{folder}/" if folder else ""
            found = self._entries[folder] = []
            with os.scandir(f"{self.root}/{folder}") as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if _ignored(name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        found.append((name, True))
                    elif entry.is_file():
                        found.append((name, False))
                    elif entry.is_dir():
                        found.append((name + LINK, True))
            found.sort()
        return found

    def listing(self, folder: str, exclude: tuple[str, ...]) -> list[str]:
        """Names of the files below `folder`, sorted by folder, without ignored and excluded ones.

        Raises GraphError at a link to a folder: its content would not be covered.
        """
        key = (folder, exclude)
        if key not in self._listings:
            excluded = _matcher(exclude)
            found: list[str] = []
            waiting = [folder]
            while waiting:
                for name, is_folder in self.entries(waiting.pop()):
                    if excluded(name.removesuffix(LINK)):
                        continue
                    if name.endswith(LINK):
                        link = name.removesuffix(LINK)
                        raise GraphError(
                            f"source {link} is a link to a folder; declare the folder, or exclude the link"
                        )
                    (waiting if is_folder else found).append(name)
            self._listings[key] = found
        return self._listings[key]

    def glob(self, pattern: str, exclude: tuple[str, ...]) -> list[str]:
        """Names of the files that match. Looks only into folders that may hold one."""
        excluded = _matcher(exclude)
        matches = [""]
        parts = pattern.split("/")
        for depth, part in enumerate(parts):
            if part == "**":
                wanted = _matcher((pattern,))
                return [name for folder in matches for name in self.listing(folder, exclude) if wanted(name)]
            last = depth == len(parts) - 1
            fits = re.compile(_regex(part)).fullmatch
            found = []
            for folder in matches:
                try:
                    entries = self.entries(folder)
                except OSError:
                    continue
                for name, is_folder in entries:
                    if is_folder != last and fits(name.rpartition("/")[2]) and not excluded(name):
                        found.append(name)
            matches = found
        return matches


def expand(sources: Sequence[Source], view: View) -> Expansion:
    """Every file of the declarations with its digests.

    Raises GraphError where a declared file, folder, glob or module matches nothing.
    """
    found: Expansion = {}
    for source in sources:
        if isinstance(source, PythonSources):
            for name in closure(source.modules, view):
                content = view.digest(name)
                found.setdefault(name, Digests("python:" + parsed(view, name)[0], content))
    for source in sources:
        if isinstance(source, Files):
            for pattern in source.patterns:
                for name in match(pattern, source.exclude, view):
                    content = view.digest(name)
                    found[name] = Digests(content, content)
    return found


# ── Files ──


def match(pattern: str, exclude: tuple[str, ...], view: View) -> list[str]:
    """The files that one pattern names. Raises GraphError if there are none."""
    pattern = pattern.rstrip("/")
    st = None if "*" in pattern or "?" in pattern else view.stat(pattern)
    if st is not None and stat.S_ISREG(st.st_mode):
        return [pattern]
    if st is not None:
        names = view.listing(pattern, exclude)
    else:
        names = view.glob(pattern, exclude)
    if not names:
        raise GraphError(f"source {pattern} matches no file of {view.root}")
    return names


@lru_cache(maxsize=256)
def _matcher(patterns: tuple[str, ...]) -> Any:
    """A function that says whether a name matches one of the patterns, as a whole or in its last part."""
    whole = [_regex(p) for p in patterns if "/" in p]
    last = [_regex(p) for p in patterns if "/" not in p]
    whole_match = re.compile("|".join(whole) or r"(?!)").fullmatch
    last_match = re.compile("|".join(last) or r"(?!)").fullmatch
    return lambda name: bool(last_match(name.rpartition("/")[2]) or whole_match(name))


def _ignored(name: str) -> bool:
    return bool(_matcher(IGNORED)(name))


def _regex(pattern: str) -> str:
    """`**/` any folders or none, `/**` everything below (and the folder itself), `*` and `?` within one name."""
    out, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out, i = out + r"(?:.*/)?", i + 3
        elif pattern[i:] == "/**":
            out, i = out + r"(?:/.*)?", i + 3
        elif pattern.startswith("**", i):
            out, i = out + r".*", i + 2
        elif pattern[i] in "*?":
            out, i = out + (r"[^/]*" if pattern[i] == "*" else r"[^/]"), i + 1
        else:
            out, i = out + re.escape(pattern[i]), i + 1
    return f"(?:{out})"


# ── Python ──


def closure(modules: Sequence[str], view: View) -> list[str]:
    """The files of the modules, of their packages, and of all that they import from the repository.

    Raises GraphError if a module named here is not in the repository.
    """
    files: dict[str, None] = {}
    waiting: list[str] = []
    asked: dict[str, bool] = {}

    def add(module: str) -> bool:
        """Queue the file of a module and, before it, those of its packages. False if it is not ours."""
        if module in asked:
            return asked[module]
        folder, _, leaf = module.replace(".", "/").rpartition("/")
        if folder:
            add(folder.replace("/", "."))
        base = f"{folder}/{leaf}" if folder else leaf
        beside = view.names(folder)
        there = [f"{base}.py"] if f"{leaf}.py" in beside else []
        if leaf in beside and "__init__.py" in view.names(base):
            there.append(f"{base}/__init__.py")
        asked[module] = bool(there)
        for name in there:
            if name not in files:
                files[name] = None
                waiting.append(name)
        return bool(there)

    for module in modules:
        run_as_package = add(f"{module}.__main__")
        if not (add(module) or run_as_package):
            raise GraphError(f"python source {module} is not a module of {view.root}")
    while waiting:
        name = waiting.pop()
        package = name.split("/")[:-1]
        for level, module, attribute in parsed(view, name)[1]:
            if level:
                base = package[: len(package) - (level - 1)]
                module = ".".join([*base, module] if module else base)
            add(module)
            if attribute:
                add(f"{module}.{attribute}")
    return sorted(files)


def parsed(view: View, name: str) -> tuple[str, list[tuple[int, str, str]]]:
    """(digest of the syntax tree, imports) of a Python source, kept by content.

    An import is (level, module, attribute). A file that does not parse counts by its bytes and imports nothing: its
    command will say so.
    """
    content = view.digest(name)
    known = view.cache.parsed.get(content)
    if known is None:
        with open(f"{view.root}/{name}", "rb") as file:
            data = file.read()
        known = _parse(data)
        if bytes_digest(data) == content:
            view.cache.parsed[content] = known
            view.cache.dirty = True
    return known[0], known[1]


def _parse(data: bytes) -> list[Any]:
    import ast

    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return [bytes_digest(data), []]
    imports: set[tuple[int, str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update((0, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports.update((node.level, node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
                if not node.body and not isinstance(node, ast.Module):
                    node.body = [ast.Pass()]
    return [bytes_digest(ast.dump(tree).encode("utf-8", "surrogatepass")), sorted(imports)]
