"""A full disk, a folder that cannot be written, odd files, another locale: nothing half-written is believed, a message
says what to do, and what was there before is still of use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.training.conftest import ROOT, never_stop, params, start, trained_files, write_params
from tests.training.test_train import small_model
from training import checkpoint, command, corpus, export, tokenizer
from training import train as training_run
from training.config import preset as config
from training.config.data import Data, Source
from training.data import documents, shard_file, shard_writer, sources

FRESH = {"run": "r", "step": 0}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command to make a small file system with")
    options = ["-t", "tmpfs", "-o", "size=4m", "pocketlm-test"]
    mounted = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()} (it takes root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, free: int = 0) -> None:
    """Leave so many bytes free."""
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - free)


def said_by(module: object, *arguments: object) -> str:
    """What a command that must fail says: one line, no traceback."""
    with start(module, *arguments) as child:
        said = child.communicate()[1]
    assert child.returncode == 1, said
    lines = [line for line in said.splitlines() if line.startswith(f"training.{module}: ")]
    assert len(lines) == 1 and "Traceback" not in said, said
    return lines[0]


def shards_of(tiny: Path, folder: Path) -> tuple[object, ...]:
    """The words of the command `shards` without its --out; its parameters go into the folder."""
    params = write_params(folder / "params.json")
    return "shards", "--params", params, "--corpus", tiny / "corpus", "--tokenizer", tiny / "tokenizer"


def test_shards_on_a_full_disk(tiny: Path, small: Path) -> None:
    given = shards_of(tiny, small.parent)
    fill(small, 32 << 10)
    said = said_by(*given, "--out", small)
    assert "No space left on device" in said
    assert f"nothing went to {small}: make room on its disk and start again" in said
    assert [path.name for path in small.iterdir()] == ["filler"]


def test_a_corpus_on_a_full_disk(small: Path, tmp_path: Path) -> None:
    fill(small, 32 << 10)
    said = said_by("corpus", "--params", write_params(tmp_path / "params.json"), "--out", small)
    assert "No space left on device" in said and "make room on its disk" in said
    assert [path.name for path in small.iterdir()] == ["filler"]


def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(small: Path) -> None:
    model, optimizer = small_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    before = checkpoint.write(small, model, [optimizer], {**FRESH, "step": 5})
    fill(small, 64 << 10)
    with pytest.raises(OSError, match="the checkpoint of step 6 was not written; the one before it stays") as raised:
        checkpoint.write(small, model, [optimizer], {**FRESH, "step": 6})
    assert raised.value.errno is not None
    assert sorted(path.name for path in small.iterdir()) == sorted(["filler", before.name])
    other, fresh = small_model()
    assert checkpoint.read_latest(small, other, [fresh], FRESH) == {**FRESH, "step": 5}
    (small / "filler").unlink()
    (small / before.name).write_bytes(before.read_bytes()[:1000])  # the disk was full behind our back
    assert checkpoint.read_latest(small, other, [fresh], FRESH) is None


def test_a_training_run_on_a_full_disk_goes_on_once_there_is_room(
    tiny: Path, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first checkpoint finds no room; then there is some, and in the end none for the weights."""
    short = {f"train__{name}": "1024" for name in ("eval_tokens", "last_eval_tokens")}
    settings = params(train__steps="3", train__checkpoint_seconds="0", sample__tokens="2", **short)

    def run(partial: Path, out: Path) -> None:
        training_run.run(training_run.load(settings, tiny / "shards", tiny / "tokenizer"), partial, out, never_stop())

    kept = small / "kept"
    fill(small, 64 << 10)
    with pytest.raises(OSError, match="No space left on device: the checkpoint of step 1 was not written"):
        run(kept, tmp_path / "out")
    assert list(kept.glob("*/*step*")) == []
    with pytest.raises(OSError, match=r"model\.safetensors cannot be written: .*No space left on device"):
        run(tmp_path / "kept", small / "out")
    assert list((small / "out").iterdir()) == []
    capsys.readouterr()
    run(tmp_path / "kept", tmp_path / "out")
    assert "resumed at step 3 of 3" in capsys.readouterr().err


