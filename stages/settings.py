"""What was asked for on the command line and in the environment, checked once: preset, profile and single values.

In: `preset=NAME`, `profile=fast|repro`, `train.steps=50`, ... as doit collected them, and POCKETLM_PRESET,
POCKETLM_PROFILE.
Out: `Settings`. A name that is no parameter ends the command with the nearest one and status 2.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages import paths
from training import config

PROFILES = ("fast", "repro")


@dataclass(frozen=True)
class Settings:
    """One build's choice."""

    preset: str  # names build/<preset>/ (of a preset given as a path: the file's name)
    profile: str  # "fast": all cores; "repro": the same bits every time
    config: config.Config

    def section(self, *names: str) -> dict[str, object]:
        """The parameters of whole sections ("model") or single ones ("train.seed"), by dotted name."""
        flat = self.config.flat()
        wanted = {key: value for key, value in flat.items() if key in names or key.partition(".")[0] in names}
        for name in names:
            assert any(key == name or key.startswith(name + ".") for key in wanted), f"no parameter is called {name}"
        return wanted


def resolve(variables: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `name=value` words and the environment; words win.

    Raises ValueError with one sentence (what, where, the nearest name) for anything unknown or out of bounds.
    """
    words = dict(variables)
    preset = words.pop("preset", None) or environ.get("POCKETLM_PRESET") or paths.DEFAULT_PRESET
    profile = words.pop("profile", None) or environ.get("POCKETLM_PROFILE") or "fast"
    if profile not in PROFILES:
        raise ValueError(f"profile={profile} is not a profile; there are {' and '.join(PROFILES)}")
    scope = Path(preset).stem
    if scope in paths.NO_PRESETS or not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", scope):
        raise ValueError(
            f"preset={preset} cannot be built: build/{scope}/ is not free for its artifacts; give its file a name of "
            f"letters, digits, '_', '.' and '-' other than {', '.join(paths.NO_PRESETS)}"
        )
    known = ["preset", "profile", *config.names()]
    for name in words:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise ValueError(
                f"{name}= is not a parameter; " + (f"did you mean {near[0]}=?" if near else "see training/presets/")
            )
    if "data.sources" in words:  # other documents: those that the preset holds out are not among them
        words.setdefault("data.val_documents", "[]")
    return Settings(scope, profile, config.load(preset, words))


def remote_store() -> str | None:
    """The URL of the results that this project shares: `store.remote` of [tool.pocketlm] in pyproject.toml, or None."""
    text = (paths.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if (
        "[tool.pocketlm" not in text and "[tool]" not in text
    ):  # so most projects need no tomllib, which takes 5 ms to import
        return None
    import tomllib

    table = tomllib.loads(text)["tool"].get("pocketlm", {})
    return str(table.get("store", {}).get("remote") or "") or None


def resolve_or_exit(variables: Mapping[str, str]) -> Settings:
    """`resolve`, where an error is printed and the process ends with status 2 (wrong arguments)."""
    try:
        return resolve(variables)
    except (ValueError, OSError) as error:
        print(f"doit: {error}", file=sys.stderr)
        raise SystemExit(2) from None
