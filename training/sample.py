"""A model in, what it writes after each prompt out: plain sampling with temperature, to look at.

Writes OUT/samples.txt. The training run shows such a text after each evaluation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from pocketlm_tokenizer import Tokenizer
from safetensors.torch import load_file
from torch import Tensor

from training import command
from training.config.model import Model
from training.config.sample import Sample
from training.config.section import read
from training.model.families import language_model
from training.tokenizer_file import document_start, separator_of
from training.tokenizer_file import load as load_tokenizer

NAME = "samples.txt"


@torch.no_grad()
def sample(
    model: Callable[[Tensor], Tensor],
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    settings: Sample,
    seed: int,
    ctx_len: int,
    stop_ids: Collection[int],
    device: torch.device,
    between: Callable[[], None] = lambda: None,
) -> str:
    """What the model writes after a prompt, (T,): up to settings.tokens, or one of stop_ids. The same arguments give
    the same text.

    Each token runs the whole window again: at these sizes that is cheaper than the code of a cache.
    `between` is called between tokens (it may raise to stop).
    """
    generator = torch.Generator().manual_seed(seed)
    ids = list(prompt)
    for _ in range(settings.tokens):
        between()
        logits = model(torch.tensor([ids[-ctx_len:]], device=device))[0, -1].float().cpu()  # (V,)
        if settings.temperature > 0:
            token = int(torch.multinomial(torch.softmax(logits / settings.temperature, -1), 1, generator=generator))
        else:
            token = int(logits.argmax())
        if token in stop_ids:
            break
        ids.append(token)
    text: str = tokenizer.decode(ids[len(prompt) :])
    return text


def write(shape: Model, settings: Sample, weights: Path, tokenizer_dir: Path) -> str:
    """What the model writes after each prompt, one text after the other. One thread: the same text everywhere."""
    torch.set_num_threads(1)
    tokenizer = load_tokenizer(tokenizer_dir)
    model = language_model(shape, tokenizer.vocab_size)
    model.load_state_dict(load_file(weights))
    texts = [
        prompt
        + sample(
            model,
            tokenizer,
            document_start(tokenizer, prompt),
            settings,
            settings.seed + index,
            shape.ctx_len,
            {separator_of(tokenizer)},
            torch.device("cpu"),
        )
        for index, prompt in enumerate(settings.prompts)
    ]
    return "".join(f"--- {index}\n{text}\n\n" for index, text in enumerate(texts, 1))


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    params = command.params_of(arguments)
    text = write(read(params, Model), read(params, Sample), arguments.weights, arguments.tokenizer)
    with command.publishing(arguments.out) as temporary:
        (temporary / NAME).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    arguments = command.parser("sample", "Write down what the model writes after each of sample.prompts.")
    arguments.add_argument("--weights", type=Path, required=True, metavar="FILE", help="model.safetensors")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    sys.exit(command.run(main, arguments))
