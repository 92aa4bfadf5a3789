"""The documents within a file: the rows of JSON Lines and of Parquet, the texts between separators, or the file itself.

    .jsonl, .ndjson   each row's value of data.text_column
    .parquet          the same; read by pyarrow, which the extra `parquet` brings
    any other         what lies between one data.separator and the next; the whole file where that is ""

One row, batch of rows or text between separators is in memory at a time.
"""

from __future__ import annotations

import codecs
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any, cast

from training.config.data import Data
from training.parts import Stream

READ_NBYTES = 1 << 20
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"


def documents(name: str, stream: Stream, data: Data) -> Iterator[tuple[str, Stream]]:
    """(name, stream) of each document of a file, in its order. A document among several is named by the file, "#"
    and its number from 1; nine digits, so that names sort as numbers do.

    Raises ValueError naming the file and the row that is not as expected.
    """
    lower = name.lower()
    if lower.endswith(JSON_LINES):
        texts = _json_texts(name, stream, data.text_column)
    elif lower.endswith(PARQUET):
        texts = _parquet_texts(name, stream, data.text_column)
    elif data.separator:
        texts = between(stream, data.separator.encode())
    else:
        yield name, stream
        return
    for number, text in enumerate(texts, 1):
        yield f"{name}#{number:09}", io.BytesIO(text)


def between(stream: Stream, separator: bytes, nbytes: int = READ_NBYTES) -> Iterator[bytes]:
    """What lies before, between and after the separators; empty texts too. The file need not end with one."""
    waiting = b""
    while data := stream.read(nbytes):
        searched = max(len(waiting) - len(separator) + 1, 0)  # a separator may straddle two portions
        waiting += data
        while (at := waiting.find(separator, searched)) >= 0:
            yield waiting[:at]
            waiting, searched = waiting[at + len(separator) :], 0
    if waiting:
        yield waiting


def _json_texts(name: str, stream: Stream, column: str) -> Iterator[bytes]:
    for number, line in enumerate(between(stream, b"\n"), 1):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{name}: line {number} is not JSON: {error}") from error
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            there = ", ".join(row) if isinstance(row, dict) else f"a {type(row).__name__}"
            raise ValueError(
                f"{name}: line {number} has no text {column!r}, but {there:.200}; set data.text_column to the key of "
                "its text"
            )
        yield row[column].encode("utf-8", "surrogatepass")  # a lone surrogate is refused as bytes that are not UTF-8


def _parquet_texts(name: str, stream: Stream, column: str) -> Iterator[bytes]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        advice = "type `./doitw setup:parquet`, or install pyarrow"
        raise ValueError(f"{name}: Parquet is read by pyarrow, which is not there; {advice}") from error
    with tempfile.TemporaryFile() as spooled:  # its index is at its end, and a stream may be a member of an archive
        shutil.copyfileobj(cast(IO[bytes], stream), spooled, READ_NBYTES)
        try:
            file = pyarrow.parquet.ParquetFile(spooled)
            names = file.schema_arrow.names
            if column not in names:
                raise ValueError(f"has no column {column!r}, but {', '.join(names)}; set data.text_column")
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=[column]):
                for value in batch.column(0).to_pylist():
                    row += 1
                    yield _text(value, row)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error


def _text(value: Any, row: int) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"row {row} is a {type(value).__name__}, not a text")
    return value.encode()
