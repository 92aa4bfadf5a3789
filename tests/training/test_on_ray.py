"""data.engine="ray" beside data.engine="local": the same merges and shards, byte for byte, even if a worker dies."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.training.conftest import ROOT, command, start
from tests.training.test_pieces import bytes_of
from training import corpus, shards, tokenizer
from training.config import preset
from training.config.data import Data, Source
from training.config.engine import Engine
from training.data import documents, on_ray, shard_writer
from training.data.documents import Piece

os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 32)  # or Ray leaves one in the home
ray = pytest.importorskip("ray")
ON_RAY = Engine(engine="ray")
SETTINGS = preset.load("tiny").tokenizer


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of two workers in this process's hands, which all tests share."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # no worker finds this file
    with socket_folder() as folder:
        ray.init(num_cpus=2, object_store_memory=100_000_000, include_dashboard=False, _temp_dir=folder)
        yield
        ray.shutdown()


def socket_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder whose name is so short that Ray's sockets can be in it."""
    return tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of some 60 kB in pieces of 10 kB, and what the local engine makes of it."""
    words = ["the", "sea", "and", "the", "sky,", "a", "small", "boat;", "12", "it's", "été", "日本", "\n"]
    stories = [" ".join(words[(n * k) % len(words)] for k in range(1, n % 60 + 20)) + f" {n}" for n in range(300)]
    (tmp_path / "stories.txt").write_text("<|endoftext|>".join(stories))
    data = Data((Source("file:stories.txt"),), (), 0.1, separator="<|endoftext|>")
    corpus.build(data, tmp_path, tmp_path / "corpus")
    pieces = documents.pieces
    monkeypatch.setattr(documents, "pieces", lambda corpus: pieces(corpus, 10_000))
    (tmp_path / "tokenizer").mkdir()
    trained = tokenizer.build(SETTINGS, tmp_path / "corpus")
    (tmp_path / "tokenizer" / "tokenizer.tok").write_bytes(trained.to_bytes())
    shards.main(arguments(tmp_path, "local", "local"))
    return tmp_path


def arguments(folder: Path, engine: str, out: str, **more: str) -> argparse.Namespace:
    """Of the command `shards`."""
    params = folder / f"{engine}.json"
    params.write_text(json.dumps({"params": {}, "runtime": {"data": {"engine": engine, **more}}}))
    return argparse.Namespace(params=params, corpus=folder / "corpus", tokenizer=folder / "tokenizer", out=folder / out)


def test_the_same_merges_and_shards(cluster: None, made: Path) -> None:
    trained = tokenizer.build(SETTINGS, made / "corpus", ON_RAY)
    assert trained.to_bytes() == (made / "tokenizer" / "tokenizer.tok").read_bytes()
    shards.main(arguments(made, "ray", "ray"))
    wanted = bytes_of(made / "local" / "shards")
    assert len(wanted) > 3
    assert bytes_of(made / "ray" / "shards") == wanted


@dataclass(frozen=True)
class DiesOnce:
    """Writes a shard, and is killed in the middle of the first one that it begins."""

    work: shard_writer.WriteShard
    mark: Path

    def __call__(self, piece: Piece) -> None:
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            self.work(piece)
            return
        (self.work.directory / f"{piece.split}-{piece.number:05}.tokens.1{shard_writer.UNFINISHED}").write_bytes(
            b"half"
        )
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it is dead")


def test_what_a_killed_worker_left_is_done_again(cluster: None, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = on_ray.over
    monkeypatch.setattr(on_ray, "over", lambda work, *rest: over(DiesOnce(work, made / "killed"), *rest))
    shards.main(arguments(made, "ray", "ray"))
    assert (made / "killed").exists()
    assert bytes_of(made / "ray" / "shards") == bytes_of(made / "local" / "shards")


def dies(piece: Piece) -> None:
    """It always does."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_always_dies_is_an_error(cluster: None) -> None:
    with pytest.raises(ValueError, match=r"data\.engine=ray: The worker died unexpectedly .* It was tried 4 times"):
        list(on_ray.over(dies, [Piece("train", 0, 0, 1)], "", ""))


def test_an_error_names_the_file_and_leaves_nothing(cluster: None, made: Path) -> None:
    text = made / "corpus" / "train" / "00000.txt"
    text.write_bytes(text.read_bytes().replace(b"boat", b"moat"))
    with pytest.raises(ValueError, match=r"train/00000\.txt: its text is not what documents\.jsonl says"):
        shards.main(arguments(made, "ray", "ray"))
    assert list((made / "ray").iterdir()) == []
    with pytest.raises(ValueError, match=r"train/00000\.txt: its text is not"):
        tokenizer.build(SETTINGS, made / "corpus", ON_RAY)
    (made / "corpus" / "documents.jsonl").write_text("")
    with pytest.raises(ValueError, match="no training documents"):
        tokenizer.build(SETTINGS, made / "corpus", ON_RAY)


def test_without_ray(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"data\.engine=ray: Ray is not installed .* by locks/ray\.txt"):
        shards.main(arguments(made, "ray", "ray"))


def words_of(arguments: argparse.Namespace) -> list[str]:
    return [word for name, value in vars(arguments).items() for word in (f"--{name}", str(value))]


@pytest.fixture
def waiting(made: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command `shards` with a cluster of its own, whose workers wait for the tokenizer; and our end of its pipe."""
    pipe = made / "tokenizer" / "tokenizer.tok"
    pipe.unlink()
    os.mkfifo(pipe)
    words = [sys.executable, "-m", "training.shards", *words_of(arguments(made, "ray", "ray"))]
    child = subprocess.Popen(words, cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True)
    try:
        while True:
            assert child.poll() is None, child.communicate()[1]
            try:
                ours = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                time.sleep(0.1)
            else:
                break
        yield child, ours
        os.close(ours)
    finally:
        child.kill()
        with child:  # waits for it
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_its_workers_end_with_it(
    waiting: tuple[subprocess.Popen[str], int], made: Path, number: signal.Signals
) -> None:
    child, ours = waiting
    if number == signal.SIGINT:
        os.killpg(child.pid, number)  # as a terminal does
        assert (child.communicate()[1], child.returncode) == ("", 128 + number)
        assert list((made / "ray").iterdir()) == []
    else:
        child.kill()
    watch = select.poll()
    watch.register(ours, 0)
    assert watch.poll(60_000) == [(ours, select.POLLERR)], "a worker still reads"


@pytest.mark.slow
def test_a_cluster_that_is_there_is_sent_our_modules(made: Path) -> None:
    """Its workers know neither `training` nor the tokenizer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = arguments(made, "ray", "ray", ray_address=f"127.0.0.1:{port}")
    with socket_folder() as folder:
        ray_command = Path(sys.executable).with_name("ray")
        words = ["start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--object-store-memory=100000000"]
        head = subprocess.Popen(
            [ray_command, *words, "--include-dashboard=false", f"--temp-dir={folder}"],
            cwd="/",
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdout=subprocess.DEVNULL,
        )
        try:
            while not answers(port):
                assert head.poll() is None
                time.sleep(0.1)
            command("shards", *words_of(given))
        finally:
            head.terminate()
            head.wait()
    command("shards", *words_of(arguments(made, "local", "local")))  # with a piece a split, too
    assert bytes_of(made / "ray" / "shards") == bytes_of(made / "local" / "shards")
    with start("shards", *words_of(given)) as child:
        said = child.communicate()[1]
    assert child.returncode == 1 and f"data.ray_address=127.0.0.1:{port}: " in said


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
