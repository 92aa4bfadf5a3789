"""Penalties, biases and min-p against transformers' own logits processors; and the command line against both."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers.generation import logits_process as hf

from tests.parity.compare import DEVICES
from tests.parity.conftest import Run
from tests.parity.models import RandomModel, config, write_random_model
from tests.shaders import oracles
from training.format.file import read_model

TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. " * 3
SEEDS = range(40)


def random_logits(seed: int) -> torch.Tensor:
    return 3 * torch.randn(67, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("penalty", [1.3, 0.7])
def test_the_repetition_penalty_is_that_of_transformers(penalty: float) -> None:
    processor = hf.RepetitionPenaltyLogitsProcessor(penalty)
    for seed in SEEDS:
        text = torch.randint(67, (30,), generator=torch.Generator().manual_seed(seed)).tolist()
        expected = processor(torch.tensor([text]), random_logits(seed)[None])[0]
        got = oracles.adjust_logits(random_logits(seed), text[:20], text[20:], repetition=penalty)
        torch.testing.assert_close(got.float(), expected)


def test_a_bias_is_that_of_transformers() -> None:
    bias = {3: 1.5, 9: -4.0, 66: -math.inf}
    processor = hf.SequenceBiasLogitsProcessor([[[token], value] for token, value in bias.items()])
    for seed in SEEDS:
        expected = processor(torch.tensor([[1, 2]]), random_logits(seed)[None])[0]
        torch.testing.assert_close(oracles.adjust_logits(random_logits(seed), [1], [2], bias=bias).float(), expected)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
@pytest.mark.parametrize(("top_k", "top_p", "min_p"), [(0, 1.0, 0.1), (0, 1.0, 0.02), (12, 1.0, 0.1), (30, 0.9, 0.05)])
def test_what_is_kept_is_what_transformers_keeps(temperature: float, top_k: int, top_p: float, min_p: float) -> None:
    """The kernel's oracle draws nothing else, and all of it: each draw is the inverse of transformers' distribution."""
    warpers = [hf.TemperatureLogitsWarper(temperature), hf.MinPLogitsWarper(min_p)]
    if top_p < 1:
        warpers.insert(1, hf.TopPLogitsWarper(top_p))
    if top_k > 0:
        warpers.insert(1, hf.TopKLogitsWarper(top_k))
    for seed in SEEDS:
        scores = random_logits(seed)[None]
        for warper in warpers:
            scores = warper(torch.tensor([[0]]), scores)
        probabilities = scores[0].double().softmax(-1)
        token, margin = oracles.sample(
            random_logits(seed), temperature, top_k, top_p, seed=seed, position=9, min_p=min_p
        )
        unit = (oracles.pcg(seed ^ oracles.pcg(9)) >> 8) / 2**24
        expected = int((probabilities.cumsum(0) <= unit).sum())
        assert token == expected or margin < 1e-6


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> RandomModel:
    """A random model with a real tokenizer."""
    from pocketlm_tokenizer import Tokenizer

    tokenizer = Tokenizer.train([TEXT], 280, special_tokens=["<|endoftext|>"])
    path = tmp_path_factory.mktemp("talking") / "model.bin"
    conf = config(vocab_size=tokenizer.vocab_size, ctx_len=48, bos_token_id=0, eos_token_id=None)
    return write_random_model(path, conf, 11, tokenizer=tokenizer.to_bytes())


def generate(cli: Run, path: Path, device: str, *arguments: object, tokens: int = 30) -> bytes:
    done = cli("generate", path, "--prompt", TEXT[:40], "--max-tokens", tokens, "--device", device, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("device", DEVICES)
def test_greedy_with_penalties_is_what_torch_and_the_definitions_give(
    cli: Run, talking: RandomModel, device: str
) -> None:
    """Token by token, past the end of the context, whose last half is then what has occurred."""
    from pocketlm_tokenizer import Tokenizer

    tokenizer = Tokenizer.from_bytes(read_model(talking.path).tokenizer_bytes)
    ctx_len = talking.config["ctx_len"]
    window = tokenizer.encode(TEXT[:40])
    begin, said = len(window), []
    bias = {5: 0.5, 7: -math.inf}
    while len(said) < 60:
        if len(window) >= ctx_len:
            begin = max(0, begin - (len(window) - ctx_len // 2))
            window = window[-(ctx_len // 2) :]
        logits = talking.logits(window, torch.float32)[-1]
        adjusted = oracles.adjust_logits(logits, window[:begin], window[begin:], 1.2, 0.1, 0.05, bias)
        said.append(int(adjusted.argmax()))
        window = [*window, said[-1]]
    options = ("--repetition-penalty", 1.2, "--presence-penalty", 0.1, "--frequency-penalty", 0.05)
    biases = ("--logit-bias", "5=0.5", "--logit-bias", "7=-inf")
    done = generate(cli, talking.path, device, "--temperature", 0, *options, *biases, tokens=len(said))
    assert done.decode() == tokenizer.decode_bytes(said).decode(errors="replace")
    plain = generate(cli, talking.path, device, "--temperature", 0, tokens=len(said))
    assert plain != done, "the options change the text"


def test_min_p_of_1_is_greedy(cli: Run, talking: RandomModel) -> None:
    greedy = generate(cli, talking.path, "cpu", "--temperature", 0)
    assert generate(cli, talking.path, "cpu", "--temperature", 1.5, "--min-p", 1) == greedy
    assert generate(cli, talking.path, "cpu", "--temperature", 1.5, "--min-p", 0.01) != greedy


@pytest.mark.parametrize(("arguments", "status", "words"), [
    (("--min-p", "1.5"), 2, ("min_p", "from 0 to 1", "1.5")),
    (("--min-p", "NaN"), 2, ("min_p", "NaN")),
    (("--repetition-penalty", "0"), 2, ("repetition_penalty", "0.01 to 100")),
    (("--presence-penalty", "-101"), 2, ("presence_penalty", "-101")),
    (("--frequency-penalty", "inf"), 2, ("frequency_penalty", "inf")),
    (("--logit-bias", "5"), 2, ("ID=BIAS",)),
    (("--logit-bias", "-5=1"), 2, ("-5",)),
    (("--logit-bias", "280=1"), 1, ("280", "vocabulary")),
    (("--logit-bias", "5=NaN"), 1, ("token 5", "NaN")),
    (("--logit-bias", "5=inf"), 1, ("token 5", "inf")),
])  # fmt: skip
def test_options_out_of_bounds(
    cli: Run, talking: RandomModel, arguments: tuple[str, ...], status: int, words: tuple[str, ...]
) -> None:
    done = cli("generate", talking.path, "--prompt", "To", "--device", "cpu", *arguments)
    message = done.stderr.decode()
    assert (done.returncode, done.stdout) == (status, b""), message
    assert all(word in message for word in words), message