def test_model_bin_on_a_full_disk(tmp_path: Path, small: Path) -> None:
    from tests.parity.models import config as shape
    from tests.parity.models import write_random_model

    before = write_random_model(small / "model.bin", shape(n_layer=1), 1).path.read_bytes()
    fill(small, 16 << 10)
    with pytest.raises(OSError, match="No space left on device"):
        write_random_model(small / "model.bin", shape(n_layer=1), 2)
    assert (small / "model.bin").read_bytes() == before
    assert sorted(path.name for path in small.iterdir()) == ["filler", "model.bin"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tiny: Path, tmp_path: Path) -> None:
    given = shards_of(tiny, tmp_path)
    tmp_path.chmod(0o500)
    said = said_by(*given, "--out", tmp_path)
    assert "Permission denied" in said and str(tmp_path) in said


def test_an_out_that_is_a_file(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("words")
    said = said_by(*shards_of(tiny, tmp_path), "--out", tmp_path / "out")
    assert "File exists" in said and str(tmp_path / "out") in said
    assert (tmp_path / "out").read_text() == "words"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: os.mkfifo(path), "is no regular file"),
        (lambda path: path.mkdir(), "is a folder; name files, for instance file:a.txt/**/*.txt"),
        (lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
        (lambda path: None, "no such file under"),
        (lambda path: path.write_bytes(b""), "the corpus is empty"),
        (lambda path: path.write_bytes(b" \n\t\n"), "the corpus is empty"),
        (lambda path: path.write_bytes(b"a"), "one document of one line"),
        (lambda path: path.write_bytes("words\n".encode("utf-16")), "not UTF-8 at byte 0"),
    ],
)
def test_odd_sources(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "a.txt")
    with pytest.raises(ValueError) as raised:
        corpus.build(Data((Source("file:a.txt"),), (), 0.1), tmp_path, tmp_path / "out")
    assert message in str(raised.value)


