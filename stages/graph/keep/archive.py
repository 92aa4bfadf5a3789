"""An archive: one result as one file, for stores that hold objects instead of folders.

In: an entry's folder. Out: a tar archive (receipt.json, log.txt, then the outputs), followed by the SHA-256 of all
that stands before it as 64 hexadecimal digits and a newline. One object appears whole or not at all where uploads
are atomic; the digest at its end tells where they are not. `tar tf` reads it.

Not compressed: weights hardly shrink, and nothing that unpacks is larger than what was fetched. Reading takes plain
files only, one header block at a time (`tarfile` itself would read an extended header of any size into memory).
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from ..declare.names import RECEIPT
from ..errors import GraphError
from ..read.digest import BYTECODE, is_executable, walk
from .receipt import Receipt, belongs, read_receipt
from .store import flush

TRAILER_BYTES = 65
MAX_NAME_BYTES = 4096  # PATH_MAX of Linux
MAX_RECEIPT_BYTES = 64 << 20
CHUNK_BYTES = 1 << 20
END = bytes(2 * tarfile.BLOCKSIZE)
ENCODING = ("utf-8", "surrogateescape")


class BadArchive(GraphError):
    """An archive that is not what it should be; the text says how."""


class _Member(NamedTuple):
    name: str
    size_bytes: int
    executable: bool


def pack(folder: str, receipt: Receipt, path: str) -> bytes:
    """Write the entry in `folder`, whose receipt is `receipt`, to a new file; returns its trailer.

    Raises OSError where it cannot be read or written, BadArchive where a file changes meanwhile.
    """
    digest = hashlib.sha256()
    files = {file.name: file for file in walk(folder) if _is_part(file.name, receipt["outputs"])}
    first = [name for name in (RECEIPT, "log.txt") if name in files]
    with open(path, "xb") as out:

        def write(data: bytes) -> None:
            digest.update(data)
            out.write(data)

        for name in [*first, *(name for name in files if name not in first)]:
            file = files[name]
            info = tarfile.TarInfo(name)
            info.size = file.stat.st_size
            info.mode = 0o555 if is_executable(file.stat) else 0o444
            write(info.tobuf(tarfile.GNU_FORMAT, *ENCODING))
            with open(file.path, "rb") as data:
                for chunk in _chunks(data, info.size):
                    write(chunk)
            write(bytes(-info.size % tarfile.BLOCKSIZE))
        write(END)
        trailer = f"{digest.hexdigest()}\n".encode()
        out.write(trailer)
        out.flush()
        os.fsync(out.fileno())
    return trailer


def unpack(path: str, folder: str, key: str) -> None:
    """Write the files of an archive below the empty folder `folder`, read-only and durable, if it is of `key`.

    The outputs' digests are left for the caller to compare. Raises BadArchive for what is cut off, corrupt, of another
    key, or would write anything but the receipt's own outputs; OSError where it cannot be read or written.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size - TRAILER_BYTES
        if size < 0:
            raise BadArchive("cut off")
        digest = hashlib.sha256()
        for chunk in _chunks(file, size):
            digest.update(chunk)
        if file.read() != f"{digest.hexdigest()}\n".encode():
            raise BadArchive("cut off or corrupt: it does not end with its digest")
        file.seek(0)
        receipt = None
        seen: set[str] = set()
        for member in _members(file, size):
            if receipt is None:
                receipt = _receipt(file, member, key)
            if not _is_part(member.name, receipt["outputs"]) or member.name in seen:
                raise BadArchive(f"{member.name!r} does not belong to it, or comes twice")
            seen.add(member.name)
            _write(f"{folder}/{member.name}", _chunks(file, member.size_bytes), member.executable)
        if receipt is None:
            raise BadArchive("empty")
    for output in receipt["outputs"]:
        if output.endswith("/"):  # an empty folder has no member of its own
            os.makedirs(f"{folder}/{output}", exist_ok=True)


def _members(file: BinaryIO, size: int) -> Iterator[_Member]:
    """Each file of the archive in the first `size` bytes; between two steps the caller may read its content."""
    position, long_name = 0, None
    while True:
        file.seek(position)
        block = file.read(tarfile.BLOCKSIZE)
        if not any(block):
            break
        try:
            info = tarfile.TarInfo.frombuf(block, *ENCODING)
        except tarfile.TarError as error:
            raise BadArchive(f"not a tar archive: {error}") from error
        position += tarfile.BLOCKSIZE
        if not 0 <= info.size <= size - position:
            raise BadArchive(f"{info.name!r} says that it has {info.size} bytes, which are not there")
        if info.type == tarfile.GNUTYPE_LONGNAME and info.size <= MAX_NAME_BYTES:
            long_name = file.read(info.size).rstrip(b"\0").decode(*ENCODING)
        elif info.type == tarfile.REGTYPE:
            yield _Member(long_name or info.name, info.size, bool(info.mode & 0o100))
            long_name = None
        else:
            raise BadArchive(f"{info.name!r} is not a plain file")
        position += info.size + -info.size % tarfile.BLOCKSIZE
    file.seek(position)
    if long_name is not None or size - position != len(END) or file.read(len(END)) != END:
        raise BadArchive("its archive does not end where it should")


def _receipt(file: BinaryIO, member: _Member, key: str) -> Receipt:
    """The receipt, which comes first. Leaves `file` where it was."""
    if member.name != RECEIPT or member.size_bytes > MAX_RECEIPT_BYTES:
        raise BadArchive("it does not begin with its receipt")
    start = file.tell()
    receipt = read_receipt(b"".join(_chunks(file, member.size_bytes)), key)
    file.seek(start)
    if receipt is None or not belongs(receipt):
        raise BadArchive("its receipt cannot be read, or is of another key")
    return receipt


def _is_part(name: str, outputs: Iterable[str]) -> bool:
    """Whether a file of this name belongs into an entry with these outputs, and its name cannot lead elsewhere."""
    if any(part in ("", ".", "..", BYTECODE) for part in name.split("/")) or "\0" in name:
        return False
    return name in (RECEIPT, "log.txt", *outputs) or any(
        output.endswith("/") and name.startswith(output) for output in outputs
    )


def _write(path: str, chunks: Iterable[bytes], executable: bool) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as out:  # "x": never through something that is there, be it another name of the same file
        for chunk in chunks:
            out.write(chunk)
    os.chmod(path, 0o555 if executable else 0o444)
    flush(path)


def _chunks(file: BinaryIO | io.BufferedReader, size: int) -> Iterator[bytes]:
    """The next `size` bytes, a little at a time. Raises BadArchive where the file ends before."""
    while size > 0:
        chunk = file.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise BadArchive("a file became shorter while it was read")
        size -= len(chunk)
        yield chunk
