"""The tree of the project as one look at it found it: stats, listings and globs, each asked for once."""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from typing import Any

from ..errors import GraphError
from .statcache import StatCache

# Never sources: caches, what tools install beside the sources, and editors' temporary files.
IGNORED = ("__pycache__", "*.pyc", ".git", "node_modules", "target", "*~", ".*.sw?", ".#*", "#*#", ".DS_Store")
LINK = "\0"  # ends the name of a link to a folder


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
