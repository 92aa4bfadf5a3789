"""Archives that are damaged or hostile: an error that names the source, whatever zipfile and tarfile stumble over."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import archive

TEXT = b"Full fathom five thy father lies\n" * 20


def zipped(members: dict[str, bytes], mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as opened:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, method
            opened.writestr(info, content)
    return made.getvalue()


def tarred(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE, mode: str = "w:gz") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as opened:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            opened.addfile(info, io.BytesIO(content))
    return made.getvalue()


def read(path: Path, data: bytes) -> list[tuple[str, bytes]]:
    path.write_bytes(data)
    found = archive.members("npm:book@1.0", path, False, lambda name: name.endswith(".txt"))
    return [(name, stream.read()) for name, stream in found]


def encrypted(data: bytes) -> bytes:
    """The flag for it, in the local header and in the directory."""
    return data.replace(b"PK\3\4\x14\0\0", b"PK\3\4\x14\0\1").replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")


GOOD = {name: make({"p/a.txt": TEXT, "p/b.txt": b"b\n"}) for name, make in (("zip", zipped), ("tar", tarred))}


@pytest.mark.parametrize("kind", GOOD)
def test_whole(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path / "a", GOOD[kind]) == [("a.txt", TEXT), ("b.txt", b"b\n")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read as an archive"),
        (b"words", "cannot be read as an archive"),
        (encrypted(GOOD["zip"]), "is encrypted"),
        (GOOD["zip"].replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x63\0"), "compression"),
        (zipped({"p/a.txt": TEXT}, method=zipfile.ZIP_STORED).replace(b"fathom", b"fathum", 1), "Bad CRC-32"),
        (GOOD["tar"][: len(GOOD["tar"]) // 2], "end-of-stream|unexpected end"),
        (tarred({"p/a.txt": TEXT}, mode="w")[:600], "unexpected end"),
        (zipped({"p/a.txt": b"/etc/passwd"}, stat.S_IFLNK | 0o777), r"p/a\.txt is a link or a device"),
        (zipped({"p/a.txt": b""}, stat.S_IFIFO | 0o777), r"p/a\.txt is a link or a device"),
        (tarred({"p/a.txt": b""}, tarfile.LNKTYPE), r"p/a\.txt is a link or a device"),
        (tarred({"p/a.txt": b""}, tarfile.SYMTYPE), r"p/a\.txt is a link or a device"),
        (tarred({"p/a.txt": b""}, tarfile.CHRTYPE), r"p/a\.txt is a link or a device"),
        (tarred({"p/a.txt": b""}, tarfile.FIFOTYPE), r"p/a\.txt is a link or a device"),
        (tarred({"../a.txt": TEXT}), r"member outside its folder: '\.\./a\.txt'"),
        (zipped({"/etc/a.txt": TEXT}), "member outside its folder"),
        (zipped({"C:\\a.txt": TEXT}), "member outside its folder"),
        (tarred({"p/a\udcff.txt": TEXT}), "name is not UTF-8"),
    ],
    ids=lambda value: "data" if isinstance(value, bytes) else None,  # gzip writes the time, and xdist compares names
)
def test_what_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(archive.BadArchive, match=rf"npm:book@1\.0: .*({message})"):
        read(tmp_path / "a.archive", data)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_bomb_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[dict[str, bytes]], bytes]
) -> None:
    """Known by the sizes that stand in the archive, before a byte of it is unpacked."""
    data = make({f"p/{i}.txt": bytes(1 << 20) for i in range(2)})
    assert len(read(tmp_path / "a.archive", data)) == 2  # small enough to be no harm
    monkeypatch.setattr(archive, "SMALL_NBYTES", 1 << 10)
    monkeypatch.setattr(archive._Member, "read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(archive.BadArchive, match="2 files of 2,097,152 bytes in an archive of"):
        read(tmp_path / "a.archive", data)


def test_the_size_in_a_tar_is_not_believed(tmp_path: Path) -> None:
    """A header that says 8 EiB less one, with its checksum repaired."""
    header = bytearray(tarred({"p/a.txt": TEXT}, mode="w")[:512])
    header[124:136] = b"\x80\0\0\0" + struct.pack(">Q", (1 << 63) - 1)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(archive.BadArchive):
        read(tmp_path / "a.archive", bytes(header) + TEXT)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_random_damage_is_named(tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject) -> None:
    damaged = bytearray(GOOD[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        patch = data.draw(
            st.sampled_from([b"\xff" * 8, bytes(8), b"\x80" + bytes(7)]) | st.binary(min_size=1, max_size=2)
        )
        damaged[at : at + len(patch)] = patch
    try:
        read(tmp_path_factory.getbasetemp() / "damaged", bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
    except archive.BadArchive as error:
        assert str(error).startswith("npm:book@1.0: ")
