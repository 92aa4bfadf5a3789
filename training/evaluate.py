"""A trained model in, how good it is out, on text that it has not learnt from.

Writes OUT/evaluation.json        bits per byte of the validation and the test text with a 95 % interval, of each
                                  document alone, and of general compressors; loss and perplexity by position; the
                                  longest copied passage
       OUT/evaluation.md          the same to read
       OUT/evaluation_speed.json  how fast one thread scored and wrote, by PyTorch
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer
from safetensors.torch import load_file

from training import command
from training.bootstrap import RESAMPLES, interval, units_of
from training.compressors import compressed
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import read
from training.data import documents
from training.data.shard_file import TokenStream, check_tokenizer, open_split
from training.model.families import LanguageModel, language_model
from training.sample import sample
from training.scoring import losses_of, one_of, token_nbytes
from training.tokenizer_file import document_start, separator_of
from training.tokenizer_file import load as load_tokenizer

MOST_TOKENS = 1_000_000  # of a split that are scored, in windows spread over it; as train.last_eval_tokens has it
MOST_LISTED = 40  # documents that have a line each
COPIED_TOKENS = 256  # of each text that is searched for copied passages
COPIED_TEXTS = 8
MOST_TEXT_NBYTES = 64 << 20  # of the training text, its end, that compressors and the search for copies see
SECONDS_A_LINE = 10.0
CPU = torch.device("cpu")


def score(
    model: LanguageModel,
    stream: TokenStream,
    sizes: NDArray[np.int64],
    shape: Model,
    overlap: int,
    text: bytes,
    names: Sequence[str],
) -> dict[str, Any]:
    """The figures of a split's text (of its tokens, where there are more than MOST_TOKENS, of about so many):

    {"bpb", "low", "high",            low and high as of training/bootstrap.py
     "n_units", "units",              what that has drawn
     "n_tokens", "n_bytes",           scored
     "n_documents", "quartiles",      of the documents' bits per byte
     "documents": [{"name", "bpb", "n_bytes"}]}  empty where they are more than MOST_LISTED

    sizes: (V,), bytes of each token. text: of the split, or its end. names: of its documents.
    """
    nats, nbytes = np.zeros(stream.n_tokens), np.zeros(stream.n_tokens, np.int64)  # of each token that is scored
    n_tokens, told = 0, time.monotonic()
    batches = losses_of(model, stream, len(sizes), shape.ctx_len, overlap, CPU, one_of(stream, MOST_TOKENS))
    for windows, losses, counted, targets in batches:
        for row, (start, length, scored) in enumerate(windows):
            own, end = counted[row], start + 1 + length
            nats[end - scored : end] = losses[row][own]
            nbytes[end - scored : end] = sizes[targets[row][own]]
        n_tokens += int(counted.sum())
        if time.monotonic() - told > SECONDS_A_LINE:
            told = time.monotonic()
            command.say(f"{end / stream.n_tokens:.0%} scored")
    borders = stream.documents()
    units = units_of(text, borders, sizes[stream.read(0, stream.n_tokens)])
    drawn = sums(nats, units.borders), sums(nbytes, units.borders)
    there = drawn[1] > 0  # a unit of which nothing was scored says nothing
    low, high = interval(drawn[0][there], drawn[1][there])
    each = zip(names, sums(nats, borders).tolist(), sums(nbytes, borders).tolist(), strict=True)
    figures = [{"name": name, "bpb": bits_per_byte(loss, size), "n_bytes": size} for name, loss, size in each if size]
    return {
        "bpb": bits_per_byte(nats.sum(), nbytes.sum()),
        "low": low,
        "high": high,
        "n_units": int(there.sum()),
        "units": units.kind,
        "n_tokens": n_tokens,
        "n_bytes": int(nbytes.sum()),
        "n_documents": len(names),
        "quartiles": np.quantile([document["bpb"] for document in figures], [0.25, 0.5, 0.75]).tolist(),
        "documents": figures if len(names) <= MOST_LISTED else [],
    }


def sums(values: NDArray[Any], borders: NDArray[np.int64]) -> NDArray[Any]:
    """The sums of consecutive parts, (parts,). values: (tokens,); borders: (parts + 1,)."""
    before = np.concatenate([np.zeros(1, values.dtype), np.cumsum(values)])
    found: NDArray[Any] = np.diff(before[borders])
    return found


def bits_per_byte(nats: float, nbytes: float) -> float:
    """What a loss of so many nats is for so many bytes."""
    return float(nats / np.log(2) / nbytes)


def by_position(model: LanguageModel, stream: TokenStream, sizes: NDArray[np.int64], shape: Model) -> list[Any]:
    """[{"from", "to", "nats", "perplexity"}]: the mean loss of a token that has from ... to - 1 tokens of context
    before it, and e to the power of that.
    """
    totals, counts = np.zeros(shape.ctx_len), np.zeros(shape.ctx_len)
    for _, losses, counted, _ in losses_of(
        model, stream, len(sizes), shape.ctx_len, 0, CPU, one_of(stream, MOST_TOKENS)
    ):
        totals[: losses.shape[1]] += (losses * counted).sum(0)
        counts[: losses.shape[1]] += counted.sum(0)
    edges = [0, *(1 << power for power in range(20) if 1 << power < shape.ctx_len), shape.ctx_len]
    means = [(a, b, float(totals[a:b].sum() / counts[a:b].sum())) for a, b in itertools.pairwise(edges) if counts[a]]
    return [{"from": a + 1, "to": b + 1, "nats": nats, "perplexity": math.exp(nats)} for a, b, nats in means]


def longest_copied(text: str, known: bytes) -> str:
    """The longest passage of a text that stands in `known`, byte for byte."""
    data = text.encode()
    best, start = b"", 0
    while start + len(best) < len(data):
        longer = data[start : start + len(best) + 1]
        if longer in known:
            best = longer
        else:
            start += 1
    return best.decode(errors="replace")


def written(model: LanguageModel, tokenizer: Tokenizer, settings: Sample, shape: Model) -> list[str]:
    """COPIED_TEXTS texts of up to COPIED_TOKENS tokens, after the prompts in turn."""
    prompts = list(settings.prompts) or [""]
    wanted = Sample(prompts=(), tokens=COPIED_TOKENS, temperature=settings.temperature)
    return [
        sample(
            model,
            tokenizer,
            document_start(tokenizer, prompts[index % len(prompts)]),
            wanted,
            settings.seed + index,
            shape.ctx_len,
            {separator_of(tokenizer)},
            CPU,
        )
        for index in range(COPIED_TEXTS)
    ]


def copied(texts: Sequence[str], known: bytes) -> dict[str, Any]:
    """{"n_bytes", "passage", "of_nbytes"}: the longest passage of these texts that stands in `known`, and how many
    bytes they have.
    """
    passage = max((longest_copied(text, known) for text in texts), key=len)
    return {
        "n_bytes": len(passage.encode()),
        "passage": passage,
        "of_nbytes": sum(len(text.encode()) for text in texts),
    }


def text_of(corpus: Path, split: str, tokenizer: Tokenizer) -> bytes:
    """The documents of a split, one after another; of a long split its end."""
    found = bytearray()
    for _, parts in documents.read(corpus, split, tokenizer.safe_cut):
        for part in parts:
            found += part.encode()
            if len(found) > 2 * MOST_TEXT_NBYTES:  # not after each of a million documents: it moves the rest
                del found[:-MOST_TEXT_NBYTES]
    return bytes(found[-MOST_TEXT_NBYTES:])


def build(
    params: dict[str, Any], weights: Path, tokenizer_dir: Path, shards_dir: Path, corpus: Path, overlap: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All figures, and how fast they came. One thread: the former are the same everywhere. Raises ValueError where the
    inputs do not fit.
    """
    torch.set_num_threads(1)
    shape, settings = read(params, Model), read(params, Sample)
    tokenizer = load_tokenizer(tokenizer_dir)
    model = language_model(shape, tokenizer.vocab_size)
    model.load_state_dict(load_file(weights))
    sizes = token_nbytes(tokenizer)
    texts = {split: text_of(corpus, split, tokenizer) for split in documents.splits_of(corpus)}
    found: dict[str, Any] = {}
    score_s = 0.0
    for split in list(texts)[1:]:
        stream = open_split(shards_dir, split)
        check_tokenizer(stream, tokenizer_dir)
        part = "" if one_of(stream, MOST_TOKENS) == 1 else f", of which about {MOST_TOKENS:,} tokens are scored"
        command.say(f"{split}: {stream.text_nbytes:,} bytes{part}")
        names = [document.name for document in documents.listed(corpus) if document.split == split]
        began = time.monotonic()
        found[split] = score(model, stream, sizes, shape, overlap, texts[split], names)
        score_s += time.monotonic() - began
    command.say("what compressors make of the same text")
    known = texts.pop("train")
    for split, beside in compressed(known, texts).items():
        found[split]["compressors"] = beside
    command.say(f"the longest copied passage of {COPIED_TEXTS} texts of {COPIED_TOKENS} tokens")
    began = time.monotonic()
    own = written(model, tokenizer, settings, shape)
    write_s = time.monotonic() - began
    everything = {
        "splits": found,
        "by_position": by_position(model, open_split(shards_dir, "val"), sizes, shape),
        "copied": copied(own, known),
    }
    return everything, {
        "threads": 1,
        "scored_tokens_a_second": round(sum(each["n_tokens"] for each in found.values()) / score_s),
        "written_tokens_a_second": round(sum(len(tokenizer.encode(text)) for text in own) / write_s),
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The figures as tables."""
    lines = [
        "# Evaluation",
        "",
        "| text | bits per byte | 95 % | bytes | xz | zstd | PPMd |",
        "|---|---|---|---|---|---|---|",
    ]
    words = {"val": "validation", "test": "test, on which nothing was tuned"}
    for split, figures in found["splits"].items():
        others = " | ".join(f"{figures['compressors'][name]:.3f}" for name in ("xz", "zstd", "ppmd"))
        interval = f"{figures['low']:.3f} … {figures['high']:.3f}"
        lines.append(f"| {words[split]} | **{figures['bpb']:.3f}** | {interval} | {figures['n_bytes']:,} | {others} |")
        if not figures["documents"]:
            first, middle, third = figures["quartiles"]
            spread = f"{middle:.3f}, half of them {first:.3f} … {third:.3f}"
            lines.append(f"| — the median of {figures['n_documents']:,} documents | {spread} | | | | | |")
        for each in figures["documents"]:
            lines.append(f"| — {each['name']} | {each['bpb']:.3f} | | {each['n_bytes']:,} | | | |")
    drawn = [f"{each['n_units']:,} {each['units']}" for each in found["splits"].values()]
    lines += ["", f"95 %: what comes out when {' and '.join(drawn)} are drawn again, {RESAMPLES:,} times (bootstrap)."]
    lines += ["The compressors have read the training text before.", ""]
    lines += ["| tokens of context | nats a token | perplexity |", "|---|---|---|"]
    for each in found["by_position"]:
        last = each["to"] - 1
        span = f"{each['from']}{f' … {last}' if last > each['from'] else ''}"
        lines.append(f"| {span} | {each['nats']:.3f} | {each['perplexity']:.1f} |")
    copy = found["copied"]
    passage = " / ".join(command.printable(line) for line in copy["passage"].splitlines())
    lines += ["", f"Longest passage copied from the training text, of {copy['of_nbytes']:,} bytes written: "]
    lines[-1] += f"{copy['n_bytes']} bytes, “{passage}”."
    return "\n".join(lines) + "\n"


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    params = command.params_of(arguments)
    given = (arguments.weights, arguments.tokenizer, arguments.shards, arguments.corpus)
    overlap = command.read_json(arguments.summary)["val_overlap"]
    found, speed = build(params, *given, overlap)
    text = markdown(found)
    with command.publishing(arguments.out) as temporary:
        command.write_json(temporary / "evaluation.json", found)
        (temporary / "evaluation.md").write_text(text, encoding="utf-8")
        command.write_json(temporary / "evaluation_speed.json", speed)
    for line in text.splitlines():
        command.say(line)
    command.say(
        f"PyTorch in one thread scored {speed['scored_tokens_a_second']:,} tokens a second and wrote "
        f"{speed['written_tokens_a_second']:,}; how fast the engine is: pocketlm bench"
    )


if __name__ == "__main__":
    arguments = command.parser("evaluate", "Measure a trained model on text that it has not learnt from.")
    arguments.add_argument("--weights", type=Path, required=True, metavar="FILE", help="model.safetensors")
    arguments.add_argument("--summary", type=Path, required=True, metavar="FILE", help="summary.json of the training")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    arguments.add_argument("--shards", type=Path, required=True, metavar="DIR", help="the shards of the training")
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    sys.exit(command.run(main, arguments))
