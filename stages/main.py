"""What `doitw` starts: doit, with PocketLM's commands and without what a start does not need.

doit looks through every installed package for plugins, and imports a debugger; together that is a fifth of a run in
which nothing is stale. The commands are read from pyproject.toml, where they stand as entry points for a plain `doit`.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any, cast

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUP = '[project.entry-points."doit.COMMAND"]'
SELDOM = ("importlib.metadata", "pdb")  # doit imports them at its start; here they come when they are used


def commands(manifest: str) -> dict[str, str]:
    """The commands in the text of pyproject.toml: name -> "module:class"."""
    lines = manifest.partition(GROUP)[2].partition("\n[")[0].splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name.strip(): place.strip().strip('"') for name, place in pairs}


def stand_in(name: str) -> ModuleType:
    """A module that takes everything from the real one, when something of it is used."""
    module: Any = ModuleType(name)

    def get(attribute: str) -> Any:
        if attribute.startswith("__"):  # the import system looks for __path__
            raise AttributeError(attribute)
        return getattr(importlib.import_module(name), attribute)

    module.__getattr__ = get
    return cast(ModuleType, module)


def import_doit() -> type:
    """doit's main class, imported without SELDOM; whoever imports those elsewhere gets the real ones."""
    absent = [name for name in SELDOM if name not in sys.modules]
    for name in absent:
        sys.modules[name] = stand_in(name)
    sys.modules["importlib.metadata"].__dict__.setdefault("entry_points", lambda **_: ())  # no other plugins
    try:
        from doit.doit_cmd import DoitMain
    finally:
        for name in absent:
            del sys.modules[name]
    return cast(type, DoitMain)


def main() -> int:
    """Run doit on sys.argv; returns the exit status."""
    sys.argv[0] = "doit"  # its name in what doit prints
    doit_main = import_doit()
    with open(f"{ROOT}/pyproject.toml", encoding="utf-8") as file:
        config = {"COMMAND": commands(file.read())}
    return int(doit_main(config_filenames=(), extra_config=config).run(sys.argv[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
