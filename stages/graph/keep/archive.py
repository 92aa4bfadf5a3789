"""An archive: one result as one file, for stores that hold objects instead of folders.

In: an entry's folder. Out: a tar archive (receipt.json, log.txt, then the outputs), followed by the SHA-256 of all
of that, as 64 hexadecimal digits and a newline. Where uploads are atomic an object appears whole or not at all; where
they are not, the digest at the end shows whether it is whole. `tar tf` reads it.

Not compressed: weights hardly shrink, and nothing unpacks to more than was fetched. The digest is checked before
anything is unpacked, and only plain files that the receipt names are.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO, BinaryIO

from ..declare.names import LOG, RECEIPT
from ..errors import GraphError
from ..read.digest import BYTECODE, FOREIGN, is_executable, walk
from .receipt import Receipt, belongs, read_receipt
from .store import CHUNK_BYTES, write_file

TRAILER_BYTES = 65
MAX_RECEIPT_BYTES = 64 << 20
END = bytes(2 * tarfile.BLOCKSIZE)
ENCODING = ("utf-8", "surrogateescape")


class BadArchive(GraphError):
    """An archive that is not what it should be; the text says how."""


def pack(folder: str, receipt: Receipt, path: str) -> bytes:
    """Write the entry in `folder`, whose receipt is `receipt`, to a new file; returns its trailer.

    Raises OSError where it cannot be read or written, BadArchive where a file changes meanwhile.
    """
    digest = hashlib.sha256()
    files = {file.name: file for file in walk(folder) if _is_part(file.name, receipt["outputs"])}
    first = [name for name in (RECEIPT, LOG) if name in files]
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
    with _Bounded(io.FileIO(path)) as file:
        size = os.fstat(file.fileno()).st_size - TRAILER_BYTES
        if size < 0:
            raise BadArchive("cut off")
        digest = hashlib.sha256()
        for chunk in _chunks(file, size):
            digest.update(chunk)
        if file.read(TRAILER_BYTES) != f"{digest.hexdigest()}\n".encode():
            raise BadArchive("cut off or corrupt: it does not end with its digest")
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:", encoding=ENCODING[0], errors=ENCODING[1]) as tar:
                _extract(tar, folder, key)
                file.seek(tar.offset)
                if file.read(len(END) + TRAILER_BYTES + 1)[:-TRAILER_BYTES] != END:
                    raise BadArchive("it does not end where it should")
        except (tarfile.TarError, ValueError, LookupError, EOFError, ArithmeticError) as error:
            raise BadArchive(f"not a tar archive: {error}") from error


def receipt_at(file: BinaryIO, key: str) -> Receipt | None:
    """The receipt at the beginning of an archive; None where that is not one of `key`. Reads no more than that."""
    try:
        info = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), *ENCODING)
    except tarfile.TarError:
        return None
    if info.name != RECEIPT or not 0 <= info.size <= MAX_RECEIPT_BYTES:
        return None
    receipt = read_receipt(file.read(info.size), key)
    return receipt if receipt is not None and belongs(receipt) else None


class _Bounded(io.BufferedReader):
    """A file for `tarfile`, which would read an extended header of any size into memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises BadArchive for more at once than is ever needed."""
        if size is None or not 0 <= size <= CHUNK_BYTES:
            raise BadArchive(f"a header of it says that it has {size} bytes")
        return super().read(size)


def _extract(tar: tarfile.TarFile, folder: str, key: str) -> None:
    """Write the members, which are the receipt and then plain files that it names. Python's own extraction also makes
    links, folders and devices, and sets times and owners: none of that belongs in a result.
    """
    receipt = None
    seen: set[str] = set()
    for info in tar:
        if info.type != tarfile.REGTYPE or info.sparse is not None or info.size < 0:
            raise BadArchive(f"{info.name!r} is not a plain file")
        data = tar.extractfile(info)
        assert data is not None
        if receipt is None:
            if info.name != RECEIPT or info.size > MAX_RECEIPT_BYTES:
                raise BadArchive("it does not begin with its receipt")
            receipt = read_receipt(b"".join(_chunks(data, info.size)), key)
            if receipt is None or not belongs(receipt):
                raise BadArchive("its receipt cannot be read, or is of another key")
            data.seek(0)
        if not _is_part(info.name, receipt["outputs"]) or info.name in seen:
            raise BadArchive(f"{info.name!r} does not belong to it, or comes twice")
        seen.add(info.name)
        write_file(f"{folder}/{info.name}", _chunks(data, info.size), bool(info.mode & 0o100))
    if receipt is None:
        raise BadArchive("empty")


def _is_part(name: str, outputs: Iterable[str]) -> bool:
    """Whether a file of this name belongs in an entry with these outputs, and its name cannot lead elsewhere."""
    if any(part in ("", ".", "..", BYTECODE, *FOREIGN) for part in name.split("/")) or "\0" in name:
        return False
    return name in (RECEIPT, LOG, *outputs) or any(
        output.endswith("/") and name.startswith(output) for output in outputs
    )


def _chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """The next `size` bytes, a little at a time. Raises BadArchive where the file ends before."""
    while size > 0:
        chunk = file.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise BadArchive("a file became shorter while it was read")
        size -= len(chunk)
        yield chunk
