"""Every input, parameter, tool and source of the real graph, changed one at a time: exactly the stages that changes.py
names run, and once it is changed back nothing runs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.graph.read.expand import UNKEYED
from tests.pipeline.changes import AFTER_ALL, ALL, ASIDE, CHANGES, FROM_TRAIN, MODULES, ONE_VALUE, PARAMETERS, Change
from tests.pipeline.conftest import REAL_WORDS, Copy, finished, linked
from training.config import preset as config

GOALS = "web cli sample report"
BASE = f"{GOALS} preset=tiny"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy with stand-ins, everything built."""
    made = Copy(tmp_path_factory.mktemp("standins") / "pocketlm")
    made.with_standins()
    first, second = made.standins(BASE, BASE)
    assert (in_order(first), second) == (ALL, [])
    return made


def in_order(ran: list[str]) -> str:
    """Stages as changes.py writes them. A stage that ran twice stands there twice."""
    return " ".join(sorted(ran, key=ALL.split().index))


def expected(runs: str) -> str:
    """The stages that the table names, and those that follow all others."""
    named = set(runs.split())
    return in_order([*named, *(AFTER_ALL.split() if named - set(ASIDE.split()) else [])])


@contextlib.contextmanager
def edited(root: Path, change: Change) -> Iterator[None]:
    """The change is there, and then it is not."""
    path = root / change.path
    before = path.read_text() if path.exists() else None
    text = before or ""
    assert change.old in text, f"{change.path} does not hold {change.old!r}"
    path.write_text(text.replace(change.old, change.new, 1) if change.old else text + change.new)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.what)
def test_a_changed_file(copy: Copy, change: Change) -> None:
    with edited(copy.root, change):
        (ran,) = copy.standins(BASE)
    (ran_again,) = copy.standins(BASE)
    assert (in_order(ran), ran_again) == (expected(change.runs), [])


def test_every_parameter(copy: Copy) -> None:
    """In one process: the sources stay as they are."""
    assert PARAMETERS.keys() | ONE_VALUE == set(config.names(config.TRAINED))
    typed = [words for name, (value, _) in PARAMETERS.items() for words in (f"{BASE} {name}={value}", BASE)]
    ran = copy.standins(*typed)
    found = {name: (in_order(ran[2 * i]), ran[2 * i + 1]) for i, name in enumerate(PARAMETERS)}
    assert found == {name: (expected(runs), []) for name, (_, runs) in PARAMETERS.items()}


def test_parameters_of_one_value_have_one() -> None:
    for name in ONE_VALUE:
        with pytest.raises(ValueError, match=name):
            config.load("tiny", {name: "other"})


def test_every_module_is_in_the_keys_of_the_stages_that_use_it(copy: Copy) -> None:
    """By the receipts: what each key was made from. Three of the modules are edited for real among CHANGES."""
    training = copy.root / "training"
    found: dict[str, list[str]] = {str(path.relative_to(training))[:-3]: [] for path in training.rglob("*.py")}
    for stage, result in linked(copy.root / "build").items():
        for source, digest in json.loads((result / "receipt.json").read_text())["components"]["sources"].items():
            if source.startswith("training/") and digest != UNKEYED:
                found[source.removeprefix("training/").removesuffix(".py")].append(stage)
    assert {module: in_order(stages) for module, stages in found.items()} == MODULES


def test_what_is_only_looked_at_retrains_nothing() -> None:
    """These cost a night once. Each is changed in the real graph by another test, which holds the table to its word."""
    names = ("train.checkpoint_seconds", "sample.", "export.")
    runs = [each for name, (_, each) in PARAMETERS.items() if name.startswith(names)]
    edits = ("the loss curve's size", "the line of progress", "how texts are sampled", "how model.bin is written")
    runs += [change.runs for change in CHANGES if change.what in edits]
    runs += [MODULES[name] for name in ("plot", "progress", "sample", "report", "export", "config/export", "params")]
    assert len(runs) == 8 + 4 + 7
    assert not any("train" in each.split() for each in runs)


