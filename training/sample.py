"""Text from the model while it trains: plain sampling with temperature, to look at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pocketlm_tokenizer import Tokenizer
from torch import Tensor


@torch.no_grad()
def sample(
    model: Callable[[Tensor], Tensor],
    tokenizer: Tokenizer,
    prompt: str,
    n_tokens: int,
    temperature: float,
    ctx_len: int,
    separator_id: int,
    seed: int,
    device: torch.device,
    between: Callable[[], None] = lambda: None,
) -> str:
    """The prompt and up to n_tokens more, up to the end of the document. The same arguments give the same text.

    Each token runs the whole window again: at these sizes that is cheaper than the code of a cache.
    `between` is called between tokens (it may raise to stop).
    """
    generator = torch.Generator().manual_seed(seed)
    ids = [separator_id, *tokenizer.encode(prompt)]
    for _ in range(n_tokens):
        between()
        logits = model(torch.tensor([ids[-ctx_len:]], device=device))[0, -1].float().cpu()
        if temperature > 0:
            token = int(torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator))
        else:
            token = int(logits.argmax())
        if token == separator_id:
            break
        ids.append(token)
    text: str = tokenizer.decode(ids[1:])
    return text
