"""What `doitw` starts: doit, with PocketLM's commands and without what a start does not need.

doit looks through every installed package for plugins, imports a debugger, and what sends tasks to other processes;
that and the collector of cycles are a quarter of a run in which nothing is stale. The commands are read from
pyproject.toml, where they stand as entry points for a plain `doit`.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, cast

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUP = '[project.entry-points."doit.COMMAND"]'
# What doit imports at its start; here it comes when it is used. With the functions that doit takes from each by name.
SELDOM: dict[str, tuple[str, ...]] = {
    "importlib.metadata": (),
    "pdb": (),
    "cloudpickle": ("dumps",),
    "multiprocessing": ("Process", "Queue"),
}
OBJECTS = 50_000  # new ones until the collector looks for cycles: a start makes fewer, and none of them goes


def commands(manifest: str) -> dict[str, str]:
    """The commands in the text of pyproject.toml: name -> "module:class"."""
    lines = manifest.partition(GROUP)[2].partition("\n[")[0].splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name.strip(): place.strip().strip('"') for name, place in pairs}


def stand_in(name: str, functions: tuple[str, ...] = ()) -> ModuleType:
    """A module that takes everything from the real one, when something of it is used. functions: taken at once, and the
    real ones when they are called.
    """
    module: Any = ModuleType(name)

    def get(attribute: str) -> Any:
        if attribute.startswith("__"):  # the import system looks for __path__
            raise AttributeError(attribute)
        return getattr(importlib.import_module(name), attribute)

    def later(function: str) -> Any:
        return lambda *args, **named: getattr(importlib.import_module(name), function)(*args, **named)

    module.__getattr__ = get
    for function in functions:
        setattr(module, function, later(function))
    return cast(ModuleType, module)


def import_doit() -> type:
    """doit's main class, imported without SELDOM; whoever imports those elsewhere gets the real ones."""
    absent = [name for name in SELDOM if name not in sys.modules]
    for name in absent:
        sys.modules[name] = stand_in(name, SELDOM[name])
    sys.modules["importlib.metadata"].__dict__.setdefault("entry_points", lambda **_: ())  # no other plugins
    try:
        from doit.doit_cmd import DoitMain
    finally:
        for name in absent:
            del sys.modules[name]
    return cast(type, DoitMain)


def main(places: Mapping[str, str]) -> int:
    """Run doit on sys.argv, with these commands (name -> "module:class"); returns the exit status."""
    gc.set_threshold(OBJECTS)
    sys.argv[0] = "doit"  # its name in what doit prints
    doit_main = import_doit()
    return int(doit_main(config_filenames=(), extra_config={"COMMAND": dict(places)}).run(sys.argv[1:]) or 0)


if __name__ == "__main__":
    with open(f"{ROOT}/pyproject.toml", encoding="utf-8") as manifest:
        found = commands(manifest.read())
    sys.exit(main(found))
