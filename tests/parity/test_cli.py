"""The command line program as scripts see it: what stands on stdout, exit status, one clear line for each failure."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.parity.conftest import Run
from tests.parity.models import RandomModel, config, write_random_model
from training.format.file import Section, read_model

TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. " * 3


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> RandomModel:
    """A random model with a real tokenizer: it says nonsense, but it says it."""
    from pocketlm_tokenizer import Tokenizer

    tokenizer = Tokenizer.train([TEXT], 280, special_tokens=["<|endoftext|>"])
    path = tmp_path_factory.mktemp("talking") / "model.bin"
    conf = config(vocab_size=tokenizer.vocab_size, ctx_len=48, bos_token_id=0, eos_token_id=None)
    return write_random_model(path, conf, 11, tokenizer=tokenizer.to_bytes())


def expect_failure(done: subprocess.CompletedProcess[bytes], status: int, *words: str) -> None:
    """The status, nothing on stdout, and (for status 1) one line on stderr that has all the words."""
    message = done.stderr.decode()
    assert done.returncode == status, message
    assert done.stdout == b""
    assert all(word in message for word in words), message
    if status == 1:
        assert message.count("\n") == 1, message


def test_generate_prints_the_text_and_nothing_else(cli: Run, talking: RandomModel) -> None:
    done = cli("generate", talking.path, "--prompt", "To be", "--max-tokens", 100, "--device", "cpu", "--seed", 3)
    assert done.returncode == 0, done.stderr.decode()
    assert len(done.stdout) >= 100 and "100 tokens" in done.stderr.decode()
    again = cli("generate", talking.path, "--prompt", "To be", "--max-tokens", 100, "--device", "cpu", "--seed", 3)
    other = cli("generate", talking.path, "--prompt", "To be", "--max-tokens", 100, "--device", "cpu", "--seed", 4)
    assert again.stdout == done.stdout != other.stdout


def test_generate_is_greedy_at_temperature_0(cli: Run, talking: RandomModel) -> None:
    """The text is the decoded greedy continuation that `logits` gives, token by token."""
    from pocketlm_tokenizer import Tokenizer

    tokenizer = Tokenizer.from_bytes(read_model(talking.path).tokenizer_bytes)
    ids = tokenizer.encode("To be")
    prompt = len(ids)
    for _ in range(12):
        done = cli("logits", talking.path, "--ids", ",".join(map(str, ids)), "--device", "cpu")
        ids.append(int(np.frombuffer(done.stdout, "<f4").reshape(len(ids), -1)[-1].argmax()))
    arguments = ("--max-tokens", 12, "--temperature", 0, "--device", "cpu")
    done = cli("generate", talking.path, "--prompt", "To be", *arguments)
    assert done.stdout.decode() == tokenizer.decode_bytes(ids[prompt:]).decode(errors="replace")


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_generation_goes_on_past_the_end_of_the_context(cli: Run, talking: RandomModel, device: str) -> None:
    """Three contexts long, greedy: when the context is full, its last half is read again; torch does the same."""
    from pocketlm_tokenizer import Tokenizer

    tokenizer = Tokenizer.from_bytes(read_model(talking.path).tokenizer_bytes)
    window, said = tokenizer.encode(TEXT[:60]), []
    ctx_len = talking.config["ctx_len"]
    for _ in range(3 * ctx_len):
        if len(window) >= ctx_len:
            window = window[-(ctx_len // 2) :]
        said.append(int(talking.logits(window, torch.float32)[-1].argmax()))
        window = [*window, said[-1]]
    arguments = ("--max-tokens", len(said), "--temperature", 0, "--device", device)
    done = cli("generate", talking.path, "--prompt", TEXT[:60], *arguments)
    assert done.stdout.decode() == tokenizer.decode_bytes(said).decode(errors="replace")


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_same_seed_gives_the_same_text_on_every_device(cli: Run, talking: RandomModel, device: str) -> None:
    arguments = ("--prompt", "", "--max-tokens", 60, "--top-k", 40, "--top-p", 0.9, "--seed", 7)
    expected = cli("generate", talking.path, *arguments, "--device", "cpu")
    done = cli("generate", talking.path, *arguments, "--device", device)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == expected.stdout != b""


@pytest.mark.gpu
def test_auto_says_why_it_does_not_take_a_software_gpu(cli: Run, talking: RandomModel) -> None:
    done = cli("generate", talking.path, "--prompt", "a", "--max-tokens", 1)
    assert done.returncode == 0
    assert "running on the CPU" in done.stderr.decode()


def test_inspect_and_bench(cli: Run, talking: RandomModel) -> None:
    header = json.loads(cli("inspect", talking.path, "--json").stdout)
    assert header == read_model(talking.path).header
    text = cli("inspect", talking.path).stdout.decode()
    assert "model.layers.1.mlp.down_proj.weight" in text and "vocab_size" in text
    figures = json.loads(cli("bench", talking.path, "--json", "--runs", 1, "--device", "cpu").stdout)
    assert figures["device"] == "cpu" and figures["decode_tokens_per_s"] > 0
    assert "profile" not in figures and figures["at"] == []
    config = talking.config
    numbers = 2 * config["n_layer"] * config["n_kv_head"] * config["d_head"]
    assert (figures["cache"], figures["cache_bytes"]) == ("f32", 4 * numbers * config["ctx_len"])
    assert f"KV cache: {4 * numbers} bytes a token (f32)" in text
    command = ("bench", talking.path, "--json", "--runs", 1, "--device", "cpu", "--cache", "f16", "--at", "3,9")
    figures = json.loads(cli(*command).stdout)
    assert (figures["cache"], figures["cache_bytes"]) == ("f16", 2 * numbers * config["ctx_len"])
    assert [at["position"] for at in figures["at"]] == [3, 9] and all(at["cpu_ms"] > 0 for at in figures["at"])


def test_a_profile_accounts_for_every_byte_of_the_weights(cli: Run, talking: RandomModel) -> None:
    """All tensors are read once a token, of the embedding one row; the share of the memory's rate follows from both."""
    arguments = ("bench", talking.path, "--runs", 2, "--device", "cpu", "--profile")
    profile = json.loads(cli(*arguments, "--json").stdout)["profile"]
    tensors = {tensor["name"]: tensor["nbytes"] for tensor in read_model(talking.path).header["tensors"]}
    vocab_size, tied = talking.config["vocab_size"], talking.config["tie_embeddings"]
    row = tensors["model.embed_tokens.weight"] // vocab_size
    once = sum(tensors.values()) - (0 if tied else tensors["model.embed_tokens.weight"])
    for phase, tokens in ((profile["decode"], 1), (profile["prefill"], profile["prefill"]["tokens"])):
        assert phase["weight_bytes"] == once + tokens * row
        assert phase["ms"] == pytest.approx(sum(each["ms"] for each in phase["operations"]))
        share = phase["weight_bytes"] / phase["ms"] * 1e3 / profile["stream_bytes_per_s"]
        assert phase["share_of_stream"] == pytest.approx(share)
    names = [each["name"] for each in profile["decode"]["operations"]]
    assert {"sample", "embed", "norm_qkv_rope", "attention", "norm_logits"} <= set(names)
    assert len(set(names)) == len(names)
    table = cli(*arguments).stdout.decode()
    assert all(name in table for name in names) and "of the memory's" in table


