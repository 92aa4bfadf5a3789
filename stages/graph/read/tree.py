"""The project's files at one moment: stats, listings and globs, each read once."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable

from ..errors import GraphError
from .statcache import StatCache, stamp

# Never sources: caches, what tools install beside the sources, and editors' temporary files.
IGNORED = ("__pycache__", "*.pyc", ".git", "node_modules", "target", "*~", ".*.sw?", ".#*", "\\#*#", ".DS_Store")
Matcher = Callable[[str], object]
LINK = "\0"  # ends the name of a link to a folder


class View:
    """The tree at one moment: every stat and listing is read once. Make a new view to see changes."""

    def __init__(self, root: str, cache: StatCache) -> None:
        self.root = root
        self.cache = cache
        self._stats: dict[str, os.stat_result | None] = {}
        self._digests: dict[str, str] = {}
        self._entries: dict[str, list[tuple[str, bool]]] = {}
        self._listings: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self._names: dict[str, set[str]] = {}
        self._matchers: dict[tuple[str, ...], Matcher] = {}

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

    def moved(self) -> bool:
        """Whether anything that this view has read is different now."""
        now = View(self.root, self.cache)
        try:
            return (
                any(now.digest(name) != digest for name, digest in self._digests.copy().items())
                or any(now.stamp(name) != self.stamp(name) for name in self._stats.copy())
                or any(now.names(folder) != names for folder, names in self._names.copy().items())
                or any(now.entries(folder) != entries for folder, entries in self._entries.copy().items())
            )
        except (GraphError, OSError):  # what was there is gone
            return True

    def stamp(self, name: str) -> list[int] | None:
        """What tells whether a file or folder below the root has changed; None where there is none."""
        st = self.stat(name)
        return None if st is None else stamp(st)

    def matcher(self, *patterns: str) -> Matcher:
        """A function that says whether a name below the root matches one of these patterns of gitignore files."""
        found = self._matchers.get(patterns)
        if found is None:
            text = self.cache.pattern("\n".join(patterns))
            if text is None:  # importing pathspec takes 20 ms, so its regular expressions are cached
                from pathspec.patterns.gitignore.basic import GitIgnoreBasicPattern

                regexes = (GitIgnoreBasicPattern.pattern_to_regex(pattern)[0] for pattern in patterns)
                text = "|".join(map(str, regexes)) or r"(?!)"
                self.cache.remember_pattern("\n".join(patterns), text)
            found = self._matchers[patterns] = re.compile(text).match
        return found

    def entries(self, folder: str) -> list[tuple[str, bool]]:
        """What lies in a folder (relative to the root), sorted: (name below the root, whether it is a folder).

        Links to files count as files. Raises GraphError at a link to a folder, unless its name is ignored.
        """
        found = self._entries.get(folder)
        if found is None:
            prefix = f"{folder}/" if folder else ""
            ignored = self.matcher(*IGNORED)
            found = []
            with os.scandir(f"{self.root}/{folder}") as entries:
                for entry in entries:
                    if ignored(entry.name):
                        continue
                    name = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        found.append((name, True))
                    elif entry.is_file():
                        found.append((name, False))
                    elif entry.is_dir():
                        found.append((name + LINK, True))
            found.sort()
            self._entries[folder] = found
        return found

    def listing(self, folder: str, exclude: tuple[str, ...]) -> list[str]:
        """Names of the files below `folder`, sorted by folder, without ignored and excluded ones.

        Raises GraphError at a link to a folder: its content would not be covered.
        """
        key = (folder, exclude)
        if key not in self._listings:
            excluded = self.matcher(*exclude)
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
        excluded = self.matcher(*exclude)
        matches = [""]
        parts = pattern.split("/")
        for depth, part in enumerate(parts):
            if part == "**":
                wanted = self.matcher(f"/{pattern}")
                return [name for folder in matches for name in self.listing(folder, exclude) if wanted(name)]
            last = depth == len(parts) - 1
            fits = self.matcher(f"/{part}")
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
    names = view.glob(pattern, exclude) if st is None else view.listing(pattern, exclude)
    if not names:
        raise GraphError(f"source {pattern} matches no file of {view.root}")
    return names
