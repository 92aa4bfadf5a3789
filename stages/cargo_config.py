"""What a person's own settings of cargo would change in a result: cargo's configuration files in, one line for the key
out.

    python -m stages.cargo_config FILE ...

Cargo joins the file in its home and those of all folders above to the project's. Compiler flags among them are put out
of force (stages/crates.py): `target-cpu=native` would make a result that other machines cannot run. What says how to
reach registries changes no result. All else is part of the key, such as another linker or profile.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Sequence
from typing import Any

NAMES = ("config.toml", "config")
# Tables that change no result: how to reach things, and how cargo talks.
REACH: tuple[str, ...] = (
    "alias",
    "cache",
    "cargo-new",
    "credential-alias",
    "doc",
    "future-incompat-report",
    "http",
    "install",
    "net",
)
REACH += ("registries", "registry", "source", "term")
# Below [build] and [target.*]: what stages/crates.py overrides, and what only says how to work.
OVERRIDDEN = ("rustflags", "target-dir")
WORK = ("jobs", "incremental", "rustc-wrapper", "rustc-workspace-wrapper", "rustdoc", "rustdocflags", "runner")


def files(folder: str, project: str, environ: Any = os.environ) -> tuple[str, ...]:
    """Where cargo looks when it runs below `folder`, there or not. Without the project's own, which is a source."""
    home = environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")
    places = [home]
    while True:
        if folder != project:
            places.append(f"{folder.rstrip('/')}/.cargo")
        above = os.path.dirname(folder)
        if above == folder:
            return tuple(f"{place}/{name}" for place in dict.fromkeys(places) for name in NAMES)
        folder = above


def what_matters(paths: Sequence[str]) -> str:
    """The settings in these files that may change a result, as one line of JSON; "none" where there are none.

    Raises ValueError with the file's name for one that is not TOML.
    """
    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                data = tomllib.load(file)
        except FileNotFoundError:
            continue
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path} is not TOML: {error}") from error
        kept = {name: value for name, value in data.items() if name not in REACH}
        if "build" in kept:
            kept["build"] = _without(kept["build"])
        if "target" in kept:
            kept["target"] = {name: _without(table) for name, table in kept["target"].items()}
            kept["target"] = {name: table for name, table in kept["target"].items() if table}
        if kept := {name: value for name, value in kept.items() if value}:
            found.append(kept)
    return json.dumps(found, sort_keys=True) if found else "none"


def _without(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in (*OVERRIDDEN, *WORK)}


if __name__ == "__main__":
    print(what_matters(sys.argv[1:]))