@pytest.mark.gpu
def test_a_profile_of_a_gpu_is_by_kernel(cli: Run, talking: RandomModel) -> None:
    """What memory gives is not known there. A device without timestamps says so."""
    arguments = ("bench", talking.path, "--runs", 3, "--device", "gpu", "--profile")
    done = cli(*arguments, "--json")
    if done.returncode != 0:
        expect_failure(done, 1, "timestamps")
        return
    profile = json.loads(done.stdout)["profile"]
    assert profile["stream_bytes_per_s"] is None and profile["decode"]["share_of_stream"] is None
    for phase in (profile["decode"], profile["prefill"]):
        assert phase["weight_bytes"] > 0 and phase["ms"] > 0
        kernels = {each["name"] for each in phase["operations"]}
        assert {"embed", "norm_qkv_rope", "attention", "matmul_residual", "norm_logits"} <= kernels
        assert ("sample" in kernels) == (phase is profile["decode"])
    assert "norm_qkv_rope" in cli(*arguments).stdout.decode()


def test_guesses_change_no_text(cli: Run, talking: RandomModel) -> None:
    """A prompt that repeats itself, greedy and drawn; the figures tell how often guesses were read."""
    for temperature in (0, 0.7):
        arguments = ("generate", talking.path, "--prompt", "To be or " * 3, "--max-tokens", 90, "--device", "cpu")
        without = cli(*arguments, "--temperature", temperature)
        done = cli(*arguments, "--temperature", temperature, "--guesses", 8)
        assert done.stdout == without.stdout != b""
        assert b"passes of guesses" in done.stderr and b"passes of guesses" not in without.stderr


