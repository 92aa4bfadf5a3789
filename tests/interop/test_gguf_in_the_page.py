"""GGUF as the page's worker reads it (web/src/engine/gguf): the model.bin that it sees is what import and export do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from stages import paths
from tests.interop import blocks, models
from tests.tokenizer.damage import damaged
from training import export_imported, import_model, imported
from training.config.import_ import Import
from training.format.file import ModelFile, read_model
from training.interop import gguf_vocabulary

SCRIPT = Path(__file__).with_name("open_gguf.mjs")
CHUNK = paths.NPM / "gguf.js"
PROMPT = "Once upon a time"
MOST_POSITIONS = 4096  # web/src/engine/gguf/family.ts


def opened_all(*files: Path) -> list[ModelFile | str]:
    """What the worker makes of each GGUF: a model.bin, all of which is checked here, or what it says against it."""
    if not CHUNK.is_file():
        pytest.fail(f"{CHUNK} is not there: type `./doitw npm`")
    done = subprocess.run(["node", SCRIPT, CHUNK, *files], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return [read_model(f"{path}.opened") if why is None else why for path, why in zip(files, said, strict=True)]


def opened(path: Path) -> ModelFile | str:
    """What the worker makes of one."""
    (only,) = opened_all(path)
    return only


def exported(path: Path, ctx_len: int = 0, dtype: str = "f32") -> ModelFile:
    """What import and export make of it."""
    folder = path.with_suffix(".imported")
    folder.mkdir()
    imported.write(folder, import_model.load(Import(f"file:{path.name}", "", ctx_len), path.parent))
    export = {"golden_prompt": PROMPT, "dtype": dtype}
    out = path.with_suffix(".bin")
    export_imported.build({"params": {"preset": "mine", "sample": {}, "export": export}}, folder, out)
    return read_model(out)


def assert_same(got: ModelFile | str, expected: ModelFile) -> None:
    """All is the same but the provenance, and where that is longer the offsets; the golden logits up to rounding."""
    assert not isinstance(got, str), got
    assert (got.architecture, got.config) == (expected.architecture, expected.config)
    assert got.tokenizer_bytes == expected.tokenizer_bytes
    assert got.sections == expected.sections
    assert {name: (each.dtype, each.shape) for name, each in got.stored.items()} == {
        name: (each.dtype, each.shape) for name, each in expected.stored.items()
    }
    for name, stored in expected.stored.items():
        assert got.stored[name].data.tobytes() == stored.data.tobytes(), name
    assert got.golden.ids == expected.golden.ids
    largest = np.abs(got.golden.logits - expected.golden.logits).max()
    assert largest <= 2e-5 * max(float(expected.golden.logits.std()), 0.1)
    theirs = dict(expected.provenance["import"])
    assert theirs.pop("source").startswith("file:")
    digest = theirs.pop("sha256")
    ours = dict(got.provenance["import"])
    assert len(ours.pop("sha256")) == 64 and digest is None
    assert ours == theirs


@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0])
@pytest.mark.parametrize("architecture", models.CLASSES)
def test_it_is_what_import_and_export_write(tmp_path: Path, architecture: str, kind: Kind) -> None:
    path = tmp_path / "m.gguf"
    names = {"general.name": "Zoë 🦊", "general.license": "mit", "tokenizer.ggml.eot_token_id": 7}
    models.write_gguf(path, models.model(architecture, tied=kind != Kind.F16, seed=int(kind)), kind, **names)
    assert_same(opened(path), exported(path))


@pytest.mark.parametrize("kind", [Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, *blocks.NOT_WRITTEN])
@pytest.mark.parametrize("architecture", models.CLASSES)
def test_what_has_no_layout_is_what_export_quantises(tmp_path: Path, architecture: str, kind: Kind) -> None:
    path = tmp_path / "m.gguf"
    shape = models.IN_LARGE_BLOCKS if kind in blocks.NOT_WRITTEN else {}
    models.write_gguf(path, models.model(architecture, tied=kind != Kind.Q5_1, seed=int(kind), **shape), kind)
    assert_same(opened(path), exported(path, dtype="q8_0"))


def test_types_may_be_mixed(tmp_path: Path) -> None:
    """As in files named Q4_K_M: some matrices in Q6_K, and other types where a row is no whole blocks of 256."""

    def kind(name: str) -> Kind:
        if "ffn_down" in name:
            return Kind.Q5_0
        return Kind.Q6_K if "attn_v" in name or "token_embd" in name else Kind.Q4_K

    path = tmp_path / "m.gguf"
    models.write_gguf(path, models.model("llama", **{**models.IN_LARGE_BLOCKS, "intermediate_size": 96}), kind)
    got = opened(path)
    assert_same(got, exported(path, dtype="q8_0"))
    assert isinstance(got, ModelFile)
    assert got.provenance["import"]["dtypes"] == {"F32": 5, "Q4_K": 10, "Q5_0": 2, "Q6_K": 3}


@pytest.mark.parametrize("kind", blocks.PLACES)
def test_blocks_of_extremes(tmp_path: Path, kind: Kind) -> None:
    """Scales of zero, subnormal and negative ones; what has a scale that is too small for an f16 becomes zero."""
    path = tmp_path / "m.gguf"
    models.write_gguf(path, models.model("qwen2", **models.IN_LARGE_BLOCKS), kind)
    rows = blocks.extreme_rows(kind, np.random.default_rng(3))
    (embedding,) = (each for each in gguf.GGUFReader(path, "r+").tensors if each.name == "token_embd.weight")
    embedding.data.reshape(-1)[: rows.size] = rows.reshape(-1)
    embedding.data.flush()
    got, expected = opened(path), exported(path, dtype="q8_0").stored["model.embed_tokens.weight"]
    assert isinstance(got, ModelFile)
    assert got.stored["model.embed_tokens.weight"].data.tobytes() == expected.data.tobytes()
    quants, scales = expected.planes()
    assert (scales == 0).any() and np.isin([127, -127], quants).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 70, "num_attention_heads": 5, "num_key_value_heads": 5, "head_dim": 22},
        {"hidden_size": 32, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 128},
        {"rms_norm_eps": 1e-6, "num_hidden_layers": 1},
        {"vocab_size": 40_000, "num_hidden_layers": 1},  # more than one part of the file is read at once
    ],
)
def test_odd_shapes(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "m.gguf"
    kind = Kind.Q8_0 if changes.get("vocab_size") else Kind.F32
    models.write_gguf(path, models.model("llama", **changes), kind)
    assert_same(opened(path), exported(path))


@pytest.mark.parametrize(
    "changes",
    [
        {"tokenizer.ggml.pre": "gpt-2"},
        {"tokenizer.ggml.pre": "llama-bpe"},
        {"tokenizer.ggml.pre": "qwen2"},
        {"tokenizer.ggml.pre": "gpt-4o", "tokenizer.ggml.bos_token_id": None},
        {"tokenizer.ggml.eos_token_id": None, "tokenizer.ggml.eot_token_id": 7, "tokenizer.ggml.eom_token_id": 5},
        {"tokenizer.chat_template": None, "llama.attention.key_length": None},
        {"llama.context_length": 100_000},
    ],
)
def test_other_metadata(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "m.gguf"
    models.write_gguf(path, models.model("llama"), Kind.F32, **changes)
    assert_same(opened(path), exported(path, MOST_POSITIONS if "llama.context_length" in changes else 0))


def test_a_vocabulary_with_every_type_of_token(tmp_path: Path) -> None:
    """Special ones that merges make, and that none does; gaps; a token of another alphabet."""
    tokenizer = models.tokenizer()
    parts = gguf_vocabulary.parts(tokenizer, 320)
    tokens, types = list(parts.tokens), list(parts.types)
    made = next(number for number, token in enumerate(tokens) if token == parts.merges[0].replace(" ", ""))
    types[made] = models.CONTROL  # a merge makes it
    for number, (token, kind) in enumerate([("<|user|>", 4), ("hé 🦊", 3), ("日本", 4), ("<unk>", 2)], start=312):
        tokens[number], types[number] = token, kind
    path = tmp_path / "m.gguf"
    changes = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types}
    models.write_gguf(path, models.model("llama"), Kind.F32, **changes)
    assert_same(opened(path), exported(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": "gemma3"}, 'its family (general.architecture) is "gemma3", expected llama, qwen2'),
        ({"llama.rope.scaling.type": "yarn"}, 'llama.rope.scaling.type is "yarn", expected none of it'),
        ({"llama.rope.dimension_count": 8}, "llama.rope.dimension_count is 8, expected the width of a head, 16"),
        ({"llama.expert_count": 8}, 'llama.expert_count is "8", expected none of it'),
        ({"llama.block_count": None}, "there is no llama.block_count"),
        ({"llama.block_count": 3}, "there is no tensor blk.2.attn_norm.weight"),
        ({"llama.block_count": 1}, "the tensor blk.1.attn_q.weight has no place in the family llama"),
        ({"llama.block_count": 0}, "its n_layer is 0, expected a whole number from 1 to 1024"),
        ({"llama.attention.head_count_kv": [2, 1]}, "differs from layer to layer"),
        (
            {"llama.feed_forward_length": 63},
            "the tensor blk.0.ffn_gate.weight has the shape [64, 96], expected [63, 96]",
        ),
        ({"tokenizer.ggml.model": "llama"}, "llama is SentencePiece"),
        ({"tokenizer.ggml.pre": "viking"}, 'tokenizer.ggml.pre is "viking", expected gpt-2, smollm'),
        ({"tokenizer.ggml.merges": ["a zzz"]}, 'the merge "a zzz" is not of two tokens that make one'),
        ({"tokenizer.ggml.bos_token_id": 320}, "a special token has the number 320, expected one below 320"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = tmp_path / "m.gguf"
    models.write_gguf(path, models.model("llama"), Kind.F32, **changes)
    said = opened(path)
    assert isinstance(said, str) and message in said


def test_a_tensor_type_that_is_not_supported_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    models.write_gguf(path, models.model("llama", **models.IN_LARGE_BLOCKS), Kind.TQ2_0)
    said = opened(path)
    assert isinstance(said, str)
    assert "the tensor token_embd.weight is in TQ2_0, expected F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K" in said
    assert said.startswith("unsupported-model\n") and "their tensors in F32" in said


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    """Refused in words, or read as a model.bin that is whole; never a crash."""
    path = tmp_path / "m.gguf"
    models.write_gguf(path, models.model("llama"), Kind.F32)
    whole = path.read_bytes()
    files = []
    for number, data in enumerate(damaged(whole, 200, whole.index(b"token_embd.weight") + 1000)):
        files.append(tmp_path / f"{number}.gguf")
        files[-1].write_bytes(data)
    refused = [isinstance(each, str) for each in opened_all(*files)]
    assert all(refused[:16])
    assert any(refused[16:])


def test_the_table_of_splits_is_the_one_of_the_import() -> None:
    """The page has a copy of its own."""
    source = (paths.ROOT / "web" / "src" / "engine" / "gguf" / "vocabulary.ts").read_text(encoding="utf-8")
    _, _, rest = source.partition("const PRE: Record<string, readonly [string, boolean, boolean]> = ")
    text, _, _ = rest.partition(";\n")
    entries = (line.strip().rstrip(",").partition(": ") for line in text.splitlines()[1:-1])
    found = {name.strip('"'): tuple(json.loads(value)) for name, _, value in entries}
    assert found == gguf_vocabulary.PRE
