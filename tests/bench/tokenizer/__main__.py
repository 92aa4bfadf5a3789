"""The tokenizer beside others: training, encoding text not seen before, decoding, loading, one letter a million times.

In: the packages of locks/bench-tokenizer.txt and our wheel (`doit bench tokenizer` sees to both); what wasm.py says.
Out: a table, a row a measurement: MB/s or milliseconds, the ratio of the best other's time to ours, and what it has to
be at the least. CPU time of the whole process where one thread works, time on the clock where two do.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import gigabpe
import gigatoken
import pocketlm_tokenizer
from pocketlm_tokenizer import Tokenizer

from tests.bench.tokenizer import shards, wasm
from tests.bench.tokenizer.clocks import OURS, best, first_time, heading, row, size_mb, unseen
from tests.bench.tokenizer.peers import PACKAGES, PEERS, documents, rank_file, texts

VOCAB_SIZE = 32_768
ROUNDS, QUICK_ROUNDS = 5, 2
PUBLISHED = ("cl100k", "o200k")


def show(line: str) -> None:
    print(line, flush=True)


def training(rounds: int, folder: Path, parts: list[str]) -> None:
    """Rows of training; leaves the files that the others read."""
    path = folder / "text.txt"
    path.write_text("".join(parts), encoding="utf-8")
    trained = Tokenizer.train(parts, VOCAB_SIZE)
    (folder / "t.tok").write_bytes(trained.to_bytes())
    (folder / "t.json").write_text(trained.to_hf_json(), encoding="utf-8")
    for threads, clock in ((1, process_time), (2, perf_counter)):
        work: dict[str, Callable[[], Any]] = {
            OURS: lambda: Tokenizer.train(parts, VOCAB_SIZE),
            "gigabpe": lambda threads=threads: gigabpe.train_bpe([str(path)], VOCAB_SIZE, threads=threads),
        }
        title = f"train {VOCAB_SIZE:,} on {size_mb(parts):.0f} MB, {threads} thread{'s' * (threads > 1)}"
        show(row(title, best(rounds, work, clock), None, "1.2"))
    splits = {
        name: lambda name=name: Tokenizer.train(parts, VOCAB_SIZE, split=name) for name in pocketlm_tokenizer.SPLITS
    }
    took = best(rounds, splits, process_time)
    for name, seconds in took.items():
        if name != "gpt2":
            ratio = f"time ÷ GPT-2's: {seconds / took['gpt2']:.2f}, at most 1.25"
            show(row(f"train, {name}'s split", {OURS: seconds}, None, ratio))


def makers(folder: Path, form: str) -> dict[str, Callable[[], Any]]:
    """For each tokenizer that has it, a function that makes a new one and gives its way to `form` (a field of Peer)."""
    return {
        name: lambda make=make: getattr(make(folder), form)
        for name, make in PEERS.items()
        if getattr(make(folder), form) is not None
    }


def encoding(rounds: int, folder: Path, all_texts: dict[str, str]) -> None:
    """Rows of unseen text, of lists and of two threads."""
    at_least = {"prose": "1.0", "code": "0.8", "languages": "0.8"}
    for name, text in all_texts.items():
        parts = documents(text)
        mb = size_mb(parts[len(parts) // 2 :])
        took = unseen(rounds, makers(folder, "array"), parts, process_time)
        show(row(f"unseen {name}, arrays", took, mb, at_least[name]))
        if name == "prose":
            show(row("lists", unseen(rounds, makers(folder, "list"), parts, process_time), mb, "1.0"))
            took = unseen(rounds, makers(folder, "batch"), parts, perf_counter, batch=True)
            show(row("batch, 2 threads", took, mb, "1.0"))


def decoding(rounds: int, folder: Path, parts: list[str]) -> None:
    """The row of decoding."""
    tokenizer = Tokenizer.load(folder / "t.tok")
    ids = [tokenizer.encode(part) for part in parts]
    decoders = {name: make() for name, make in makers(folder, "decode").items()}
    work = {name: lambda decode=decode: [decode(each) for each in ids] for name, decode in decoders.items()}
    show(row("decode", best(rounds, work, process_time), size_mb(parts), "1.0"))


def monotonous(rounds: int, folder: Path) -> None:
    """Rows of texts that are one piece."""
    generator = random.Random(0)
    letters = "".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=1_000_000))
    encoders = {**makers(folder, "list"), **makers(folder, "array")}
    for title, text in {"a letter": "a" * 1_000_000, "random letters": letters, "spaces": " " * 1_000_000}.items():
        for size in (100_000, 1_000_000):
            took = first_time(min(rounds, 3), encoders, text[:size], process_time)
            show(row(f"{size:,} × {title}", took, None, "0.5"))


def published(rounds: int, folder: Path, parts: list[str]) -> None:
    """Rows of published vocabularies."""
    mb = size_mb(parts[len(parts) // 2 :])
    for name in PUBLISHED:
        ranks = rank_file(name)
        path, flat = folder / f"{name}.tiktoken", folder / f"{name}.tok"
        path.write_bytes(ranks)
        flat.write_bytes(Tokenizer.from_tiktoken(ranks.decode(), name).to_bytes())
        encoders: dict[str, Callable[[], Any]] = {
            OURS: lambda flat=flat: Tokenizer.load(flat).encode_array,
            "gigatoken": lambda path=path, name=name: gigatoken.Tokenizer.from_tiktoken(path, name, {}).encode,
        }
        took = unseen(rounds, encoders, parts, process_time)
        show(row(f"unseen prose, {name}'s vocabulary", took, mb, "1.0"))


def loading(rounds: int, folder: Path) -> None:
    """Rows of reading the flat form."""
    for file, at_most in (("t", 5), *((name, 25) for name in PUBLISHED)):
        path = folder / f"{file}.tok"
        took = best(max(rounds, 5), {OURS: lambda path=path: Tokenizer.load(path)}, process_time)
        title = f"load {Tokenizer.load(path).vocab_size:,} tokens, {path.stat().st_size / 1e6:.1f} MB"
        show(row(title, took, None, f"at most {at_most} ms"))


def main(quick: bool) -> None:
    """The whole table."""
    # rayon's threads, of those that let no caller say how many: all rows but the batch's are of one thread anyway.
    os.environ["RAYON_NUM_THREADS"] = "2"
    rounds = QUICK_ROUNDS if quick else ROUNDS
    all_texts = texts()
    sizes = ", ".join(f"{name} {len(text.encode()) / 1e6:.1f} MB" for name, text in all_texts.items())
    show(f"{sizes}; documents of 4 KB; the best of {rounds} rounds; packages of {PACKAGES}\n\n{heading()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prose = documents(all_texts["prose"])
        training(rounds, folder, prose + documents(all_texts["code"]))
        encoding(rounds, folder, all_texts)
        published(rounds, folder, prose)
        decoding(rounds, folder, prose)
        shards.stage(rounds, folder, prose + documents(all_texts["code"]), show)
        wasm.encoding(rounds, folder, prose, show)
        monotonous(rounds, folder)
        loading(rounds, folder)


if __name__ == "__main__":
    main("--quick" in sys.argv)
