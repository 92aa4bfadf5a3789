"""Files whose checksums are right and whose content is not: presets, parameters, JSON, shards, checkpoints, weights."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pocketlm_tokenizer import Tokenizer, safe_cut
from safetensors.torch import load, save, save_file

from tests.training.conftest import params, trained_files
from tests.training.test_train import small_model
from training import checkpoint, command, export, stored, tokenizer_file
from training.config import preset as config
from training.config.section import read
from training.config.train import Train
from training.data import documents, shard_file, shard_writer, sources
from training.journal import Journal
from training.journal import read as read_metrics

DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "1" + "0" * 5000
JSON = [
    ("", "not JSON"),
    ("[1", "not JSON"),
    (DEEP, "recursion"),
    (f'{{"a": {DIGITS}}}', "4300 digits"),
    ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
    ('"\udcff"', "utf-8"),
]


@pytest.mark.parametrize(("text", "message"), JSON)
def test_json(tmp_path: Path, text: str, message: str) -> None:
    """Every JSON file that a command reads, read by one function."""
    path = tmp_path / "x.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=rf"x\.json: not JSON: .*{message}|x\.json: {message}"):
        command.read_json(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", 'no "profile"'),
        ('{"profile": []}', 'no "profile"'),
        ('{"profile": "slow", "params": {}}', "one of fast, repro"),
        ('{"profile": "fast"}', 'no "params"'),
        ('{"profile": "fast", "params": []}', 'no "params"'),
        ('{"params": {"train": [1]}}', "train: [1] is not a table"),
        ('{"params": {"train": null}}', "train: None is not a table"),
    ],
)
def test_a_parameter_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.json"
    path.write_text(text)
    arguments = command.parser("train", "").parse_args(["--params", str(path), "--out", "out"])
    with pytest.raises(ValueError) as raised:
        read(command.params_of(arguments), Train)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"lr = {DEEP}", "recursion"),
        (f"lr = {DIGITS}", "4300 digits"),
        (f"lr = {DIGITS[:400]}", "train.lr=1000.*number out of range"),
        ("lr = inf", "train.lr=inf: expected a finite"),
        ("lr = 1e-2\nlr = 2e-2", "overwrite"),
        ("lr = -1", "train.lr=-1: expected number >= 0.0"),
        ("lr = 1979-05-27", "expected number, got"),
        ('lr = "\xff"', "utf-8"),
    ],
)
def test_a_preset(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    good = (config.PRESETS / "tiny.toml").read_text()
    path.write_bytes(good.replace("lr = 1e-2", line).encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        config.load(path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([1 << 63, (1 << 64) - 1, -1 << 63, 10**400])
    | st.floats()
    | st.text(st.characters(exclude_categories=())),  # lone surrogates too
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["uri", "sha256", "x"]), inner),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(config.names(config.TRAINED)), VALUES)
@example("data.sources", [{"uri": 5}])
@example("data.sources", [{"uri": "file:x", "sha256": 5}])
@example("train.lr", 10**400)
@example("export.golden_prompt", "\ud800")
def test_any_value_is_taken_or_named(name: str, value: Any) -> None:
    values = {each.NAME: each.values() for each in config.load("tiny").sections()}
    section, _, field = name.partition(".")
    values[section][field] = value
    try:
        loaded = config.from_values(values)
    except ValueError as error:
        assert name in str(error), error
        assert len(str(error)) < 1000
    else:
        json.dumps(loaded.values(), allow_nan=False).encode()


def test_a_glob_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"'\[z-a\]\.md' is not a glob: bad character range"):
        sources.matches("[z-a].md", "a.md")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: [entry], "line 1: Expected `object`, got `array`; build the corpus again"),
        (lambda entry: {**entry, "more": 1}, "line 1: Object contains unknown field `more`; build the corpus again"),
        (lambda entry: {**entry, "nbytes": "9"}, "line 1: Expected `int`, got `str` - at `$.nbytes`"),
        (lambda entry: {**entry, "start": -1}, "line 1: Expected `int` >= 0 - at `$.start`"),
        (lambda entry: {**entry, "start": 1 << 62}, "its text is not what documents.jsonl says"),
        (lambda entry: {**entry, "path": "../../etc/passwd"}, "is outside its folder"),
        (lambda entry: {**entry, "path": "/etc/passwd"}, "is outside its folder"),
        (lambda entry: {**entry, "split": "tests"}, "matching regex '^(train|val|test)$' - at `$.split`"),
        (lambda entry: {**entry, "sha256": "0" * 64}, "its text is not what documents.jsonl says"),
    ],
)
def test_documents_jsonl(tiny: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    entry = json.loads((tiny / "corpus" / "documents.jsonl").read_text().splitlines()[0])
    (tmp_path / "train").symlink_to(tiny / "corpus" / "train")
    (tmp_path / "val").symlink_to(tiny / "corpus" / "val")
    (tmp_path / "documents.jsonl").write_text(json.dumps(change(entry)) + "\n")
    with pytest.raises(ValueError) as raised:
        for split in documents.SPLITS:
            list(documents.read(tmp_path, split, safe_cut))
    assert message in str(raised.value)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shard")
    tokenizer = Tokenizer.train(["the sea and the sky"], vocab_size=270)
    shard_writer.write(folder, "val", [["the sea"], ["and the sky"], ["é"]], tokenizer)
    return folder / "val-00000.tokens"


FIELDS = ["token_nbytes", "n_tokens", "n_documents", "text_nbytes", "vocab_size", "separator_id"]
SIZES = [0, 1, 2, 3, 4, 270, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1]


def repaired(data: bytes, fields: dict[str, int], index: list[int] | None = None) -> bytes:
    """A shard with header fields and perhaps its document index replaced, and both its digests right again."""
    values = list(shard_file.HEADER.unpack(data[: shard_file.HEADER.size]))
    for name, value in fields.items():
        at = 2 + FIELDS.index(name)
        values[at] = value % (1 << (32 if name in ("token_nbytes", "vocab_size", "separator_id") else 64))
    payload = data[shard_file.HEADER_NBYTES :]
    if index is not None:
        payload = payload[: len(payload) - 8 * values[4]] + struct.pack(f"<{len(index)}Q", *index)
        values[4] = len(index)
    values[9] = hashlib.sha256(payload).digest()
    header = shard_file.HEADER.pack(*values)
    return header + hashlib.sha256(header).digest()[:16] + payload


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(SIZES), max_size=2),
    st.none() | st.lists(st.sampled_from([0, 5, 8, (1 << 63) - 1, (1 << 64) - 2]), max_size=4),
)
@example({}, [0, (1 << 63) - 1, (1 << 64) - 2, 5])  # whose differences are all positive, modulo 2^64
def test_a_shard_with_repaired_checksums(shard: Path, fields: dict[str, int], index: list[int] | None) -> None:
    """It is refused by name, or it is sound: every token and every document where the reader says."""
    path = shard.with_name("changed")
    path.write_bytes(repaired(shard.read_bytes(), fields, index))
    try:
        opened = shard_file.open_shard(path)
    except ValueError as error:
        assert str(error).endswith("; build the shards again")
        return
    assert int(opened.tokens.max()) < opened.vocab_size
    starts = opened.document_starts.tolist()
    assert starts == sorted(set(starts)) and (opened.tokens[starts] == opened.separator_id).all()
    assert opened.text_nbytes >= len(opened.tokens) - len(starts)


def test_a_broken_tokenizer_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.tok").write_bytes(b"PLMTOKEN")
    with pytest.raises(ValueError, match=r"tokenizer\.tok: .*; train the tokenizer again"):
        tokenizer_file.load(tmp_path)


FRESH = {"run": "r", "step": 0, "loss_sum": 0.0}


def forge(path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object]) -> None:
    """Change a checkpoint, and name it by what it holds now."""
    data = path.read_bytes()
    tensors, metadata = load(data), stored.notes_of(data)
    state = json.loads(metadata["state"])
    changed = change(tensors, state)
    metadata = {**metadata, "state": changed if isinstance(changed, str) else json.dumps(state)}
    data = save(tensors, {"pocketlm": json.dumps(metadata)})
    path.unlink()
    path.with_name(f"step-00000007-{hashlib.sha256(data).hexdigest()[:16]}.safetensors").write_bytes(data)


NORM = "model.norm.weight"
MEAN = "optimizer.0.state.0.exp_avg"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, state: tensors.pop(f"model.{NORM}"), "is not there"),
        (lambda tensors, state: tensors.pop(MEAN), MEAN),
        (lambda tensors, state: tensors.update({"model.more": torch.ones(1)}), "expected not there"),
        (lambda tensors, state: tensors.update({f"model.{NORM}": torch.ones(0)}), "[0], expected torch.float32"),
        (lambda tensors, state: tensors.update({f"model.{NORM}": torch.ones(1, 60)}), "expected torch.float32"),
        (lambda tensors, state: state.pop("loss_sum"), "does not have just loss_sum, run, step"),
        (lambda tensors, state: state.update(step=-1), "step is -1, expected int of 0 or more"),
        (lambda tensors, state: state.update(step=True), "step is True"),
        (lambda tensors, state: state.update(loss_sum="x"), "loss_sum is 'x'"),
        (lambda tensors, state: json.dumps({**state, "loss_sum": float("nan")}), "loss_sum is nan"),
        (lambda tensors, state: "[]", "does not have just"),
        (lambda tensors, state: "{", "Expecting"),
        (lambda tensors, state: DEEP, "recursion"),
    ],
)
def test_a_forged_checkpoint_is_passed_over(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object],
    message: str,
) -> None:
    """Its digest is right and its content is not: the one before is taken, and of this one nothing is."""
    model, optimizer = small_model()
    checkpoint.write(tmp_path, model, [optimizer], {**FRESH, "step": 5})
    newest = checkpoint.write(tmp_path, model, [optimizer], {**FRESH, "step": 6})
    forge(newest, change)
    other, fresh = small_model()
    with torch.no_grad():
        other.load_state_dict({name: tensor + 1 for name, tensor in other.state_dict().items()})
    state = checkpoint.read_latest(tmp_path, other, [fresh], FRESH)
    assert state == {**FRESH, "step": 5}
    assert message in capsys.readouterr().err
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in other.state_dict().items())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "Expecting"),
        (b"7", "no attribute"),
        (b"{}", "it has no step"),
        (b'{"step": 1, "val_bpb": "x"}', "no number"),
        (b"\0\0", "Expecting value"),
        (b"\xff", "utf-8"),
        (DEEP.encode(), "recursion"),
    ],
)
def test_metrics(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0}\n' + line + b"\n")
    with pytest.raises(ValueError, match=rf"metrics\.jsonl:2: not a record of metrics \(.*{message}.*; delete"):
        read_metrics(path)


def test_a_journal_that_lost_lines(tmp_path: Path) -> None:
    """It is not filled up with zeros."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"12345")
    with pytest.raises(ValueError, match="has 5 bytes, but its checkpoint saw 6; put it back, or delete"):
        Journal(path, 6)
    assert path.read_bytes() == b"12345"


