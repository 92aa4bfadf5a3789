"""Runs one kernel of `shaders/` through wgpu-py: the same text, the same bindings, the same grids as the engine's.

In: the kernel's name, override constants, and numpy arrays in the order of the bindings. Out: the arrays afterwards.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from training.format.dtypes import Stored, as_stored
from training.format.families import TensorSpec

SHADERS = Path(__file__).resolve().parents[2] / "shaders"
KERNELS = (
    "embed",
    "norm_qkv_rope",
    "qk_norm_rope",
    "attention",
    "attention_tiled",
    "attention_reduce",
    "matmul_residual",
    "norm_gate_up_silu",
    "norm_up_relu2",
    "norm_logits",
    "adjust_logits",
    "survey_logits",
    "sample",
)
USES_PRODUCTS = "Uses: matvec.wgsl or matmul.wgsl."
USES = {part: f"Uses: {part}.wgsl." for part in ("splits", "keys")}
LAVAPIPE = Path("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")
INSTALL = "apt-get install -y --no-install-recommends mesa-vulkan-drivers libvulkan1"


@functools.cache
def device():
    """A device with WebGPU's default limits and no optional feature: the tested base."""
    if sys.platform == "linux" and LAVAPIPE.is_file():
        os.environ.setdefault("VK_ICD_FILENAMES", str(LAVAPIPE))
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    import wgpu  # the driver is chosen by the environment above, when the library is loaded

    adapters = wgpu.gpu.enumerate_adapters_sync()
    if not adapters:
        raise RuntimeError(f"no Vulkan adapter for the shader tests: install one with `{INSTALL}`")
    return adapters[0].request_device_sync(required_features=[], required_limits={})


def source(kernel: str, products: str = "matvec") -> str:
    """The kernel's whole text: common.wgsl, what it uses (`products`: matvec or matmul), and its own."""
    own = (SHADERS / f"{kernel}.wgsl").read_text()
    parts = ["common"] + [products] * (USES_PRODUCTS in own) + [part for part, words in USES.items() if words in own]
    return "".join((SHADERS / f"{part}.wgsl").read_text() for part in parts) + own


@functools.cache
def pipeline(kernel: str, products: str, constants: tuple[tuple[str, float], ...]):
    """The compiled kernel; compiled once for equal constants."""
    module = device().create_shader_module(code=source(kernel, products), label=kernel)
    compute = {"module": module, "entry_point": kernel, "constants": dict(constants)}
    return device().create_compute_pipeline(layout="auto", compute=compute, label=kernel)


class Dispatch(NamedTuple):
    """A kernel, and which of the arrays stand at its bindings 0, 1, …"""

    kernel: str
    constants: Mapping[str, float]
    grid: tuple[int, int, int]
    bound: Sequence[int]
    products: str = "matvec"


def run(
    kernel: str,
    constants: Mapping[str, float],
    arrays: Sequence[np.ndarray],
    grid: tuple[int, int, int],
    uniform: bool = False,
    times: int = 1,
    products: str = "matvec",
) -> list[np.ndarray]:
    """Dispatch `kernel` `times` times over `arrays` (bindings 0, 1, …; the first is the uniform Step where `uniform`).

    Returns every array's contents afterwards, with the shape and dtype it came with.
    """
    return run_in_turn([Dispatch(kernel, constants, grid, range(len(arrays)), products)], arrays, uniform, times)


def run_in_turn(
    dispatches: Sequence[Dispatch], arrays: Sequence[np.ndarray], uniform: bool = False, times: int = 1
) -> list[np.ndarray]:
    """Dispatch the kernels one after another, `times` times; the first array is a uniform too where `uniform`."""
    import wgpu

    gpu = device()
    storage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC
    step = storage | wgpu.BufferUsage.UNIFORM
    buffers = [
        gpu.create_buffer_with_data(data=np.ascontiguousarray(array), usage=step if uniform and i == 0 else storage)
        for i, array in enumerate(arrays)
    ]
    recorded = []
    for kernel, constants, grid, bound, products in dispatches:
        compiled = pipeline(kernel, products, tuple(sorted((name, float(value)) for name, value in constants.items())))
        entries = [{"binding": i, "resource": {"buffer": buffers[place]}} for i, place in enumerate(bound)]
        group = gpu.create_bind_group(layout=compiled.get_bind_group_layout(0), entries=entries)
        recorded.append((compiled, group, grid))
    encoder = gpu.create_command_encoder()
    compute = encoder.begin_compute_pass()
    for compiled, group, grid in recorded * times:
        compute.set_pipeline(compiled)
        compute.set_bind_group(0, group)
        compute.dispatch_workgroups(*grid)
    compute.end()
    gpu.queue.submit([encoder.finish()])
    return [
        np.frombuffer(gpu.queue.read_buffer(buffer), dtype=array.dtype).reshape(array.shape).copy()
        for buffer, array in zip(buffers, arrays)
    ]