def test_a_name_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a\x1b[2J\n\u202e.txt").write_text(" ")
    with pytest.raises(ValueError, match="the corpus is empty"):
        corpus.build(Data((Source("file:*.txt"),), (), 0.1), tmp_path, tmp_path / "out")
    assert capsys.readouterr().err == "a\\x1b[2J\\n\\u202e.txt: left out, there is no text in it\n"


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff.txt")).write_text("words")
    with pytest.raises(ValueError, match=r"the name of 'a\\udcff\.txt' is not UTF-8; rename the file"):
        list(sources.documents(Source("file:*.txt"), tmp_path))


def test_a_file_that_vanishes_or_changes(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    reading = sources.documents(Source("file:*.txt"), tmp_path)
    next(reading)
    (tmp_path / "b.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.txt"):
        next(reading)
    pinned = Source("file:a.txt", hashlib.sha256(b"a.txt").hexdigest())
    reading = sources.documents(pinned, tmp_path)
    _, stream = next(reading)
    (tmp_path / "a.txt").write_text("other words")
    with pytest.raises(ValueError, match=r"a\.txt changed while it was read; start again"):
        while stream.read(4):
            pass


TEXTS = {
    "Chinese": "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。\n寒來暑往，秋收冬藏。\n\n閏餘成歲，律呂調陽。\n",
    "Arabic": "بسم الله الرحمن الرحيم\nالحمد لله رب العالمين\n\nمالك يوم الدين\n",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में\nजन्मजात स्वतन्त्रता और समानता प्राप्त है।\n\nउन्हें बुद्धि प्राप्त है।\n",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪👍🏽❤️\n😀😃😄\n\n🐋🐋\n",
    "mixed": "Hello мир 世界 مرحبا \u202eabc\r\ne\u0301 ﬁ ½ Å \x07\ufeff\r\n\r\nशुभ 😀\r\n",
    "two letters": "a\nb",
}


@pytest.mark.parametrize("name", TEXTS)
def test_short_texts_in_any_script(tmp_path: Path, name: str) -> None:
    """Less text than a context, fewer pairs than the vocabulary asks for, a few tokens held out: every step works."""
    (tmp_path / "a.txt").write_text(TEXTS[name], encoding="utf-8")
    loaded = config.load("shakespeare")
    corpus.build(Data((Source("file:a.txt"),), (), 0.05), tmp_path, tmp_path / "corpus")
    trained = tokenizer.build(loaded.tokenizer, tmp_path / "corpus")
    assert 257 <= trained.vocab_size < loaded.tokenizer.vocab_size
    (tmp_path / "tokenizer.tok").write_bytes(trained.to_bytes())
    (tmp_path / "shards").mkdir()
    for split in documents.SPLITS:
        texts = [list(parts) for _, parts in documents.read(tmp_path / "corpus", split, trained.safe_cut)]
        shard_writer.write(tmp_path / "shards", split, texts, trained)
        stream = shard_file.open_split(tmp_path / "shards", split)
        assert trained.decode(stream.read(1, stream.n_tokens - 1).tolist()) == "".join(texts[0])

    tiny_shape = {f"model__{key}": "8" for key in ("d_model", "d_head", "d_ff")} | {"model__n_layer": "1"}
    settings = params("shakespeare", train__steps="2", sample__tokens="2", **tiny_shape)
    inputs = training_run.load(settings, tmp_path / "shards", tmp_path)
    training_run.run(inputs, tmp_path / "kept", tmp_path / "out", never_stop())
    files = trained_files(tmp_path / "out")
    header = export.build(settings, *files, tmp_path, tmp_path / "shards", tmp_path / "model.bin")
    assert header["config"]["vocab_size"] == trained.vocab_size


def test_a_model_larger_than_the_machine(train: Callable[..., Path]) -> None:
    """It is named before a byte of it is asked for."""
    largest = {f"model__{name}": str(1024 * size) for name, size in (("d_model", 64), ("d_ff", 256), ("n_layer", 1))}
    with pytest.raises(ValueError, match=r"parameters take [\d,.]+ GB, this machine has [\d,.]+; make model\.n_layer"):
        train(**largest)


def test_out_of_memory_is_said(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What PyTorch raises of a matrix that no machine holds."""

    def load(*_: object) -> None:
        torch.empty(1 << 22, 1 << 22)

    monkeypatch.setattr(training_run, "load", load)
    monkeypatch.setattr(command, "StopRequest", lambda: None)
    given = ["--params", str(write_params(tmp_path / "params.json")), "--out", str(tmp_path)]
    parser = command.parser("train", "")
    for name in ("--shards", "--tokenizer", "--resume", "--logs"):
        parser.add_argument(name)
    assert command.run(training_run.main, parser, given) == 1
    assert "training.train: out of memory; make train.batch_size" in capsys.readouterr().err


def test_another_locale_and_umask(tmp_path: Path) -> None:
    """LANG=C with PYTHONUTF8=0 and umask 077: the same bytes, readable by their owner alone."""
    folder = tmp_path / "Bücher 书"
    folder.mkdir()
    (folder / "größe.txt").write_text("Füße, naïve 世界\n\nmehr\n", encoding="utf-8")
    given = ("--params", str(write_params(tmp_path / "params.json", data__sources="file:**/*.txt")))
    outputs = []
    for name, changes in (("utf-8", {}), ("ascii", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})):
        out = tmp_path / name
        done = subprocess.run(
            [sys.executable, "-m", "training.corpus", *given, "--root", str(folder), "--out", str(out)],
            cwd=ROOT,
            capture_output=True,
            env={**os.environ, **changes},
            umask=0o077,
        )
        assert done.returncode == 0, done.stderr.decode()
        listed = (out / "corpus" / "documents.jsonl").read_bytes()
        assert "größe.txt#train" in listed.decode()
        outputs.append((listed, (out / "corpus" / "train" / "00000.txt").read_bytes()))
        assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in out.rglob("*"))
    assert outputs[0] == outputs[1]


def test_a_disk_that_is_full_is_said_whatever_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no small file system can be mounted, the message is still tested."""

    def full(arguments: object) -> None:
        raise OSError(28, os.strerror(28))

    assert command.run(full, command.parser("shards", "", params=False), ["--out", "somewhere"]) == 1
    assert capsys.readouterr().err == (
        "training.shards: [Errno 28] No space left on device; "
        "nothing went to somewhere: make room on its disk and start again\n"
    )
