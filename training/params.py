"""A preset and single values in, a parameter file out: what a stage writes for its command, for all commands at once.

python -m training.params tiny train.steps=50 profile=repro > params.json
python -m training.train --params params.json --shards ... --tokenizer ... --out ...
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training import command
from training.config import preset as presets


def of(preset: str | Path, overrides: Mapping[str, str] | None = None, profile: str = "fast") -> dict[str, Any]:
    """{"params": {section: {field: value}}, "runtime": {...}, "profile": "fast" or "repro"}, as a stage writes them.

    Raises ValueError for what is no preset, parameter, value or profile.
    """
    if profile not in command.PROFILES:
        raise ValueError(f"profile={profile} is not a profile; there are {' and '.join(command.PROFILES)}")
    loaded = presets.load(preset, overrides)
    sections = {each.NAME: each.decisive() for each in loaded.sections()}
    runtime = {each.NAME: {name: each.values()[name] for name in sorted(each.RUNTIME)} for each in loaded.sections()}
    return {"params": {"preset": Path(preset).stem, **sections}, "runtime": runtime, "profile": profile}


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    overrides = {}
    for word in arguments.values:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{word} is not of the form NAME=VALUE")
        overrides[name] = value
    profile = overrides.pop("profile", "fast")
    print(json.dumps(of(arguments.preset, overrides, profile), indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m training.params", description="Write a parameter file to stdout.")
    parser.add_argument("preset", help=f"a preset ({', '.join(presets.presets())}) or a .toml file")
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE", help="train.steps=50, profile=repro, ...")
    sys.exit(command.run(main, parser))