def test_clear_failures(cli: Run, talking: RandomModel, tmp_path: Path) -> None:
    model = talking.path
    empty, text = tmp_path / "empty.bin", tmp_path / "text.bin"
    empty.touch()
    text.write_text("To be, or not to be. " * 9)
    vocab_size = talking.config["vocab_size"]
    cpu = ("--device", "cpu")
    expect_failure(cli("logits", model, "--ids", vocab_size, *cpu), 1, str(vocab_size), "vocabulary")
    expect_failure(cli("logits", model, "--ids", ",".join("1" * 49), *cpu), 1, "49 tokens", "48 positions")
    expect_failure(cli("inspect", tmp_path / "none.bin"), 1, "none.bin", "No such file")
    expect_failure(cli("inspect", tmp_path), 1, "is a directory")
    expect_failure(cli("inspect", empty), 1, "empty.bin", "Truncated")
    expect_failure(cli("inspect", text), 1, "text.bin", "BadMagic")
    expect_failure(cli("inspect", "/dev/null"), 1, "not a regular file")
    if os.geteuid() != 0:  # root reads everything
        empty.chmod(0)
        expect_failure(cli("inspect", empty), 1, "Permission denied")
    random_tokenizer = write_random_model(tmp_path / "random.bin", config(), 1).path
    expect_failure(cli("generate", random_tokenizer, "--prompt", "x", *cpu), 1, "tokenizer")


def test_a_model_that_is_no_ordinary_file(cli: Run, tmp_path: Path) -> None:
    """At once and by name: nothing here ends by itself if it is read."""
    fifo, loop, socket_path = tmp_path / "fifo", tmp_path / "loop", tmp_path / "socket"
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path))
        for path in ("/dev/zero", "/dev/stdin", fifo, socket_path):
            expect_failure(cli("inspect", path), 1, str(path), "not a regular file")
    expect_failure(cli("inspect", loop), 1, "symbolic links")
    expect_failure(cli("inspect", ""), 2, "MODEL")
    expect_failure(cli("inspect", "x" * 5000), 1, "too long")


def test_a_model_larger_than_memory_is_a_named_error(cli: Run, tmp_path: Path) -> None:
    """A hole of 8 TiB: no byte of it may be asked for before it is known that it does not fit."""
    huge = tmp_path / "huge.bin"
    with huge.open("wb") as file:
        try:
            file.truncate(8 << 40)
        except OSError:
            pytest.skip("this file system has no files of 8 TiB")
    expect_failure(cli("inspect", huge), 1, "huge.bin", "memory")


def test_hostile_text_and_ids(cli: Run, talking: RandomModel) -> None:
    model, cpu = talking.path, ("--max-tokens", 1, "--device", "cpu")
    command = [*map(os.fsencode, cli("generate", model, *cpu, "--prompt").args), b"a\xff"]
    not_utf8 = subprocess.run(command, capture_output=True, timeout=60, check=False)
    expect_failure(not_utf8, 2, "UTF-8")
    for prompt in ("\x1b[2J\x07", "\u202e\u200b\ufeff", "a" * 100_000, "\U0001f642" * 20_000, "<|endoftext|>" * 9_000):
        done = cli("generate", model, "--prompt", prompt, *cpu)
        assert done.returncode == 0, done.stderr.decode()
    ids = ",".join(["1"] * 50_000)
    expect_failure(cli("logits", model, "--ids", ids, "--device", "cpu"), 1, "50000 tokens", "48 positions")
    for wrong in ("-1", "1,,2", "1e3", "0x1", "99999999999999999999", " "):
        expect_failure(cli("logits", model, f"--ids={wrong}", "--device", "cpu"), 2, "--ids")