@pytest.fixture
def trained(tiny: Path, tmp_path: Path) -> Path:
    """What export reads of a training run, with random weights."""
    from training.format.families import expected_tensors

    tokenizer = tokenizer_file.load(tiny / "tokenizer")
    shape = {**params()["params"]["model"], "vocab_size": tokenizer.vocab_size}
    rng = np.random.default_rng(1)
    weights = {
        spec.name: torch.from_numpy(rng.standard_normal(spec.shape, np.float32)) for spec in expected_tensors(shape)
    }
    save_file(weights, tmp_path / "model.safetensors")
    digest = hashlib.sha256(tokenizer.to_bytes()).hexdigest()
    summary = dict.fromkeys(export.RUN, 1) | {"tokenizer_sha256": digest}
    command.write_json(tmp_path / "summary.json", {**summary, "settings": {"train": {}}})
    return tmp_path


def test_export_refuses_what_training_did_not_write(trained: Path, tiny: Path) -> None:
    out = trained / "model.bin"

    def build() -> object:
        return export.build(params(), *trained_files(trained), tiny / "tokenizer", tiny / "shards", out)

    build()
    out.unlink()
    path = trained / "summary.json"
    good = json.loads(path.read_text())
    for change, message in [
        ({"val_bpb": float("nan")}, "NaN"),
        ({"tokenizer_sha256": 5}, "is not the tokenizer that the model was trained with"),
        ({"settings": []}, "'settings' is no object with sections"),
    ]:
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(ValueError, match=message):
            build()
    for name in good:
        path.write_text(json.dumps({key: value for key, value in good.items() if key != name}))
        with pytest.raises(ValueError, match=rf"summary\.json: no '{name}'; train again"):
            build()
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"summary\.json: not an object"):
        build()
    path.write_text(json.dumps(good))

    weights_path = trained / "model.safetensors"
    data = weights_path.read_bytes()
    for change_of, message in [
        (lambda tensor: tensor.bfloat16(), "is torch.bfloat16, expected torch.float32; train again"),
        (lambda tensor: tensor[:-1], r"model\.norm\.weight\.shape"),
        (lambda tensor: tensor * float("nan"), r"NotFinite: model\.norm\.weight\[0\]"),
        (lambda tensor: tensor * 1e38, r"NotFinite: golden\.logits|NotFinite: model"),
    ]:
        weights = load(data)
        save_file({**weights, NORM: change_of(weights[NORM]).contiguous()}, weights_path)
        with pytest.raises(ValueError, match=message):
            build()
    header = int.from_bytes(data[:8], "little")
    for damaged in [
        *(data[:length] for length in (0, 7, 8, 8 + header - 1, 8 + header, len(data) - 1)),
        ((1 << 64) - 1).to_bytes(8, "little") + data[8:],
        (1 << 63).to_bytes(8, "little") + data[8:],
        data.replace(b'"shape":[60]', b'"shape":[-1]', 1),
        data.replace(b'"shape":[60]', b'"shape":[61]', 1),
        data.replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1),
        len(DEEP).to_bytes(8, "little") + DEEP.encode(),
    ]:
        weights_path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a safetensors file"):
            build()
    assert not out.exists()