def test_comments_and_docstrings_of_every_module(copy: Copy) -> None:
    with contextlib.ExitStack() as stack:
        for module in MODULES:
            stack.enter_context(
                edited(copy.root, Change("", f"training/{module}.py", '"""', '"""In other words: ', ""))
            )
            stack.enter_context(edited(copy.root, Change("", f"training/{module}.py", "", "# Nothing.\n", "")))
        assert copy.standins(BASE) == [[]]


def test_files_that_are_touched_but_equal(copy: Copy) -> None:
    for folder in ("training", "rust", "shaders", "web", "tests", "stages", "locks"):
        for path in (copy.root / folder).rglob("*"):
            os.utime(path)
    assert copy.standins(BASE) == [[]]


def test_the_profile(copy: Copy) -> None:
    ran = copy.standins(f"{BASE} profile=repro", BASE, f"{BASE} profile=repro")
    assert [in_order(each) for each in ran] == [expected(FROM_TRAIN), "", ""]


def test_a_preset_of_another_name(copy: Copy) -> None:
    """Equal values have equal results; only the card on the page tells the names apart."""
    twin = copy.root / "training/presets/twin.toml"
    twin.write_text((copy.root / "training/presets/tiny.toml").read_text())
    try:
        ran = copy.standins(f"{GOALS} preset=twin", BASE, f"{GOALS} preset=twin")
    finally:
        twin.unlink()
    assert [in_order(each) for each in ran] == [expected("export"), "", ""]


@pytest.mark.parametrize(
    ("name", "value", "runs"),
    [
        ("CUDA_VISIBLE_DEVICES", "0", "train"),
        ("POCKETLM_WASM_TARGET", "distro", "wasm"),
        ("OMP_NUM_THREADS", "1", ""),
        ("LANG", "tr_TR.UTF-8", ""),
        ("RUSTFLAGS", "-Copt-level=0", ""),
        ("NODE_ENV", "development", ""),
    ],
)
def test_a_variable_of_the_environment(copy: Copy, name: str, value: str, runs: str) -> None:
    (ran,) = copy.standins(BASE, **{name: value})
    (ran_again,) = copy.standins(BASE)
    assert (in_order(ran), ran_again) == (expected(runs), [])


# ── The same with the real commands ──

REAL_PARAMETERS = ("data.val_fraction", "tokenizer.vocab_size", "train.lr", "export.dtype")


def ran_for_real(real: Copy, *words: str) -> str:
    """The stages that made a new result in one run."""
    before = finished(real.root / "build")
    real.doit(*REAL_WORDS, *words)
    after = finished(real.root / "build")
    return in_order([stage for key, stage in after.items() if key not in before])


def without_cli(runs: str) -> str:
    """The command line is not among what is built there: it is the native engine, and takes minutes."""
    return expected(" ".join(stage for stage in runs.split() if stage != "cli"))


@pytest.mark.slow
@pytest.mark.parametrize("change", [change for change in CHANGES if change.real], ids=lambda change: change.what)
def test_a_changed_file_for_real(real: Copy, change: Change) -> None:
    with edited(real.root, change):
        ran = ran_for_real(real)
    assert (ran, ran_for_real(real)) == (without_cli(change.runs), "")


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL_PARAMETERS)
def test_a_parameter_for_real(real: Copy, name: str) -> None:
    value, runs = PARAMETERS[name]
    assert (ran_for_real(real, f"{name}={value}"), ran_for_real(real)) == (expected(runs), "")


@pytest.mark.slow
def test_comments_and_docstrings_of_every_module_for_real(real: Copy) -> None:
    with contextlib.ExitStack() as stack:
        for module in MODULES:
            stack.enter_context(
                edited(real.root, Change("", f"training/{module}.py", '"""', '"""In other words: ', ""))
            )
        assert ran_for_real(real) == ""
