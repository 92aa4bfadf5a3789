"""Engines that others wrote, and ours, behind one face: a process a measurement, which prints what it took.

In: the files that models.py wrote; what `doit bench engine` installs. Out: the figures of one run.

Every process loads the model, reads the prompt and takes two tokens cold, which counts as the time to the first token
and is the warm-up; then it forgets the prompt, reads it again and writes. Its line of JSON: `load_ms`; `first_ms`, from
the beginning of loading to the first token; `prefill` and `decode`, each as `clock_ms` and `cpu_ms` (of all threads; in
the browser see node/pages/stopwatch.js); how many `tokens` came after the first, fewer than were asked for where that
takes longer than SECONDS; maybe `ids`, with the first, `prompt_tokens` of an engine that takes texts alone, and
`peak_bytes`, where another process works.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages import paths, tools

HERE = Path(__file__).resolve().parent
NODE = HERE / "node"
SMOLLM2 = paths.preset_dir("smollm2") / "model.bin"
OURS = "PocketLM"
NATIVE, BROWSER, WEBGPU = "native", "browser CPU", "WebGPU (SwiftShader)"
SECONDS = 5.0  # of decoding: two threads that wait for each other on a busy machine may take a second a token
LIMIT_S = 600  # of one run; ends what hangs


class Missing(Exception):
    """What is measured or compared with and is not there, or fails; the text says what, and what to type."""


class Job(NamedTuple):
    """What an engine is to do."""

    folder: Path  # with the model's files
    model: str
    dtype: str
    place: str
    threads: int
    prompt_tokens: int
    tokens: int  # written after the first


class Took(NamedTuple):
    """Milliseconds a token."""

    clock_ms: float
    cpu_ms: float  # of all threads


class Figures(NamedTuple):
    """What one run took."""

    load_ms: float
    first_ms: float
    prefill: Took
    decode: Took
    peak_mib: float
    ids: tuple[int, ...] = ()  # what was written, where the engine tells


class Peer(NamedTuple):
    """An engine in a place."""

    name: str
    place: str
    measure: Callable[[Job], Figures]
    dtypes: tuple[str, ...]
    threads: tuple[int, ...] = (1,)


def run(command: Sequence[str | Path]) -> tuple[str, float]:
    """What a process prints, and its peak memory in MiB. Raises Missing where it fails."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        except OSError as error:
            raise Missing(str(error)) from None
        # Not killed: a browser is to be closed by who started it.
        alarm = threading.Timer(LIMIT_S, process.terminate)
        alarm.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            raise
        finally:
            alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            told = " ".join(err.read().decode(errors="replace").split())
            raise Missing(f"{Path(words[0]).name} ended with {process.returncode}: {told[-300:]}")
        return out.read().decode(), usage.ru_maxrss / (1 << 10 if sys.platform == "linux" else 1 << 20)


def asked(job: Job, command: Sequence[str | Path], file: str, **more: Any) -> Figures:
    """Run a peer's script with what it is asked as its last word."""
    prompt = json.loads((job.folder / "prompt.json").read_text(encoding="utf-8"))
    ids = prompt["ids"][: job.prompt_tokens]
    request = {"file": str(job.folder / file), "prompt": ids, "text": prompt["text"], "tokens": job.tokens}
    request |= {"threads": job.threads, "seconds": SECONDS, **more}
    printed, peak_mib = run([*command, json.dumps(request)])
    said = json.loads(printed.splitlines()[-1])
    return Figures(
        said["load_ms"],
        said["first_ms"],
        a_token(said["prefill"], said.get("prompt_tokens", len(ids))),
        a_token(said["decode"], said["tokens"]),
        said["peak_bytes"] / 2**20 if "peak_bytes" in said else peak_mib,
        tuple(said.get("ids", ())),
    )


