"""Sources, split and the corpus on disk: what works, and every way in which it fails."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketlm_tokenizer import safe_cut

from tests.training.conftest import start, write_params
from training import corpus
from training.config.data import Data, Source
from training.data import sources, split
from training.data.documents import read
from training.data.sources import matches


def data(*sources: Source, val: tuple[str, ...] = (), fraction: float = 0.2) -> Data:
    return Data(sources, val, fraction)


def documents(source: Source, root: Path) -> list[tuple[str, bytes]]:
    """Every document, read whole."""
    return [(name, stream.read()) for name, stream in sources.documents(source, root)]


def wheel(folder: Path, members: dict[str, bytes], name: str = "plays-1.0-py3-none-any.whl") -> str:
    """A wheel in folder; returns its sha256."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as made:
        for member, content in members.items():
            made.writestr(member, content)
        made.writestr("plays-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: plays\nVersion: 1.0\n")
        made.writestr("plays-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr("plays-1.0.dist-info/RECORD", "")
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip's only index: a folder. It is the user's own pip configuration that counts."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fake_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes | tarfile.TarInfo]) -> str:
    """An npm on PATH whose `pack` puts this archive into the folder it is told; returns the archive's sha256."""
    folder.mkdir()
    archive = folder / "package.tgz"
    with tarfile.open(archive, "w:gz") as made:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                made.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
    script = folder / "npm"
    script.write_text(f'#!/bin/sh\nwhile [ "$1" != --pack-destination ]; do shift; done\ncp {archive} "$2"/\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def test_pypi(index: Path, tmp_path: Path) -> None:
    digest = wheel(index, {"plays/b/two.md": b"two", "plays/one.md": b"one", "plays/__init__.py": b""})
    found = documents(Source("pypi:plays==1.0#plays/**/*.md", digest), tmp_path)
    assert found == [("plays/b/two.md", b"two"), ("plays/one.md", b"one")]


def test_pypi_errors_name_the_source(index: Path, tmp_path: Path) -> None:
    digest = wheel(index, {"plays/one.md": b"one"})
    wrong = "0" * 64
    with pytest.raises(ValueError, match=f"pypi:plays==1.0#.*wrong checksum: expected sha256 {wrong}, got {digest}"):
        documents(Source("pypi:plays==1.0#*.md", wrong), tmp_path)
    with pytest.raises(ValueError, match=r"no file in the archive matches '\*\.md'"):
        documents(Source("pypi:plays==1.0#*.md", digest), tmp_path)
    with pytest.raises(ValueError, match=r"pypi:plays==2\.0#.*could not be fetched with -m pip"):
        documents(Source("pypi:plays==2.0#**/*.md", digest), tmp_path)


def test_a_member_outside_the_archives_folder_is_refused(index: Path, tmp_path: Path) -> None:
    digest = wheel(index, {"plays/one.md": b"one", "../evil.md": b"evil"})
    with pytest.raises(ValueError, match=r"has a member outside its folder: '\.\./evil\.md'"):
        documents(Source("pypi:plays==1.0#plays/*.md", digest), tmp_path)


@pytest.mark.parametrize("pattern", ["data/*.txt", "package/data/*.txt"])
def test_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    digest = fake_npm(tmp_path / "bin", monkeypatch, {"package/data/a.txt": b"a", "package/package.json": b"{}"})
    found = documents(Source(f"npm:@scope/book@0.2.3#{pattern}", digest), tmp_path)
    assert found == [("@scope/book/data/a.txt", b"a")]


def test_npm_refuses_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tarfile.TarInfo("package/a.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    digest = fake_npm(tmp_path / "bin", monkeypatch, {"package/a.txt": link})
    with pytest.raises(ValueError, match=r"package/a\.txt is a link"):
        documents(Source("npm:book@1.0.0#*.txt", digest), tmp_path)


def test_file_digests(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\n")
    one = hashlib.sha256(b"a\n").hexdigest()
    assert documents(Source("file:a.txt", one), tmp_path) == [("a.txt", b"a\n")]
    (tmp_path / "b.txt").write_bytes(b"b\n")
    two = hashlib.sha256(b"b\n").hexdigest()
    both = hashlib.sha256("".join(sorted([f"{one}  a.txt\n", f"{two}  b.txt\n"])).encode()).hexdigest()
    assert [name for name, _ in documents(Source("file:*.txt", both), tmp_path)] == ["a.txt", "b.txt"]
    with pytest.raises(ValueError, match=rf"file:\*\.txt: wrong checksum: expected sha256 {one}, got {both}"):
        documents(Source("file:*.txt", one), tmp_path)


def test_names_do_not_depend_on_where_the_project_lies(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "books" / "old").mkdir(parents=True)
        (tmp_path / place / "books" / "old" / "a.txt").write_text("a")
    for place in ("here", "there"):
        absolute = Source(f"file:{tmp_path / place}/books/**/*.txt")
        assert documents(absolute, tmp_path) == [("old/a.txt", b"a")]


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*.md", "a.md", True),
        ("*.md", "x/a.md", False),
        ("x/**/*.md", "x/a.md", True),
        ("x/**/*.md", "x/y/z/a.md", True),
        ("x/**", "x/y/a.md", True),
        ("**/*.md", "a.md", True),
        ("[ab].md", "b.md", True),
        ("[!ab].md", "b.md", False),
        ("a.md", "aXmd", False),
    ],
)
def test_globs(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@given(st.sets(st.text("abcdef/", min_size=1), min_size=2), st.floats(0.001, 0.5))
def test_both_sides_keep_a_document(names: set[str], fraction: float) -> None:
    chosen = split.held_out(sorted(names), data(Source("file:x"), fraction=fraction))
    assert 0 < len(chosen) < len(names)
    assert chosen == split.held_out(sorted(names, reverse=True), data(Source("file:x"), fraction=fraction))


def test_a_further_document_does_not_move_the_others() -> None:
    """A hash of each name decides, so the split of a growing corpus stays what it was."""
    names = [f"book-{index}" for index in range(200)]
    settings = data(Source("file:x"), fraction=0.3)
    before = split.held_out(names, settings)
    assert split.held_out([*names, "one more"], settings) - {"one more"} == before
    assert 30 < len(before) < 90


@given(st.text("ab\n ", min_size=1).map(lambda text: text + "a\nb"), st.floats(0.01, 0.5))
def test_a_lone_document_is_cut_in_two(text: str, fraction: float) -> None:
    at = split.cut("a", text.encode(), fraction)
    assert 0 < at < len(text)
    assert text[at - 1] == "\n"
    ends = [at for at in range(1, len(text)) if re.search(r"\n[ \t]*\n\Z", text[:at])]
    paragraphs = [at for at in ends if not re.match(r"[ \t]*\n", text[at:])]
    wanted = len(text) * (1 - fraction)
    if paragraphs:  # the obvious twin: of all places, the nearest
        assert abs(at - wanted) <= min(abs(place - wanted) for place in paragraphs)


def test_a_cut_prefers_paragraphs() -> None:
    text = "one\ntwo\n\nthree\nfour\nfive\nsix\n"
    assert text[split.cut("a", text.encode(), 0.2) :] == "three\nfour\nfive\nsix\n"
    with pytest.raises(ValueError, match="one document of one line cannot be split"):
        split.cut("a", b"one line\n", 0.2)


def test_corpus_on_disk(tmp_path: Path) -> None:
    for name, text in {"b.txt": "b\r\n", "a.txt": "a", "copy.txt": "a\n", "none.txt": " \n", "c/d.md": "# D"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    out = tmp_path / "corpus"
    corpus.build(data(Source("file:**/*.*"), val=("d.md",)), tmp_path, out)
    listed = [json.loads(line) for line in (out / "documents.jsonl").read_text().splitlines()]
    assert [(entry["name"], entry["split"], entry["path"], entry["start"]) for entry in listed] == [
        ("a.txt", "train", "train/00000.txt", 0),
        ("b.txt", "train", "train/00000.txt", 2),
        ("c/d.md", "val", "val/00000.txt", 0),
    ]
    assert ["".join(parts) for _, parts in read(out, "train", safe_cut)] == ["a\n", "b\n"]
    assert ["".join(parts) for _, parts in read(out, "val", safe_cut)] == ["D\n"]
    assert sorted(path.name for path in out.iterdir()) == ["documents.jsonl", "train", "val"]
    (out / "val" / "00000.txt").write_text("E\n")
    with pytest.raises(ValueError, match=r"its text is not what documents\.jsonl says"):
        list(read(out, "val", safe_cut))


@pytest.mark.parametrize("copies", [1, 5, 6, 1008])
def test_the_copies_of_a_large_corpus_do_not_fill_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], copies: int
) -> None:
    (tmp_path / "a.txt").write_text("one\n#two\n#" + "one\n#" * copies)
    given = Data((Source("file:a.txt"),), (), 0.5, separator="#")
    assert corpus.build(given, tmp_path, tmp_path / "out") == {"train": (1, 4), "val": (1, 4)}
    said = capsys.readouterr().err.splitlines()
    named = [line for line in said if "left out, its text is that of a.txt#000000001" in line]
    assert len(named) == min(copies, 5)
    assert said[len(named) :] == ([f"left out for the same reason: {copies - 5:,} more"] if copies > 5 else [])


@pytest.mark.parametrize(
    ("files", "settings", "message"),
    [
        ({}, data(Source("file:none/*.txt")), "file:none/*.txt: no such file"),
        ({"a.txt": b"ab\xff"}, data(Source("file:a.txt")), "file:a.txt: a.txt: not UTF-8 at byte 2"),
        ({"a.txt": b" \n"}, data(Source("file:a.txt")), "the corpus is empty: no text in file:a.txt"),
        ({"a.txt": b"a"}, data(Source("file:a.txt")), "one document of one line"),
        (
            {"a.jsonl": b'{"messages": [{"role": "assistant", "content": "Aye."}]}'},
            Data((Source("file:a.jsonl"),), (), 0.1, chat_column="messages"),
            "a.jsonl#000000001 is the only chat, and one must be held out for validation; add a second one",
        ),
        ({"a.txt": b"a"}, data(Source("file:a.txt"), Source("file:*")), "a.txt is also in file:a.txt"),
        ({"a.txt": b"a", "b.txt": b"b"}, data(Source("file:*"), val=("c*",)), "'c*' matches no document; there are 2"),
        ({"a.txt": b"a"}, data(Source("file:*"), val=("a.txt",)), "holds out every document"),
    ],
)
def test_corpus_errors(tmp_path: Path, files: dict[str, bytes], settings: Data, message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as raised:
        corpus.build(settings, tmp_path, tmp_path.parent / f"{tmp_path.name}-out")
    assert message in str(raised.value)


def test_a_failed_command_leaves_nothing_and_says_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good\n\ntext\n")
    (tmp_path / "b.txt").write_bytes(b"bad \xff\n")
    settings = write_params(tmp_path / "params.json", data__sources="file:*.txt")
    arguments = ("--params", settings, "--root", tmp_path, "--out", tmp_path / "out")
    with start("corpus", *arguments) as child:
        said = child.communicate()[1]
    assert child.returncode == 1
    assert said == (
        "training.corpus: file:*.txt: b.txt: not UTF-8 at byte 4 (0xff: invalid start byte); "
        "convert the file to UTF-8 or leave it out of data.sources\n"
    )
    assert list((tmp_path / "out").iterdir()) == []
    with start("corpus", "--out", tmp_path) as child:
        child.communicate()
    assert child.returncode == 2
