"""A trained model in, how good it is out, on text that it has not learnt from.

Writes OUT/evaluation.json  bits per byte of the validation and the test text with a 95 % interval, of each document
                            alone, and of general compressors; the loss by position; the longest copied passage
       OUT/evaluation.md    the same to read
"""

from __future__ import annotations

import argparse
import itertools
import lzma
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyppmd
import torch
import zstandard
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer
from safetensors.torch import load_file

from training import command
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import read
from training.data import documents
from training.data.shard_file import TokenStream, check_tokenizer, open_split
from training.model.families import LanguageModel, language_model
from training.sample import sample
from training.scoring import losses_of, token_nbytes
from training.tokenizer_file import document_start, separator_of
from training.tokenizer_file import load as load_tokenizer

RESAMPLES = 2000  # of the bootstrap
COPIED_TOKENS = 256  # of each text that is searched for copied passages
COPIED_TEXTS = 8
MOST_TEXT_NBYTES = 64 << 20  # of the training text, its end, that compressors and the search for copies see
PPMD_NBYTES = 1 << 28  # of its model
CPU = torch.device("cpu")


def score(model: LanguageModel, stream: TokenStream, sizes: NDArray[np.int64], shape: Model, overlap: int) -> Any:
    """{"bpb", "low", "high", "n_bytes", "documents": [{"bpb", "n_bytes"}]} of a split's text; low and high as of
    `interval`."""
    nats, nbytes, loss_of = [], [], np.zeros(stream.n_tokens)
    for windows, losses, counted, targets in losses_of(model, stream, len(sizes), shape.ctx_len, overlap, CPU):
        for row, (start, length, scored) in enumerate(windows):
            own = counted[row]
            loss_of[start + 1 + length - scored : start + 1 + length] = losses[row][own]
            nats.append(losses[row][own].sum())
            nbytes.append(sizes[targets[row][own]].sum())
    low, high = interval(np.array(nats), np.array(nbytes))
    sizes_of = sizes[stream.read(0, stream.n_tokens)]
    borders = stream.documents()
    each = [
        {"bpb": bits_per_byte(loss_of[a:b].sum(), sizes_of[a:b].sum()), "n_bytes": int(sizes_of[a:b].sum())}
        for a, b in itertools.pairwise(borders)
    ]
    bpb = bits_per_byte(sum(nats), sum(nbytes))
    return {"bpb": bpb, "low": low, "high": high, "n_bytes": int(sum(nbytes)), "documents": each}


def interval(nats: NDArray[np.float64], nbytes: NDArray[np.int64]) -> tuple[float, float]:
    """What 95 % of the bits per byte lie between that come out of as many windows, drawn again from these with
    repetition: how much of the figure is chance of the text. nats, nbytes: (windows,).

    Source: Efron 1979, "Bootstrap methods", Annals of Statistics 7(1).
    """
    random = np.random.default_rng(1)
    drawn = random.integers(len(nats), size=(RESAMPLES, len(nats)))
    resampled = nats[drawn].sum(1) / np.log(2) / nbytes[drawn].sum(1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def bits_per_byte(nats: float, nbytes: float) -> float:
    """What a loss of so many nats is for so many bytes."""
    return float(nats / np.log(2) / nbytes)


def by_position(model: LanguageModel, stream: TokenStream, sizes: NDArray[np.int64], shape: Model) -> list[Any]:
    """[{"from", "to", "nats"}]: the mean loss of a token that has from ... to - 1 tokens of context before it."""
    sums, counts = np.zeros(shape.ctx_len), np.zeros(shape.ctx_len)
    for _, losses, counted, _ in losses_of(model, stream, len(sizes), shape.ctx_len, 0, CPU):
        sums[: losses.shape[1]] += (losses * counted).sum(0)
        counts[: losses.shape[1]] += counted.sum(0)
    edges = [0, *(1 << power for power in range(20) if 1 << power < shape.ctx_len), shape.ctx_len]
    return [
        {"from": a + 1, "to": b + 1, "nats": float(sums[a:b].sum() / counts[a:b].sum())}
        for a, b in itertools.pairwise(edges)
        if counts[a:b].sum()
    ]


def compressors() -> dict[str, Callable[[bytes], bytes]]:
    """General compressors at their best, by name."""

    def xz(data: bytes) -> bytes:
        window = 1 << max(16, len(data).bit_length())  # all of it, and no more: it takes eleven times the memory
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}]
        return lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)

    def zstd(data: bytes) -> bytes:
        parameters = zstandard.ZstdCompressionParameters.from_level(22, window_log=27, enable_ldm=True)
        return zstandard.ZstdCompressor(compression_params=parameters).compress(data)

    def ppmd(data: bytes) -> bytes:
        return pyppmd.compress(data, max_order=8, mem_size=PPMD_NBYTES)

    return {"xz": xz, "zstd": zstd, "ppmd": ppmd}


