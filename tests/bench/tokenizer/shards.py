"""The stage `shards` beside one batch of the same documents: how much of the encoder's speed comes through.

In: FOLDER/t.tok. Out: a row for documents of 4 KB, and one for a single long document; COPIES times the texts, so that
what takes as long for any corpus does not count. Both begin with a tokenizer that was just loaded; the stage also
reads, checks and hashes the corpus, and writes, hashes and reads again the shards.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter, process_time

from pocketlm_tokenizer import Tokenizer

from tests.bench.tokenizer.clocks import OURS, best, row, size_mb
from training import shards
from training.data.documents import LIST_NAME
from training.tokenizer_file import FLAT_NAME

COPIES = 4


def corpus(folder: Path, documents: Sequence[str]) -> None:
    """The folder that training/corpus.py would write: all of the documents to train on, a sentence to validate on."""
    folder.mkdir()
    lines = []
    for split, texts in (("train", documents), ("val", [documents[0][:80]])):
        path, start = f"{split}.txt", 0
        with (folder / path).open("wb") as file:
            for number, text in enumerate(texts):
                data = text.encode()
                file.write(data)
                entry = {
                    "name": f"{number:06}",
                    "split": split,
                    "path": path,
                    "start": start,
                    "nbytes": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
                lines.append(json.dumps(entry) + "\n")
                start += len(data)
    (folder / LIST_NAME).write_text("".join(lines), encoding="utf-8")


def stage(rounds: int, folder: Path, parts: list[str], show: Callable[[str], None]) -> None:
    """The rows."""
    tokenizer_dir = folder / "tokenizer"
    tokenizer_dir.mkdir()
    shutil.copyfile(folder / "t.tok", tokenizer_dir / FLAT_NAME)
    parts = parts * COPIES
    whole = "".join(parts)
    for title, documents in (("documents of 4 KB", parts), ("one document", [whole])):
        name = title.replace(" ", "-")
        corpus(folder / name, documents)
        work = {
            OURS: lambda name=name: run_stage(folder / name, tokenizer_dir, Path(mkdtemp(dir=folder))),
            "batch": lambda: len(Tokenizer.load(folder / "t.tok").encode_batch_array(parts, threads=2)[0]),
        }
        n_tokens = work["batch"]()
        for unit, clock in (("", perf_counter), (", CPU time", process_time)):
            took = best(rounds, work, clock)
            rates = f"{n_tokens / took[OURS] / 1e6:.1f} M tokens/s, a batch {n_tokens / took['batch'] / 1e6:.1f}"
            at_least = f"÷ the batch's: {took['batch'] / took[OURS]:.2f}, at least 0.8"
            show(row(f"shards, {title}{unit}: {rates}", {OURS: took[OURS]}, size_mb(parts), at_least))


def run_stage(corpus_dir: Path, tokenizer_dir: Path, out: Path) -> None:
    """The command, without Python's start."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        params = out / "params.json"
        params.write_text('{"params": {}, "runtime": {}}')
        shards.main(argparse.Namespace(params=params, corpus=corpus_dir, tokenizer=tokenizer_dir, out=out))
