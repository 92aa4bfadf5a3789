"""Documents at URLs: by fsspec's own file system in memory, by a server on loopback, and as TinyStories ships them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from stages import tools
from stages.serving import answering
from training import corpus, params
from training.config import section
from training.config.data import Data, Source
from training.data import documents, sources

FILES = {"a/one.txt": b"one\n", "a/two.txt": b"two\n" * 3000, "a/b/three.txt": b"three\n", "other.md": b"no\n"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def together(names: dict[str, bytes]) -> str:
    """The digest of many files: that of the lines that sha256sum would print, sorted."""
    return sha256("".join(sorted(f"{sha256(data)}  {name}\n" for name, data in names.items())).encode())


@pytest.fixture
def bucket() -> str:
    there = fsspec.filesystem("memory")
    if there.exists("/bucket"):
        there.rm("/bucket", recursive=True)
    for name, data in FILES.items():
        there.pipe(f"/bucket/{name}", data)
    return "memory://bucket"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    for name, data in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    bound = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    with answering(bound) as running:
        yield f"http://127.0.0.1:{running.server_port}"


def read(uri: str, digest: str) -> dict[str, bytes]:
    return {name: stream.read() for name, stream in sources.documents(Source(uri, digest), Path("/nowhere"))}


def test_a_lone_file(bucket: str, server: str) -> None:
    for start in (bucket, server):
        assert read(f"{start}/a/two.txt", sha256(FILES["a/two.txt"])) == {"two.txt": FILES["a/two.txt"]}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("a/*.txt", ["one.txt", "two.txt"]), ("a/**/*.txt", ["b/three.txt", "one.txt", "two.txt"])],
)
def test_many_files_by_a_glob(bucket: str, pattern: str, names: list[str]) -> None:
    wanted = {name: FILES[f"a/{name}"] for name in names}
    assert read(f"{bucket}/{pattern}", together(wanted)) == wanted


def test_the_digest_is_that_of_a_files_source(bucket: str, tmp_path: Path) -> None:
    """A folder that moves to a bucket keeps its digest."""
    wanted = {name: FILES[f"a/{name}"] for name in ("one.txt", "two.txt")}
    for name, data in wanted.items():
        (tmp_path / name).write_bytes(data)
    local = {name: s.read() for name, s in sources.documents(Source("file:*.txt", together(wanted)), tmp_path)}
    assert local == read(f"{bucket}/a/*.txt", together(wanted)) == wanted


@pytest.mark.parametrize("name", ["a/one.txt", "a/*.txt"])
def test_another_text_is_refused_with_its_digest(bucket: str, name: str) -> None:
    got = sha256(FILES["a/one.txt"]) if "*" not in name else together({n[2:]: FILES[n] for n in list(FILES)[:2]})
    with pytest.raises(ValueError, match=rf"wrong checksum: expected sha256 {'0' * 64}, got {got}"):
        read(f"{bucket}/{name}", "0" * 64)


def test_what_is_not_there_is_named(bucket: str, server: str) -> None:
    for uri in (f"{bucket}/no.txt", f"{server}/no.txt", f"{bucket}/no*.txt", "http://127.0.0.1:1/no.txt"):
        with pytest.raises(ValueError) as raised:
            read(uri, "0" * 64)
        assert str(raised.value).startswith(f"{uri}: ")


def test_a_kind_of_address_that_nothing_opens() -> None:
    with pytest.raises(ValueError, match=r"nosuch://x/y: .*nosuch"):
        read("nosuch://x/y", "0" * 64)


def test_a_url_needs_its_digest() -> None:
    with pytest.raises(ValueError, match=r"hf://datasets/a/b/c\.txt has no sha256"):
        Source("hf://datasets/a/b/c.txt")


def test_what_a_url_needs_is_installed_first() -> None:
    uris = ["file:a", "https://a/b", "s3://a/b", "hf://datasets/a/b", "pypi:a==1#b", "memory://a"]
    assert tools.url_setups(uris) == (tools.REMOTE, tools.HUB)


def test_stories_as_they_ship(tmp_path: Path) -> None:
    """The preset `tinystories`, its two files ours: millions of documents in a file, parted by a separator."""
    preset = section.read(params.of("tinystories", {}, "fast"), Data)
    there = fsspec.filesystem("memory")
    texts = {"train": ["Tom ran.\n", "Lily\nsang.\n", "A dog.\n"], "valid": ["One cat.\n", "Two cats.\n"]}
    made = []
    for source, (part, stories) in zip(preset.sources, texts.items(), strict=True):
        name = source.uri.rpartition("/")[2]
        assert name == f"TinyStories-{part}.txt"
        data = "".join(f"{story}<|endoftext|>\n" for story in stories).encode()
        there.pipe(f"/stories/{name}", data)
        made.append(Source(f"memory://stories/{name}", sha256(data)))
    data_settings = Data(
        tuple(made), preset.val_documents, preset.val_fraction, preset.test_documents, separator=preset.separator
    )
    out = tmp_path / "out"
    corpus.build(data_settings, tmp_path, out)
    kept = {split: ["".join(parts) for _, parts in documents.read(out, split, len)] for split in documents.SPLITS}
    assert kept == {"train": texts["train"], "val": texts["valid"]}
