"""Sources: declarations and a `View` of the tree in, every file with its digests out.

The content and the executable bit enter the key; of a Python source its syntax tree does. The snapshot always gets the
real file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..declare.sources import Files, PythonSources, Source
from ..errors import GraphError
from .digest import with_mode
from .python import closure, parsed
from .tree import View, match


class Digests(NamedTuple):
    """What is known of one source file."""

    key: str  # enters the stage's key
    content: str  # SHA-256 of the bytes


UNKEYED = "not in the key"  # stands for the digest of a file whose text makes nothing stale

Expansion = dict[str, Digests]  # by name relative to the root, with "/"


def expand(sources: Sequence[Source], view: View) -> Expansion:
    """Every file of the declarations with its digests.

    Raises GraphError where a declared file, folder, glob or module matches nothing, or an unkeyed file is not imported.
    """
    found: Expansion = {}
    for source in sources:
        if isinstance(source, PythonSources):
            names = closure(source.modules, view)
            if unused := sorted(set(source.unkeyed).difference(names)):
                raise GraphError(f"{', '.join(unused)}: unkeyed, but {', '.join(source.modules)} does not import it")
            for name in names:
                content = view.digest(name)
                if name in source.unkeyed:
                    found.setdefault(name, Digests(UNKEYED, content))
                elif name not in found or found[name].key == UNKEYED:
                    found[name] = Digests("python:" + parsed(view, name)[0], content)
    for source in sources:
        if isinstance(source, Files):
            for pattern in source.patterns:
                for name in match(pattern, source.exclude, view):
                    content, st = view.digest(name), view.stat(name)
                    assert st is not None, "a file that was hashed is there"
                    found[name] = Digests(with_mode(content, st), content)
    return found
