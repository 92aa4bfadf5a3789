"""Which files of the repository a command uses, as declarations: `python_sources("training.train")`,
`files("shaders", "Cargo.lock")`. read/expand.py finds the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class PythonSources(NamedTuple):
    """The modules and everything of the repository that they import, directly or not. The files `unkeyed` go into the
    snapshot with the others, and their text enters no key.
    """

    modules: tuple[str, ...]
    unkeyed: tuple[str, ...] = ()


class Files(NamedTuple):
    """Files, folders and globs, less those that match an exclude pattern. Both are written as in gitignore files."""

    patterns: tuple[str, ...]
    exclude: tuple[str, ...] = ()


Source = PythonSources | Files


def python_sources(*modules: str, unkeyed: Sequence[str] = ()) -> PythonSources:
    """The first-party import closure of `python -m MODULE`. What is imported by a computed name is not seen:
    declare it with `files`. unkeyed: files of the closure that no compared output depends on, such as a progress
    display; an edit of one makes nothing stale.
    """
    return PythonSources(modules, tuple(unkeyed))


def files(*patterns: str, exclude: Sequence[str] = ()) -> Files:
    """Repository files by name, folder or glob. An exclude pattern without "/" matches a name in any folder."""
    return Files(patterns, tuple(exclude))
