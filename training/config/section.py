"""What a section of a configuration is: a frozen struct whose fields have types and bounds, and how it is read.

In: values by name, as TOML and JSON give them. Out: the struct, or a ValueError that says which value is wrong, what it
is and what it should be. msgspec checks types and bounds.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=1 << 40)]
CountOrNone = Annotated[int, Meta(ge=0, le=1 << 40)]  # 0: none
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
NotNegative = Annotated[float, Meta(ge=0.0)]
Positive = Annotated[float, Meta(gt=0.0)]

WORDS = {"array": "list", "object": "table", "float": "number", "str": "text"}  # msgspec's and a preset's


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of a preset. `NAME` is its table's name."""

    NAME: ClassVar[str] = ""
    RUNTIME: ClassVar[frozenset[str]] = frozenset()  # fields that are told to a command and stand in no key

    @classmethod
    def normal(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values with short spellings written out."""
        return values

    def values(self) -> dict[str, Any]:
        """Every field's value, as JSON knows it."""
        return {name: plain(getattr(self, name)) for name in self.__struct_fields__}

    def decisive(self) -> dict[str, Any]:
        """Those that decide a result: all but RUNTIME."""
        return {name: value for name, value in self.values().items() if name not in self.RUNTIME}

    def keyed(self) -> dict[str, Any]:
        """Those that a key holds: of `decisive`, what differs from the default."""
        defaults = {field.name: field.default for field in msgspec.structs.fields(self)}  # a marker where there is none
        return {name: value for name, value in self.decisive().items() if getattr(self, name) != defaults[name]}


Kind = TypeVar("Kind", bound=Section)


def read(params: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """The section that a command works with, from its parameter file:
    {"params": {"train": {...}}, "runtime": {"train": {...}}}.

    Raises ValueError naming the fields that the stage did not declare.
    """
    parts = [params.get(part, {}) for part in ("params", "runtime")]
    values = [part.get(kind.NAME, {}) if isinstance(part, Mapping) else part for part in parts]
    for each in values:
        if not isinstance(each, Mapping):
            fail(f"{kind.NAME}: {shown(each)} is not a table of values by name")
    return build(kind, {**values[0], **values[1]})


def build(kind: type[Kind], values: Any) -> Kind:
    """A section from values by field. Raises ValueError for what is missing, unknown or wrong."""
    if not isinstance(values, Mapping):
        fail(f"{kind.NAME}: {shown(values)} is not a table of values by name")
    types = types_of(kind)
    for field in values:
        if field not in types:
            fail(f"{kind.NAME}.{field} is not a parameter{nearest(field, types, kind.NAME + '.')}")
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    missing = [f"{kind.NAME}.{field}" for field in types if field in required and field not in values]
    if missing:
        fail(f"no value for {', '.join(missing)} (a preset sets it; a stage declares what its command uses)")
    given = kind.normal(values)
    return kind(**{name: _typed(f"{kind.NAME}.{name}", value, types[name]) for name, value in given.items()})


@cache
def types_of(kind: type[Section]) -> dict[str, Any]:
    """Field -> type, bounds included."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in kind.__struct_fields__}


def _typed(name: str, value: Any, kind: Any) -> Any:
    """value as kind, where that loses nothing: an int for a float, a list for a tuple."""
    for each in _leaves(value):
        if isinstance(each, float) and not math.isfinite(each):
            fail(f"{name}={each}: expected a finite number")
        if isinstance(each, str) and any("\ud800" <= character <= "\udfff" for character in each):
            fail(f"{name}={shown(each)} is not text: it holds bytes that are not UTF-8, or a lone surrogate")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if get_origin(kind) is Literal:
            words = get_args(kind)
            fail(f"{name}={shown(value)} is not one of {', '.join(words)}{nearest(str(value), words)}")
        if error.__cause__ is not None:  # a struct inside has said what is wrong
            raise ValueError(str(error.__cause__)) from error
        text = re.sub(r" - at `\$.*", "", str(error)).replace("`", "")
        text = text[0].lower() + text[1:]
        for theirs, ours in WORDS.items():
            text = re.sub(rf"\b{theirs}\b", ours, text)
        fail(f"{name}={shown(value)}: {text}")


def _leaves(value: Any) -> Iterable[Any]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            waiting += [*each, *each.values()]
        elif isinstance(each, list | tuple):
            waiting += each
        else:
            yield each


def plain(value: Any) -> Any:
    """value as JSON knows it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def nearest(word: str, possible: Iterable[str], prefix: str = "") -> str:
    """ "; did you mean X?", or nothing where no word is close."""
    found = difflib.get_close_matches(word, list(possible), n=1, cutoff=0.5)
    return f"; did you mean {prefix}{found[0]}?" if found else ""


def shown(value: Any) -> str:
    """A wrong value as an error shows it: short, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits; lists in lists in lists
        return f"a {type(value).__name__} that is too large to print"
    return text if len(text) <= 100 else f"{text[:80]} ... ({len(text)} characters)"


def check(holds: bool, message: str) -> None:
    """Raises ValueError with the message unless it holds."""
    if not holds:
        fail(message)


def fail(message: str) -> NoReturn:
    """Raises ValueError."""
    raise ValueError(message)
