"""What was asked for on the command line and in the environment, checked once: preset, profile and single values.

In: `preset=NAME`, `profile=fast|repro`, `train.steps=50`, ... as doit collected them, and POCKETLM_PRESET,
POCKETLM_PROFILE.
Out: `Settings`. A name that is no parameter ends the command with the nearest one and status 2.

`training.config` does the checking. Importing it takes a fifth of a run in which nothing is stale, for msgspec's sake,
so the last values that passed are kept in the build folder, under a digest of all that decides them.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from stages import paths

PROFILES = ("fast", "repro")
REMEMBERED = paths.BUILD / ".settings.json"  # the choices that were used last, so that two presets can take turns
CHOICES = 8
RUN = "run."  # words such as run.train.on=... say where stages run (stages/elsewhere.py)


@dataclass(frozen=True)
class Settings:
    """One build's choice."""

    preset: str  # names build/<preset>/ (of a preset given as a path: the file's name)
    profile: str  # "fast": all cores; "repro": the same bits every time
    values: Mapping[str, Any]  # every parameter by its dotted name; those of [import] where the model is imported
    keyed: Mapping[str, Any]  # those that a key may hold: no defaults, and nothing that decides no result

    @property
    def imports(self) -> bool:
        """Whether the model, or the one that it goes on from, was trained by others."""
        return "import.source" in self.values

    @property
    def trains(self) -> bool:
        """Whether there is a training here."""
        return "train.steps" in self.values

    def section(self, *names: str) -> dict[str, object]:
        """What a key holds of whole sections ("model") or single parameters ("train.seed"), by dotted name."""
        return _chosen(self.keyed, names)

    def told(self, *names: str) -> dict[str, object]:
        """The values of sections or single parameters for a stage's `runtime`: they are in no key."""
        return _chosen(self.values, names)


def _chosen(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, object]:
    return {key: value for key, value in values.items() if key in names or key.partition(".")[0] in names}


def resolve(variables: Mapping[str, str], environ: Mapping[str, str] = os.environ, remember: bool = True) -> Settings:
    """Settings from `name=value` words and the environment; words win. remember: whether they are kept for the next
    start, in place of the choice that was used longest ago.

    Raises ValueError with one sentence (what, where, the nearest name) for anything unknown or out of bounds.
    """
    words = {name: text for name, text in variables.items() if not name.startswith(RUN)}
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
    if "data.sources" in words:  # other documents: those that the preset holds out are not among them
        words.setdefault("data.val_documents", "[]")
        words.setdefault("data.test_documents", "[]")
    values, keyed = _values(preset, words, remember)
    return Settings(scope, profile, values, keyed)


def _values(preset: str, words: Mapping[str, str], remember: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """(every value, those that a key may hold), as they were remembered or as training.config finds them."""
    digest = _digest(preset, words)
    known = _remembered()
    if digest not in known:
        from training.config import preset as config

        valid = ["preset", "profile", *config.names()]
        for name in words:
            if name not in valid:
                near = difflib.get_close_matches(name, valid, n=1, cutoff=0.4)
                raise ValueError(
                    f"{name}= is not a parameter; " + (f"did you mean {near[0]}=?" if near else "see training/presets/")
                )
        loaded = config.load(preset, words)
        found = (loaded.values(), loaded.keyed())
        if not remember:
            return found
        known = {**dict(list(known.items())[1 - CHOICES :]), digest: found}
        with contextlib.suppress(OSError):  # a build folder that cannot be written: check again the next time
            temporary = REMEMBERED.with_name(f".settings-{os.getpid()}.tmp")
            REMEMBERED.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(known), encoding="utf-8")
            temporary.replace(REMEMBERED)
    return known[digest]


def _remembered() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """The values that were kept; none where the file is not there or not whole."""
    try:
        known = json.loads(REMEMBERED.read_bytes()).items()
        return {digest: (dict(values), dict(keyed)) for digest, (values, keyed) in known}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _digest(preset: str, words: Mapping[str, str]) -> str:
    """Digest of what decides the values: the words, the preset's text, the code that checks it and its msgspec."""
    found = sha256(json.dumps([preset, sorted(words.items())]).encode())
    text = Path(preset) if preset.endswith(".toml") else paths.PRESETS / f"{preset}.toml"
    code = sorted(paths.CONFIG.glob("*.py"))
    for path in (text, paths.LOCKS / "base.txt", Path(__file__), *code):
        with contextlib.suppress(OSError):  # a preset that is not there: training.config says so
            found.update(sha256(path.read_bytes()).digest())
    return found.hexdigest()


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
