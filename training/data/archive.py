"""The members of a wheel, an sdist or an npm package, read where they lie: nothing is unpacked or run.

An archive has a digest that someone wrote into a preset, and is still not believed: members outside its folder, links
and devices, what unpacks to far more than text does, and every flaw that zipfile and tarfile may stumble over are
errors that name the source.
"""

from __future__ import annotations

import contextlib
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from training.data.parts import Stream

# Prose packs to a third or a quarter, logs to a fiftieth at most; deflate alone reaches 1,032 on zeros.
MAX_RATIO = 200
SMALL_NBYTES = 16 << 20  # so much is never too much

_FLAWS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,  # gzip's and bz2's too
    RuntimeError,  # encrypted; a compression that zipfile does not know
    ValueError,
    OverflowError,
    IndexError,
    AssertionError,
)


class BadArchive(ValueError):
    """An archive that cannot or must not be read. The message names its source."""


def members(what: str, path: Path, wrapped: bool, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Stream]]:
    """(name, stream) of the members that are wanted, by the name in the archive or without the folder that wraps all of
    them (there is one where `wrapped` says so); sorted by the shorter name.

    what: the source, for messages. Raises BadArchive, from the streams too.
    """
    flaw = f"{what}: {path.name} cannot be read as an archive"
    with contextlib.ExitStack() as closing, _named(flaw):
        archive: _Zip | _Tar = _Zip(path) if zipfile.is_zipfile(path) else _Tar(path)
        closing.callback(archive.close)
        chosen = _chosen(what, list(archive.sizes), wrapped, wanted)
        for member, _ in chosen:
            if not archive.is_file(member):
                raise BadArchive(f"{what}: {member} is a link or a device, not a file")
        nbytes, packed = sum(archive.sizes[member] for member, _ in chosen), path.stat().st_size
        if nbytes > SMALL_NBYTES + MAX_RATIO * packed:
            raise BadArchive(
                f"{what}: {len(chosen)} files of {nbytes:,} bytes in an archive of {packed:,}: text does not pack "
                f"{MAX_RATIO} times; do not use it"
            )
        for member, name in chosen:
            with archive.open(member) as stream:
                yield name, _Member(stream, flaw)


@contextlib.contextmanager
def _named(flaw: str) -> Iterator[None]:
    try:
        yield
    except BadArchive:
        raise
    except _FLAWS as error:
        raise BadArchive(f"{flaw}: {error}") from error


class _Member:
    """A member's stream, whose errors name the source."""

    def __init__(self, stream: Stream, flaw: str) -> None:
        self._stream, self._flaw = stream, flaw

    def read(self, size: int = -1, /) -> bytes:
        """As of any file."""
        with _named(self._flaw):
            return self._stream.read(size)


class _Zip:
    def __init__(self, path: Path) -> None:
        self._opened = zipfile.ZipFile(path)
        self._infos = {info.filename: info for info in self._opened.infolist() if not info.is_dir()}
        self.sizes = {name: info.file_size for name, info in self._infos.items()}

    def close(self) -> None:
        self._opened.close()

    def is_file(self, member: str) -> bool:
        kind = stat.S_IFMT(self._infos[member].external_attr >> 16)  # 0 where the writer knew no modes
        return kind in (0, stat.S_IFREG)

    def open(self, member: str) -> contextlib.AbstractContextManager[Stream]:
        return self._opened.open(self._infos[member])


class _Tar:
    def __init__(self, path: Path) -> None:
        self._opened = tarfile.open(path)  # noqa: SIM115 (closed by close)
        self._infos = {info.name: info for info in self._opened.getmembers() if not info.isdir()}
        self.sizes = {name: info.size for name, info in self._infos.items()}

    def close(self) -> None:
        self._opened.close()

    def is_file(self, member: str) -> bool:
        return self._infos[member].isreg()

    def open(self, member: str) -> contextlib.AbstractContextManager[Stream]:
        reader = self._opened.extractfile(self._infos[member])
        assert reader is not None, "asked of files alone"
        return reader


def _chosen(what: str, names: list[str], wrapped: bool, wanted: Callable[[str], bool]) -> list[tuple[str, str]]:
    """(member, its name without the wrapping folder) of what is wanted. The path of every member is checked."""
    for member in names:
        path = PurePosixPath(member.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member):
            raise BadArchive(f"{what}: the archive has a member outside its folder: {member!r}; do not use it")
    wrapped = wrapped or len({member.partition("/")[0] + "/" for member in names}) == 1  # NAME-VERSION/ of an sdist
    shorter = {member: member.partition("/")[2] if wrapped and "/" in member else member for member in names}
    chosen = [(member, name) for member, name in shorter.items() if wanted(member) or wanted(name)]
    for member, _ in chosen:
        if any("\ud800" <= character <= "\udfff" for character in member):
            raise BadArchive(f"{what}: the archive has a member whose name is not UTF-8: {member!r}")
    return sorted(chosen, key=lambda pair: pair[1])
