"""General compressors at their best, which have read the training text before: what a model's bits per byte stand
beside.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Mapping

import pyppmd
import zstandard

PPMD_NBYTES = 1 << 28  # of its model


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