# ---- layouts ----


def padded(rows: torch.Tensor) -> np.ndarray:
    """f32 rows, each padded with zeros to whole vec4s."""
    width = rows.shape[-1]
    return torch.nn.functional.pad(rows.float(), (0, -width % 4)).numpy()


def halved(heads: torch.Tensor) -> np.ndarray:
    """f32 heads (…, D) as two halves, each padded with zeros to whole vec4s: (…, D̂)."""
    return np.concatenate([padded(half) for half in heads.chunk(2, -1)], axis=-1)


def cached(heads: torch.Tensor, dtype: str) -> np.ndarray:
    """Keys or values (…, D) as the kernels read them: f32 `halved`; f16 as pairs of both halves, (…, D̂/2, 2)."""
    if dtype == "f32":
        return halved(heads)
    return np.stack([padded(half).astype(np.float16) for half in heads.chunk(2, -1)], axis=-1)


def uncached(array: np.ndarray, d_head: int) -> np.ndarray:
    """The inverse of `cached` and of `halved`, as they hold it: (…, D) in f32."""
    low, high = np.moveaxis(array, -1, 0) if array.dtype == np.float16 else np.split(array, 2, axis=-1)
    return np.concatenate([half[..., : d_head // 2] for half in (low, high)], axis=-1).astype(np.float32)


def weights(rows: torch.Tensor, dtype: str) -> np.ndarray:
    """Weight rows as the kernels read them, each padded with zeros to whole vec4<u32>s.

    In a block format a row's quants come first, then its scales: (rows, stride in bytes).
    """
    if dtype == "f32":
        return padded(rows)
    if dtype == "f16":
        return torch.nn.functional.pad(rows, (0, -rows.shape[-1] % 8)).to(torch.float16).numpy()
    n, width = rows.shape
    data = quantised(rows, dtype).data
    quants = data[: -n * width // 16].reshape(n, -1)
    scales = data[quants.size :].reshape(n, -1)
    return np.concatenate([quants, np.pad(scales, ((0, 0), (0, -scales.shape[1] % 16)))], axis=1)


def quantised(rows: torch.Tensor, dtype: str) -> Stored:
    """A matrix as a file stores it in this dtype."""
    return as_stored(TensorSpec("a matrix", tuple(rows.shape)), rows.numpy(), dtype)


def step(position: int = 0, n_tokens: int = 1, ring_index: int = 0, top_k: int = 0, temperature: float = 0.0,
         top_p: float = 1.0, seed: int = 0, min_p: float = 0.0) -> np.ndarray:  # fmt: skip
    """common.wgsl's Step as eight u32 words; `min_p` as how far below the largest a kept logit may lie."""
    logit_range = -temperature * np.log(min_p) if min_p > 0 else np.finfo(np.float32).max
    floats = np.array([temperature, top_p, logit_range], dtype=np.float32).view(np.uint32)
    return np.array([position, n_tokens, ring_index, top_k, floats[0], floats[1], seed, floats[2]], dtype=np.uint32)


def products_grid(pairs: int, tokens: int, tile_pairs: int, tile_tokens: int) -> tuple[int, int, int]:
    """The grid of matvec.wgsl or matmul.wgsl; over x and y, as in the engine, where one dimension does not take it."""
    blocks = -(-pairs // tile_pairs)
    rows = -(-blocks // 65535)
    return -(-blocks // rows), rows, -(-tokens // tile_tokens)


# ---- comparison ----


def assert_close(op: str, got: np.ndarray, expected: torch.Tensor, rtol: float = 1e-5, atol: float = 1e-5) -> None:
    """Compare with the oracle, in f64; a failure names op, shape, index, expected, got and the largest difference.

    f32 sums of n products of size s differ from f64 by about s·√n·6e-8; at test sizes (n ≤ 512, values of order 1)
    that is below 2e-6. Five times that, relative to the largest expected value, allows for exp and inverseSqrt (2–4 ulp
    in WGSL) and any order of summation; an error in indexing or in a formula is larger by orders of magnitude.
    """
    want = expected.double().numpy()
    assert got.shape == want.shape, f"{op}: shape {got.shape}, expected {want.shape}"
    difference = np.abs(got.astype(np.float64) - want)
    difference = np.where(np.isnan(difference), np.inf, difference)
    worst = np.unravel_index(int(np.argmax(difference)), want.shape)
    allowed = atol + rtol * float(np.abs(want).max())
    assert difference[worst] <= allowed, (
        f"{op} {want.shape}: at {tuple(int(i) for i in worst)} expected {want[worst]:.9g}, got {got[worst]:.9g}; "
        f"largest difference {difference[worst]:.3g}, allowed {allowed:.3g}, "
        f"{int((difference > allowed).sum())} of {want.size} values differ"
    )