def compressed(known: bytes, texts: Mapping[str, bytes]) -> dict[str, dict[str, float]]:
    """Bits per byte of each text, by its name and a compressor's, for compressors that have read `known` before it."""
    found: dict[str, dict[str, float]] = {name: {} for name in texts}
    for compressor, compress in compressors().items():
        before = len(compress(known))
        for name, text in texts.items():
            found[name][compressor] = 8 * (len(compress(known + text)) - before) / len(text)
    return found


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


def copied(model: LanguageModel, tokenizer: Tokenizer, settings: Sample, shape: Model, known: bytes) -> dict[str, Any]:
    """{"n_bytes", "passage", "of_nbytes"}: the longest passage that the model writes as it stands in its training text,
    and how many bytes it wrote."""
    prompts = list(settings.prompts) or [""]
    wanted = Sample(prompts=(), tokens=COPIED_TOKENS, temperature=settings.temperature)
    texts = [
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
    passage = max((longest_copied(text, known) for text in texts), key=len)
    return {
        "n_bytes": len(passage.encode()),
        "passage": passage,
        "of_nbytes": sum(len(text.encode()) for text in texts),
    }


def text_of(corpus: Path, split: str, tokenizer: Tokenizer) -> bytes:
    """The documents of a split, one after another; of a long split its end."""
    found = b""
    for _, parts in documents.read(corpus, split, tokenizer.safe_cut):
        for part in parts:
            found = (found + part.encode())[-MOST_TEXT_NBYTES:]
    return found


def build(
    params: dict[str, Any], weights: Path, tokenizer_dir: Path, shards_dir: Path, corpus: Path, overlap: int
) -> dict[str, Any]:
    """All figures. One thread: the same everywhere. Raises ValueError where the inputs do not fit."""
    torch.set_num_threads(1)
    shape = read(params, Model)
    tokenizer = load_tokenizer(tokenizer_dir)
    model = language_model(shape, tokenizer.vocab_size)
    model.load_state_dict(load_file(weights))
    sizes = token_nbytes(tokenizer)
    known = text_of(corpus, "train", tokenizer)
    found: dict[str, Any] = {}
    for split in documents.splits_of(corpus)[1:]:
        stream = open_split(shards_dir, split)
        check_tokenizer(stream, tokenizer_dir)
        command.say(f"{split}: {stream.text_nbytes:,} bytes")
        found[split] = score(model, stream, sizes, shape, overlap)
        names = [document.name for document in documents.listed(corpus) if document.split == split]
        for name, figures in zip(names, found[split]["documents"], strict=True):
            figures["name"] = name
    command.say("what compressors make of the same text")
    for split, figures in compressed(known, {split: text_of(corpus, split, tokenizer) for split in found}).items():
        found[split]["compressors"] = figures
    command.say(f"the longest copied passage of {COPIED_TEXTS} texts of {COPIED_TOKENS} tokens")
    return {
        "splits": found,
        "by_position": by_position(model, open_split(shards_dir, "val"), sizes, shape),
        "copied": copied(model, tokenizer, read(params, Sample), shape, known),
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
        for each in figures["documents"]:
            lines.append(f"| — {each['name']} | {each['bpb']:.3f} | | {each['n_bytes']:,} | | | |")
    lines += ["", "The compressors have read the training text before.", ""]
    lines += ["| tokens of context | nats a token |", "|---|---|"]
    for each in found["by_position"]:
        last = each["to"] - 1
        lines.append(f"| {each['from']}{f' … {last}' if last > each['from'] else ''} | {each['nats']:.3f} |")
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
    found = build(params, *given, overlap)
    text = markdown(found)
    with command.publishing(arguments.out) as temporary:
        command.write_json(temporary / "evaluation.json", found)
        (temporary / "evaluation.md").write_text(text, encoding="utf-8")
    for line in text.splitlines():
        command.say(line)


if __name__ == "__main__":
    arguments = command.parser("evaluate", "Measure a trained model on text that it has not learnt from.")
    arguments.add_argument("--weights", type=Path, required=True, metavar="FILE", help="model.safetensors")
    arguments.add_argument("--summary", type=Path, required=True, metavar="FILE", help="summary.json of the training")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    arguments.add_argument("--shards", type=Path, required=True, metavar="DIR", help="the shards of the training")
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    sys.exit(command.run(main, arguments))