def test_each_of_several_tokens_ends_a_text(cli: Run, talking: RandomModel, tmp_path: Path) -> None:
    from pocketlm_tokenizer import Tokenizer

    model = read_model(talking.path)
    ids = Tokenizer.from_bytes(model.tokenizer_bytes).encode("To be")
    logits = cli("logits", talking.path, "--ids", ",".join(map(str, ids)), "--device", "cpu").stdout
    first = int(np.frombuffer(logits, "<f4").reshape(len(ids), -1)[-1].argmax())
    eos, other = [token for token in range(3) if token != first][:2]
    for stops, tokens in ((sorted({first, other}), 0), ([other], 1)):
        conf = {**model.config, "eos_token_id": eos, "stop_token_ids": stops}
        path = write_random_model(tmp_path / "m.bin", conf, 11, tokenizer=model.tokenizer_bytes).path
        words = ("--prompt", "To be", "--max-tokens", 1, "--temperature", 0, "--device", "cpu")
        done = cli("generate", path, *words)
        assert done.returncode == 0, done.stderr.decode()
        assert f"; {tokens} tokens in" in done.stderr.decode(), done.stderr.decode()


def test_special_tokens_in_a_prompt_are_text(cli: Run, talking: RandomModel) -> None:
    done = cli("generate", talking.path, "--prompt", "<|endoftext|>", "--max-tokens", 1, "--device", "cpu")
    assert done.returncode == 0 and not done.stderr.decode().startswith("pocketlm: 1 prompt tokens")


TEMPLATE = (
    "{% for message in messages %}<|endoftext|>{{ message['role'] }} {{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|endoftext|>{% endif %}"
)


def test_chat_asks_once_or_line_by_line(cli: Run, talking: RandomModel, tmp_path: Path) -> None:
    from pocketlm_tokenizer import Tokenizer

    model = read_model(talking.path)
    path = tmp_path / "chat.bin"
    sections = {"chat_template": Section(TEMPLATE.encode())}
    write_random_model(path, model.config, 11, tokenizer=model.tokenizer_bytes, sections=sections)
    words = ("--max-tokens", 8, "--device", "cpu", "--temperature", 0)
    once = cli("chat", path, "--prompt", "<|endoftext|>To be?", "--system", "or not", *words)
    tokenizer = Tokenizer.from_bytes(model.tokenizer_bytes)
    said = ("system or not", "user <|endoftext|>To be?")
    expected = sum(1 + len(tokenizer.encode(text)) for text in said) + 1
    assert once.returncode == 0 and f"pocketlm: {expected} prompt tokens" in once.stderr.decode()

    alone = cli("chat", path, "--prompt", "To be?", *words)
    command = cli("chat", path, *words).args
    lines = subprocess.run(command, input=b"To be?\n\nTo be?\n", capture_output=True, timeout=300, check=False)
    assert lines.returncode == 0, lines.stderr.decode()
    assert lines.stdout.startswith(alone.stdout) and len(lines.stdout) > len(alone.stdout)

    expect_failure(cli("chat", talking.path, "--prompt", "x", *words), 1, "no chat template", "generate")
    broken = {"chat_template": Section(b"{% for %}")}
    write_random_model(path, model.config, 11, tokenizer=model.tokenizer_bytes, sections=broken)
    expect_failure(cli("chat", path, "--prompt", "x", *words), 1, "the chat template cannot be used")


def test_wrong_arguments(cli: Run, talking: RandomModel) -> None:
    model = talking.path
    for arguments in [
        (),
        ("frobnicate",),
        ("generate", model),
        ("generate", model, "--prompt", "x", "--temperature", "-1"),
        ("generate", model, "--prompt", "x", "--temperature", "nan"),
        ("generate", model, "--prompt", "x", "--top-p", "0"),
        ("generate", model, "--prompt", "x", "--top-k", "-1"),
        ("generate", model, "--prompt", "x", "--device", "tpu"),
        ("chat", model, "--temperature", "-1"),
        ("logits", model),
        ("logits", model, "--ids", ""),
        ("logits", model, "--ids", "1,x"),
        ("logits", model, "--ids", "4294967296"),
        ("bench", model, "--runs", "0"),
    ]:
        expect_failure(cli(*arguments), 2)


def test_a_reader_that_goes_away_is_no_failure(cli: Run, tmp_path: Path) -> None:
    """`pocketlm logits … | head -c 1`, with more output than a pipe holds."""
    model = write_random_model(tmp_path / "m.bin", config(vocab_size=500), 1)
    program = cli("--version").args[0]
    command = [program, "logits", str(model.path), "--device", "cpu", "--ids", ",".join(["1"] * 256)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