def a_token(took: Mapping[str, float], tokens: int) -> Took:
    """What was said of all tokens, for each."""
    return Took(took["clock_ms"] / tokens, took["cpu_ms"] / tokens)


@functools.cache
def has_threads() -> bool:
    """Whether our command line can be told how many threads to take."""
    done = subprocess.run([paths.CLI, "bench", "--help"], capture_output=True, text=True, check=False)
    return "--threads" in done.stdout


def pocketlm(job: Job) -> Figures:
    """Our command line. It splits the context of the file into halves itself; the golden prompt is its warm-up."""
    command = [paths.CLI, "bench", job.folder / "model.bin", "--device", "cpu", "--json", "--runs", "1"]
    printed, peak_mib = run([*command, *(["--threads", str(job.threads)] if has_threads() else [])])
    said = json.loads(printed)
    load_ms = said["parse_ms"] + said["start_ms"]
    prefill, decode = (
        Took(1e3 / said[f"{part}_tokens_per_s"], said[f"{part}_cpu_ms"] / said[f"{tokens}_tokens"])
        for part, tokens in (("prefill", "prompt"), ("decode", "decode"))
    )
    first_ms = load_ms + prefill.clock_ms * said["prompt_tokens"]
    return Figures(load_ms, first_ms, prefill, decode, peak_mib)


def llama_cpp(job: Job) -> Figures:
    """llama.cpp, through node-llama-cpp."""
    return asked(job, ["node", NODE / "llama.mjs", paths.BENCH_ENGINE_NODE], "model.gguf")


def torch_eager(job: Job) -> Figures:
    """torch without a compiler."""
    return asked(job, [sys.executable, "-m", "tests.bench.engine.torch_eager"], "model.bin")


def transformers_js(gpu: bool) -> Callable[[Job], Figures]:
    """transformers.js, of a graph that onnx_graph.py makes when it is first asked for."""
    measure = in_browser("transformers", gpu)

    def made(job: Job) -> Figures:
        folder = job.folder / "transformers"
        if not folder.is_dir():
            python = paths.TOOLS / "bench-engine" / "bin" / "python"
            run([python, "-m", "tests.bench.engine.onnx_graph", job.folder / "model.bin", folder])
        return measure(job)

    return made


def in_browser(page: str, gpu: bool = False) -> Callable[[Job], Figures]:
    """An engine that node/pages/PAGE.js runs in Chromium."""

    def measure(job: Job) -> Figures:
        browser = tools.chromium()
        if browser is None:
            raise Missing("Chromium is not on PATH: type ./doitw setup, or set POCKETLM_CHROMIUM")
        folders = {
            "playwright": paths.NODE_MODULES,
            "packages": paths.BENCH_ENGINE_NODE / "node_modules",
            "wasm": paths.WASM_PACKAGE,
            "model": job.folder,
        }
        served = json.dumps({name: str(folder) for name, folder in folders.items()})
        return asked(job, ["node", NODE / "browser.mjs", page, browser, served], "", gpu=gpu)

    return measure


PEERS = (
    Peer(OURS, NATIVE, pocketlm, ("q4_0", "q8_0", "f32"), (1, 2)),
    Peer("llama.cpp", NATIVE, llama_cpp, ("q4_0", "q8_0", "f32"), (1, 2)),
    Peer("torch", NATIVE, torch_eager, ("f32",), (1, 2)),
    Peer(OURS, BROWSER, in_browser("pocketlm"), ("q4_0", "q8_0", "f32")),
    Peer("wllama", BROWSER, in_browser("wllama"), ("q4_0", "q8_0", "f32")),
    Peer("transformers.js", BROWSER, transformers_js(gpu=False), ("q4_0", "q8_0", "f32")),
    Peer(OURS, WEBGPU, in_browser("pocketlm", gpu=True), ("q4_0", "q8_0", "f32")),
    Peer("transformers.js", WEBGPU, transformers_js(gpu=True), ("q4_0", "q8_0", "f32")),
)
