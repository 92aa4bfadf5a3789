"""Archives of the remote store: what is corrupt or made to do harm is a miss, never an error and never an artifact."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.graph.keep.archive import BadArchive, unpack
from stages.graph.keep.store import remove_tree
from stages.graph.read.digest import bytes_digest
from tests.graph.conftest import CHAIN, content
from tests.graph.project import Project

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def archives(here: Project, tmp_path: Path) -> Path:
    """A remote folder filled by a build whose build folder is gone."""
    here.remote = f"file://{tmp_path}/remote"
    assert here.doit().ran == CHAIN
    remove_tree(str(here.build))
    return tmp_path / "remote"


def sealed(archive: bytes) -> bytes:
    """An archive with the digest that belongs at its end."""
    return archive + f"{bytes_digest(archive)}\n".encode()


def members(archive: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return [(info, opened.extractfile(info).read()) for info in opened]  # type: ignore[union-attr]


def archive_of(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    data = b""
    for info, body in entries:
        data += info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + body + bytes(-len(body) % 512)
    return data + bytes(1024)


def entry(name: str, body: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(body)
    info.mode = 0o444
    for field, value in fields.items():
        setattr(info, field, value)
    return info, body


def with_receipt(archive: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    first, *rest = members(archive)
    receipt = json.loads(first[1])
    change(receipt)
    return sealed(archive_of(entry("receipt.json", json.dumps(receipt).encode()), *rest))


def plus(*more: tuple[tarfile.TarInfo, bytes]) -> Callable[[bytes], bytes]:
    return lambda archive: sealed(archive_of(*members(archive), *more))


def instead_of_output(*more: tuple[tarfile.TarInfo, bytes]) -> Callable[[bytes], bytes]:
    return lambda archive: sealed(archive_of(*members(archive)[:-1], *more))


HARM: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda archive: b"",
    "half": lambda archive: archive[: len(archive) // 2],
    "without its end": lambda archive: archive[:-1],
    "more behind": lambda archive: archive + b"x",
    "one bit": lambda archive: archive[:700] + bytes([archive[700] ^ 1]) + archive[701:],
    "zeros": lambda archive: bytes(len(archive)),
    "html": lambda archive: b"<html>Please log in</html>" * 100,
    "no members": lambda archive: sealed(bytes(1024)),
    "no end": lambda archive: sealed(archive[:-65].rstrip(b"\0") + bytes(512)),
    "early end": lambda archive: sealed(archive[: -65 - 1024 - 1024] + bytes(2048)),
    "zeros in abundance": lambda archive: sealed(archive[:-65] + bytes(1 << 20)),
    "absolute path": plus(entry("/tmp/stolen", b"x")),
    "up": plus(entry("../stolen", b"x")),
    "up inside": plus(entry("d/../../stolen", b"x")),
    "extra file": plus(entry("extra", b"x")),
    "bytecode": plus(entry("__pycache__/o.pyc", b"x")),
    "below a file": plus(entry("o.txt/x", b"x")),
    "twice": lambda archive: sealed(archive_of(*members(archive), members(archive)[-1])),
    "symbolic link": instead_of_output(entry("o.txt", type=tarfile.SYMTYPE, linkname="/etc/hostname")),
    "hard link": instead_of_output(entry("o.txt", type=tarfile.LNKTYPE, linkname="/etc/hostname")),
    "device": instead_of_output(entry("o.txt", type=tarfile.CHRTYPE, devmajor=1, devminor=5)),
    "fifo": instead_of_output(entry("o.txt", type=tarfile.FIFOTYPE)),
    "folder": instead_of_output(entry("o.txt", type=tarfile.DIRTYPE)),
    "sparse": instead_of_output(entry("o.txt", type=tarfile.GNUTYPE_SPARSE)),
    "huge": instead_of_output(entry("o.txt", b"", size=1 << 60)),
    "negative": instead_of_output(entry("o.txt", b"", size=-512)),
    "huge extended header": plus(entry("x", b"", type=tarfile.XHDTYPE, size=1 << 40)),
    "long name of nothing": plus(entry("././@LongLink", b"o.txt\0", type=tarfile.GNUTYPE_LONGNAME)),
    "nul in a name": plus(entry("././@LongLink", b"o\0.txt", type=tarfile.GNUTYPE_LONGNAME), entry("o.txt", b"")),
    "other output": instead_of_output(entry("o.txt", b"jello\n")),
    "no output": lambda archive: sealed(archive_of(*members(archive)[:-1])),
    "executable": instead_of_output(entry("o.txt", b"hello\n", mode=0o755)),
    "no receipt": lambda archive: sealed(archive_of(*members(archive)[1:])),
    "receipt last": lambda archive: sealed(archive_of(*members(archive)[1:], members(archive)[0])),
    "receipt is no JSON": lambda archive: sealed(archive_of(entry("receipt.json", b"{"), *members(archive)[1:])),
    "deep receipt": lambda archive: sealed(archive_of(entry("receipt.json", b"[" * 100_000), *members(archive)[1:])),
    "other key": lambda archive: with_receipt(archive, lambda r: r.update(key="0" * 64)),
    "other components": lambda archive: with_receipt(archive, lambda r: r["components"].update(params={"x": 1})),
    "NaN in components": lambda archive: with_receipt(archive, lambda r: r["components"].update(params=float("nan"))),
    "other stage": lambda archive: with_receipt(archive, lambda r: r.update(stage="other")),
    "other outputs": lambda archive: with_receipt(
        archive, lambda r: r["outputs"].update({"../x": r["outputs"]["o.txt"]})
    ),
    "no outputs": lambda archive: with_receipt(archive, lambda r: r["outputs"].clear()),
    "outputs of another kind": lambda archive: with_receipt(archive, lambda r: r.update(outputs=["o.txt"])),
    "no run": lambda archive: with_receipt(archive, lambda r: r.pop("run")),
    "run of another kind": lambda archive: with_receipt(archive, lambda r: r.update(run={"duration_s": "long"})),
    "accepted of another kind": lambda archive: with_receipt(archive, lambda r: r.update(accepted=[1])),
}


@pytest.mark.parametrize("harm", HARM)
def test_harmful_archive_is_a_miss(here: Project, archives: Path, harm: str, tmp_path: Path) -> None:
    """Never an error, never an artifact; one line each, and what is built instead mends the remote."""
    before = {path: path.read_bytes() for path in archives.iterdir()}
    for path, archive in before.items():
        path.write_bytes(HARM[harm](archive))
    result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN), result.out
    assert content(here) == {"one": b"hello\n", "two": b"hello\n", "three": b"HELLO\n"}
    assert result.out.count("is not used") == 3
    assert not list(tmp_path.rglob("stolen")) and not Path("/tmp/stolen").exists()
    assert {path.name for path in here.build.joinpath("store").iterdir()} == {here.result(name).name for name in CHAIN}
    remove_tree(str(here.build))
    assert here.doit().ran == []


def test_archive_that_is_a_folder_a_link_or_a_fifo(here: Project, archives: Path) -> None:
    kinds: list[Callable[[Path], object]] = [
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/etc/hostname"),
        lambda path: path.symlink_to("nowhere"),
    ]
    for path, make in zip(sorted(archives.iterdir()), kinds, strict=True):
        path.unlink()
        make(path)
    result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_archive_is_a_miss_or_the_same_bytes(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, small_archive: tuple[str, bytes]
) -> None:
    """Whatever happens to an archive's bytes, even with the digest put right, no other output comes out of it."""
    from stages.graph.keep.store import Store
    from stages.graph.read.statcache import StatCache

    key, archive = small_archive
    body = bytearray(archive[:-65])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert", "swap"])):
            case "set":
                body[at] = data.draw(st.integers(0, 255))
            case "cut":
                del body[at : at + data.draw(st.sampled_from([1, 512, 1024]))]
            case "insert":
                body[at:at] = data.draw(st.binary(min_size=1, max_size=600))
            case "swap":
                block = at // 512 * 512
                body[block : block + 1024] = body[block + 512 : block + 1024] + body[block : block + 512]
        if not body:
            break
    mutated = sealed(bytes(body)) if data.draw(st.booleans()) else bytes(body) + archive[-65:]
    folder = tmp_path_factory.mktemp("mutated")
    (folder / "archive").write_bytes(mutated)
    store = Store(str(folder / "store"), StatCache(str(folder / "cache.json")))
    (folder / "store").mkdir()
    try:
        store.import_entry(key, lambda into: unpack(str(folder / "archive"), into, key))
    except (BadArchive, OSError):
        assert list((folder / "store").iterdir()) == []
    except Exception as error:
        assert type(error).__name__ == "GraphError" and list((folder / "store").iterdir()) == []
    else:
        made = folder / "store" / key
        assert {path.name for path in made.iterdir()} <= {"receipt.json", "log.txt", "o.txt", "d"}
        assert (made / "o.txt").read_bytes() == b"hello\n" and (made / "d/x").read_bytes() == b"1\n"
        assert [path.name for path in (made / "d").iterdir()] == ["x"]


