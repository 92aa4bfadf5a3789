"""What `preview` serves beside the chosen preset's bundle: the models of the other presets that were built here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

INDEX = "models/index.json"


def beside(build: Path, preset: str, written: Path) -> dict[str, Path]:
    """Files by the paths at which they are served: one index of all bundles in `build`, the chosen preset's first,
    and for each other preset its bundle as models/PRESET/. The index is written to `written`; where there is no other
    bundle, the bundle's own says it all, and nothing is served beside it.
    """
    found = {path.parents[1].parent.name: path.parents[1] for path in sorted(build.glob(f"*/web/{INDEX}"))}
    others = {name: bundle for name, bundle in found.items() if name != preset}
    if not others or preset not in found:
        return {}
    models = _entries(found[preset])
    for name, bundle in others.items():
        # Each bundle's index names its models relative to itself.
        models += [{**entry, "path": f"{name}/models/{entry['path']}"} for entry in _entries(bundle)]
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps({"models": models}, indent=1) + "\n", encoding="utf-8")
    return {INDEX: written, **{f"models/{name}/": bundle for name, bundle in others.items()}}


def _entries(bundle: Path) -> list[Any]:
    return list(json.loads((bundle / INDEX).read_text(encoding="utf-8"))["models"])
