"""The documents within a file: the rows of JSON Lines and of Parquet, the texts between separators, or the file itself.

    .jsonl, .ndjson   each row's value of data.text_column; of data.chat_column, where that is set: a chat
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
from training.data.conversations import as_text
from training.data.parts import Stream

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
        texts = _json_texts(name, stream, data)
    elif lower.endswith(PARQUET):
        texts = _parquet_texts(name, stream, data)
    elif data.chat_column:
        endings = ", ".join((*JSON_LINES, PARQUET))
        raise ValueError(
            f"{name}: chats are read from {endings} (data.chat_column={data.chat_column!r}); for text set "
            "data.chat_column="
        )
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


def _json_texts(name: str, stream: Stream, data: Data) -> Iterator[bytes]:
    column, field = _column(data)
    for number, line in enumerate(between(stream, b"\n"), 1):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{name}: line {number} is not JSON: {error}") from error
        where = f"{name}: line {number}"
        kind = object if data.chat_column else str
        if not isinstance(row, dict) or not isinstance(row.get(column), kind) or column not in row:
            there = ", ".join(row) if isinstance(row, dict) else f"a {type(row).__name__}"
            what = "" if data.chat_column else "text "
            raise ValueError(
                f"{where} has no {what}{column!r}, but {there:.200}; set data.{field} to the key of its "
                + ("messages" if data.chat_column else "text")
            )
        yield _document(row[column], where, data)


def _parquet_texts(name: str, stream: Stream, data: Data) -> Iterator[bytes]:
    column, field = _column(data)
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
                raise ValueError(f"has no column {column!r}, but {', '.join(names)}; set data.{field}")
            row = 0
            for batch in file.iter_batches(batch_size=1024, columns=[column]):
                for value in batch.column(0).to_pylist():
                    row += 1
                    yield _document(value, f"row {row}", data)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error


def _column(data: Data) -> tuple[str, str]:
    """The column of the documents, and the field of [data] that names it."""
    return (data.chat_column, "chat_column") if data.chat_column else (data.text_column, "text_column")


def _document(value: Any, where: str, data: Data) -> bytes:
    """The document that a column holds. Raises ValueError that begins with `where`."""
    if data.chat_column:
        try:
            return as_text(value).encode()
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    if not isinstance(value, str):
        raise ValueError(f"{where} is a {type(value).__name__}, not a text")
    return value.encode("utf-8", "surrogatepass")  # a lone surrogate is refused as bytes that are not UTF-8