@pytest.fixture(scope="module")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """An archive with a file and a folder in it."""
    root = tmp_path_factory.mktemp("small")
    project = Project(root, lambda: type("Captured", (), {"out": "", "err": ""}))
    project.stage("s", "echo hello > {out}/o.txt; mkdir {out}/d; echo 1 > {out}/d/x", outputs=("o.txt", "d/"))
    project.remote = f"file://{root}/remote"
    project.doit()
    (path,) = (root / "remote").iterdir()
    return path.name.removesuffix(".tar"), path.read_bytes()


def test_the_digest_at_the_end_finds_every_changed_byte(small_archive: tuple[str, bytes], tmp_path: Path) -> None:
    key, archive = small_archive
    for at in range(0, len(archive), 61):
        (tmp_path / "archive").write_bytes(archive[:at] + bytes([archive[at] ^ 0x20]) + archive[at + 1 :])
        with pytest.raises(BadArchive, match="corrupt"):
            unpack(str(tmp_path / "archive"), str(tmp_path / "out"), key)
    for size in range(0, len(archive), 97):
        (tmp_path / "archive").write_bytes(archive[:size])
        with pytest.raises(BadArchive, match="cut off"):
            unpack(str(tmp_path / "archive"), str(tmp_path / "out"), key)
    assert not (tmp_path / "out").exists()


def test_tar_reads_a_archive(small_archive: tuple[str, bytes], tmp_path: Path) -> None:
    """An ordinary archive, as another program sees it."""
    import subprocess

    (tmp_path / "archive.tar").write_bytes(small_archive[1])
    listed = subprocess.run(["tar", "tf", "archive.tar"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert listed.stdout.split() == ["receipt.json", "log.txt", "o.txt", "d/x"]


def test_memory_is_bounded(here: Project, there: Project, tmp_path: Path) -> None:
    """Sending and fetching 64 MB takes no more than a few chunks of memory."""
    import tracemalloc

    for project in (here, there):
        project.stages.clear()
        project.stage("s", "head -c 67108864 /dev/zero > {out}/o.txt")
        project.remote = f"file://{tmp_path}/remote"
    tracemalloc.start()
    assert here.doit().ran == ["s"]
    assert there.doit().ran == []
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
