"""Presets (TOML) and overrides in, all sections out. The only module that knows every section: no command imports it.

A preset in `training/presets/NAME.toml` gives a value to every field that has no default. There are three kinds: of a
model that is trained here; with a table [import], of one that others trained; and with [import] and [train], of one
that others trained and that is trained further here.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec

from training.config.data import Data
from training.config.export import Export
from training.config.import_ import Import
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import Section, build, check, fail, nearest, types_of
from training.config.tokenizer import Tokenizer
from training.config.train import Train

PRESETS = Path(__file__).parents[1] / "presets"


class Sections(msgspec.Struct, frozen=True):
    """What the kinds of presets share."""

    def sections(self) -> list[Section]:
        """Data, Tokenizer, ... in the order of the graph."""
        return [getattr(self, name) for name in self.__struct_fields__]

    def values(self) -> dict[str, Any]:
        """Every value by its dotted name (`train.lr`), as JSON knows it."""
        return {f"{each.NAME}.{name}": value for each in self.sections() for name, value in each.values().items()}

    def keyed(self) -> dict[str, Any]:
        """Those that may stand in a key: each that is no default and no runtime matter."""
        return {f"{each.NAME}.{name}": value for each in self.sections() for name, value in each.keyed().items()}


class Config(Sections, frozen=True):
    """All sections of a preset whose model is trained here."""

    data: Data
    tokenizer: Tokenizer
    model: Model
    train: Train
    sample: Sample
    export: Export

    def __post_init__(self) -> None:
        check(
            self.train.eval_overlap < self.model.ctx_len,
            f"train.eval_overlap={self.train.eval_overlap} is not below model.ctx_len={self.model.ctx_len}",
        )


class ImportConfig(Sections, frozen=True):
    """All sections of a preset whose model is imported."""

    import_: Import
    sample: Sample
    export: Export


class FinetuneConfig(Sections, frozen=True):
    """All sections of a preset whose model is imported and trained further."""

    import_: Import
    data: Data
    train: Train
    sample: Sample
    export: Export


AnyConfig = Config | ImportConfig | FinetuneConfig
Kinds = tuple[type[Section], ...]
TRAINED: Kinds = (Data, Tokenizer, Model, Train, Sample, Export)
IMPORTED: Kinds = (Import, Sample, Export)
FINETUNED: Kinds = (Import, Data, Train, Sample, Export)
SECTIONS: dict[str, type[Section]] = {Import.NAME: Import, **{kind.NAME: kind for kind in TRAINED}}


def kinds_of(values: Container[str]) -> Kinds:
    """The sections of a preset that has these, and others."""
    if Import.NAME not in values:
        return TRAINED
    return FINETUNED if Train.NAME in values else IMPORTED


def names(kinds: Kinds | None = None) -> list[str]:
    """Every dotted name that a preset with these sections (any, for None) may set and an override may change."""
    return [f"{kind.NAME}.{field}" for kind in kinds or SECTIONS.values() for field in types_of(kind)]


def presets() -> list[str]:
    """The names of the presets that come with PocketLM."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset_file(preset: str | Path) -> Path:
    """The file of a preset, by name or by path (it ends in .toml). Raises ValueError where there is none."""
    path = Path(preset) if str(preset).endswith(".toml") else PRESETS / f"{preset}.toml"
    if not path.is_file():
        fail(f"there is no preset {str(preset)!r}{nearest(str(preset), presets())}; there are: {', '.join(presets())}")
    return path


def load(preset: str | Path, overrides: Mapping[str, str] | None = None) -> AnyConfig:
    """Read a preset and apply overrides such as {"train.steps": "50"}.

    Raises ValueError for an unknown preset, an unknown name (the nearest one is named) or a bad value.
    """
    path = preset_file(preset)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number of 5,000 digits; nested 1,000 deep
        raise ValueError(f"{path.name}: not a preset: {error}") from error
    for name, fields in values.items():
        if not isinstance(fields, dict):
            fail(f"{path.name}: {name} stands outside a section; the sections are: {', '.join(SECTIONS)}")
    known = names(kinds_of(values))
    for name, text in (overrides or {}).items():
        if name not in known:
            where = f" of {path.stem}, whose model is imported" if Import.NAME in values else ""
            where += "; preset=finetune trains it further" * (where != "" and name in names(FINETUNED))
            fail(f"{name} is not a parameter{where}{nearest(name, known)}")
        section, _, field = name.partition(".")
        values.setdefault(section, {})[field] = _parse(text, types_of(SECTIONS[section])[field])
    return from_values(values)


def from_values(values: Mapping[str, Any]) -> AnyConfig:
    """Build a Config from nested values, as TOML and JSON give them; with [import] one of the other two.

    Raises ValueError for what is missing, unknown or wrong.
    """
    kinds = {kind.NAME: kind for kind in kinds_of(values)}
    for section in values:
        if section not in SECTIONS:
            fail(f"[{section}] is not a section{nearest(section, SECTIONS)}; there are: {', '.join(SECTIONS)}")
        if section not in kinds:
            why = "it belongs to [train], which is missing" if section == Data.NAME else "its model brings its own"
            fail(f"[{section}] has no use in a preset with [import]: {why}")
    made: dict[str, Any] = {name: build(kind, values.get(name, {})) for name, kind in kinds.items()}
    if Import.NAME not in made:
        return Config(**made)
    kind = FinetuneConfig if Train.NAME in made else ImportConfig
    return kind(import_=made.pop(Import.NAME), **made)


def _parse(text: str, kind: Any) -> Any:
    """An override's text as the value that TOML would have given; a list is JSON, or one bare word."""
    plain = getattr(kind, "__origin__", kind)  # without its bounds
    if plain is str:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if get_origin(kind) is tuple and not text.startswith(("[", "{", '"')):
            return [text]
        return text  # `build` names the parameter and what it should be
