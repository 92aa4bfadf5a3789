"""The remote store: what one machine built, another takes; what is damaged, hostile or out of reach costs a line."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.graph import remote as remotes
from stages.graph.digest import bytes_digest
from stages.graph.parcel import BadParcel, unpack
from stages.graph.remote import without_secrets
from stages.graph.store import remove_tree
from tests.graph.conftest import declare_chain
from tests.graph.project import Project, wait_until
from tests.graph.remotes import HttpStore, http_store, s3_store

CHAIN = ["one", "two", "three"]


@pytest.fixture(params=["memory", "file", "http", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty remote store of each kind."""
    if request.param == "memory":
        yield f"memory://{tmp_path.name}"
    elif request.param == "file":
        yield f"file://{tmp_path}/remote"
    elif request.param == "http":
        with http_store() as store:
            yield store.url
    else:
        pytest.importorskip("moto", reason="locks/test.txt is not installed")
        with s3_store() as (url, variables):
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            yield url


@pytest.fixture
def here(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    """One machine, nothing built."""
    return machine(tmp_path / "here", capfd)


@pytest.fixture
def there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    """Another clone of the same project, elsewhere."""
    return machine(tmp_path / "other" / "there", capfd)


def machine(root: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    root.mkdir(parents=True)
    project = Project(root, capfd.readouterr)
    declare_chain(project)
    return project


def content(project: Project) -> dict[str, bytes]:
    """Every output that is linked, by its path."""
    return {name: (project.result(name) / "o.txt").read_bytes() for name in CHAIN}


# ── What one machine built, another takes ──


def test_automatic(here: Project, there: Project, url: str) -> None:
    """`store.remote` set: what was built is uploaded, and looked for before a stage runs."""
    here.remote = there.remote = url
    assert here.doit().ran == CHAIN
    result = there.doit()
    assert (result.status, result.ran) == (0, []), result.out
    assert content(there) == content(here)
    assert there.receipt("two") == here.receipt("two")
    assert (there.result("two") / "log.txt").read_text() == (here.result("two") / "log.txt").read_text()
    assert set(there.why()) == set(CHAIN) and {state for state, _ in there.why().values()} == {"fresh"}


def test_push_and_pull(here: Project, there: Project, url: str) -> None:
    here.doit()
    pushed = here.doit("push", "--to", url)
    assert pushed.status == 0, pushed.err
    assert [line.split()[:2] for line in pushed.out.splitlines()[:3]] == [["pushed", name] for name in CHAIN]
    assert pushed.out.splitlines()[3].startswith("3 pushed (")
    pulled = there.doit("pull", "three", "--from", url)
    assert pulled.status == 0, pulled.err
    assert [line.split()[:2] for line in pulled.out.splitlines()[:3]] == [["pulled", name] for name in CHAIN]
    assert there.doit().ran == [] and content(there) == content(here)
    assert "0 pulled (0 B), 3 there" in there.doit("pull", "--from", url).out
    again = here.doit("push", "--to", url).out
    assert ("3 pushed" if url.startswith("http") else "0 pushed (0 B), 3 there") in again  # no ranges there: sent anew


def test_push_takes_what_a_stage_needs_and_nothing_else(here: Project, tmp_path: Path) -> None:
    here.doit()
    here.doit("push", "two", "--to", f"file://{tmp_path}/remote")
    keys = {path.name.removesuffix(".tar") for path in (tmp_path / "remote").iterdir()}
    assert keys == {here.result("one").name, here.result("two").name}


def test_pull_in_part(here: Project, there: Project, tmp_path: Path) -> None:
    """What is not there is said, and so is what cannot be known without it; nothing is built."""
    here.doit()
    url = f"file://{tmp_path}/remote"
    here.doit("push", "--to", url)
    (tmp_path / "remote" / f"{here.result('two').name}.tar").unlink()
    pulled = there.doit("pull", "--from", url)
    assert [line.split()[0] for line in pulled.out.splitlines()[:3]] == ["pulled", "not", "not"]
    assert "three: it needs two first" in pulled.out and "2 missing" in pulled.out
    assert (pulled.status, pulled.ran) == (0, [])
    there.remote = url
    assert there.doit().ran == ["two"]


def test_back_and_forth_runs_nothing(here: Project, there: Project, tmp_path: Path) -> None:
    """Branches, presets and parameters: what was built under a key comes back, here and there."""
    here.remote = there.remote = f"file://{tmp_path}/remote"

    def choose(project: Project, text: str, x: int) -> None:
        project.write("a.txt", text)
        old = project.stages["two"]
        project.stage("two", old.run[2].partition("; ")[2], inputs=old.inputs, params={"two.x": x})

    for text, x in (("hello\n", 1), ("other\n", 1), ("hello\n", 2)):
        choose(here, text, x)
        assert here.doit().ran
    for project in (here, there):
        for text, x in (("other\n", 1), ("hello\n", 2), ("hello\n", 1), ("other\n", 1), ("hello\n", 1)):
            choose(project, text, x)
            result = project.doit()
            assert (result.status, result.ran) == (0, [])
            assert (project.result("three") / "o.txt").read_text() == text.upper()


def test_folders_permissions_and_long_names_arrive(here: Project, there: Project, url: str) -> None:
    deep = "/".join(["a" * 90] * 3)
    make = f"mkdir -p {{out}}/d/{deep} {{out}}/empty; cd {{out}}/d; echo 1 > run; chmod +x run; echo ü > {deep}/ü"
    for project in (here, there):
        project.stages.clear()
        project.stage("s", make, outputs=("d/", "empty/"))
        project.remote = url
    assert here.doit().ran == ["s"]
    assert there.doit().ran == []
    assert (there.result("s") / f"d/{deep}/ü").read_text() == "ü\n"
    assert os.access(there.result("s") / "d/run", os.X_OK) and (there.result("s") / "empty").is_dir()
    assert all(not path.stat().st_mode & 0o222 for path in there.result("s").rglob("*") if path.is_file())


def test_the_variable_goes_before_the_setting(here: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here.remote = f"file://{tmp_path}/setting"
    monkeypatch.setenv("POCKETLM_STORE", f"file://{tmp_path}/variable")
    here.doit("one")
    assert (tmp_path / "variable").exists() and not (tmp_path / "setting").exists()
    monkeypatch.setenv("POCKETLM_STORE", "off")
    here.doit("two")
    assert len(list((tmp_path / "variable").iterdir())) == 1 and not (tmp_path / "setting").exists()


def test_always_builds_and_sends_again(here: Project, there: Project, tmp_path: Path) -> None:
    """`-a` takes nothing from the remote, and what it makes replaces what is there."""
    here.remote = there.remote = f"file://{tmp_path}/remote"
    here.doit()
    assert there.doit("-a").ran == CHAIN
    remove_tree(str(here.build))
    assert here.doit().ran == []
    assert here.receipt("two") == there.receipt("two")


def test_no_remote_is_configured(here: Project) -> None:
    result = here.doit("push")
    assert result.status == 2
    assert "give --to URL, or set POCKETLM_STORE=URL, or store.remote" in result.err


def test_push_of_what_has_no_result(here: Project, tmp_path: Path) -> None:
    result = here.doit("push", "three", "--to", f"file://{tmp_path}/remote")
    assert result.status == 1 and "three: never built; run `doit three`" in result.out


def test_a_fresh_run_imports_no_fsspec(here: Project, tmp_path: Path) -> None:
    """A no-op with a remote store set costs what it costs without."""
    here.write("probe.py", "")
    here.doit()
    process = here.start(
        env={**os.environ, "POCKETLM_STORE": f"file://{tmp_path}/remote", "PYTHONPROFILEIMPORTTIME": "1"}
    )
    result = here.finish(process)
    assert result.status == 0 and "stages.graph.graph" in result.err
    assert "fsspec" not in result.err and "stages.graph.remote" not in result.err


# ── What is damaged or made to do harm is a miss ──


@pytest.fixture
def parcels(here: Project, tmp_path: Path) -> Path:
    """A remote folder filled by a build whose build folder is gone."""
    here.remote = f"file://{tmp_path}/remote"
    assert here.doit().ran == CHAIN
    remove_tree(str(here.build))
    return tmp_path / "remote"


def sealed(archive: bytes) -> bytes:
    """An archive with the digest that belongs at its end."""
    return archive + f"{bytes_digest(archive)}\n".encode()


def members(parcel: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(parcel)) as archive:
        return [(info, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]


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


def with_receipt(parcel: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    first, *rest = members(parcel)
    receipt = json.loads(first[1])
    change(receipt)
    return sealed(archive_of(entry("receipt.json", json.dumps(receipt).encode()), *rest))


def plus(*more: tuple[tarfile.TarInfo, bytes]) -> Callable[[bytes], bytes]:
    return lambda parcel: sealed(archive_of(*members(parcel), *more))


def instead_of_output(*more: tuple[tarfile.TarInfo, bytes]) -> Callable[[bytes], bytes]:
    return lambda parcel: sealed(archive_of(*members(parcel)[:-1], *more))


HARM: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda parcel: b"",
    "half": lambda parcel: parcel[: len(parcel) // 2],
    "without its end": lambda parcel: parcel[:-1],
    "more behind": lambda parcel: parcel + b"x",
    "one bit": lambda parcel: parcel[:700] + bytes([parcel[700] ^ 1]) + parcel[701:],
    "zeros": lambda parcel: bytes(len(parcel)),
    "html": lambda parcel: b"<html>Please log in</html>" * 100,
    "no members": lambda parcel: sealed(bytes(1024)),
    "no end": lambda parcel: sealed(parcel[:-65].rstrip(b"\0") + bytes(512)),
    "early end": lambda parcel: sealed(parcel[: -65 - 1024 - 1024] + bytes(2048)),
    "zeros in abundance": lambda parcel: sealed(parcel[:-65] + bytes(1 << 20)),
    "absolute path": plus(entry("/tmp/stolen", b"x")),
    "up": plus(entry("../stolen", b"x")),
    "up inside": plus(entry("d/../../stolen", b"x")),
    "extra file": plus(entry("extra", b"x")),
    "bytecode": plus(entry("__pycache__/o.pyc", b"x")),
    "below a file": plus(entry("o.txt/x", b"x")),
    "twice": lambda parcel: sealed(archive_of(*members(parcel), members(parcel)[-1])),
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
    "no output": lambda parcel: sealed(archive_of(*members(parcel)[:-1])),
    "executable": instead_of_output(entry("o.txt", b"hello\n", mode=0o755)),
    "no receipt": lambda parcel: sealed(archive_of(*members(parcel)[1:])),
    "receipt last": lambda parcel: sealed(archive_of(*members(parcel)[1:], members(parcel)[0])),
    "receipt is no JSON": lambda parcel: sealed(archive_of(entry("receipt.json", b"{"), *members(parcel)[1:])),
    "deep receipt": lambda parcel: sealed(archive_of(entry("receipt.json", b"[" * 100_000), *members(parcel)[1:])),
    "other key": lambda parcel: with_receipt(parcel, lambda r: r.update(key="0" * 64)),
    "other components": lambda parcel: with_receipt(parcel, lambda r: r["components"].update(params={"x": 1})),
    "NaN in components": lambda parcel: with_receipt(parcel, lambda r: r["components"].update(params=float("nan"))),
    "other stage": lambda parcel: with_receipt(parcel, lambda r: r.update(stage="other")),
    "other outputs": lambda parcel: with_receipt(
        parcel, lambda r: r["outputs"].update({"../x": r["outputs"]["o.txt"]})
    ),
    "no outputs": lambda parcel: with_receipt(parcel, lambda r: r["outputs"].clear()),
    "outputs of another kind": lambda parcel: with_receipt(parcel, lambda r: r.update(outputs=["o.txt"])),
    "no run": lambda parcel: with_receipt(parcel, lambda r: r.pop("run")),
    "run of another kind": lambda parcel: with_receipt(parcel, lambda r: r.update(run={"duration_s": "long"})),
    "accepted of another kind": lambda parcel: with_receipt(parcel, lambda r: r.update(accepted=[1])),
}


@pytest.mark.parametrize("harm", HARM)
def test_harmful_parcel_is_a_miss(here: Project, parcels: Path, harm: str, tmp_path: Path) -> None:
    """Never an error, never an artifact; one line each, and what is built instead mends the remote."""
    before = {path: path.read_bytes() for path in parcels.iterdir()}
    for path, parcel in before.items():
        path.write_bytes(HARM[harm](parcel))
    result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN), result.out
    assert content(here) == {"one": b"hello\n", "two": b"hello\n", "three": b"HELLO\n"}
    assert result.out.count("is not used") == 3
    assert not list(tmp_path.rglob("stolen")) and not Path("/tmp/stolen").exists()
    assert {path.name for path in here.build.joinpath("store").iterdir()} == {here.result(name).name for name in CHAIN}
    remove_tree(str(here.build))
    assert here.doit().ran == []


def test_parcel_that_is_a_folder_a_link_or_a_fifo(here: Project, parcels: Path) -> None:
    kinds: list[Callable[[Path], object]] = [
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/etc/hostname"),
        lambda path: path.symlink_to("nowhere"),
    ]
    for path, make in zip(sorted(parcels.iterdir()), kinds, strict=True):
        path.unlink()
        make(path)
    result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_parcel_is_a_miss_or_the_same_bytes(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, small_parcel: tuple[str, bytes]
) -> None:
    """Whatever happens to a parcel's bytes, even with the digest put right, no other output comes out of it."""
    from stages.graph.statcache import StatCache
    from stages.graph.store import Store

    key, parcel = small_parcel
    body = bytearray(parcel[:-65])
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
    mutated = sealed(bytes(body)) if data.draw(st.booleans()) else bytes(body) + parcel[-65:]
    folder = tmp_path_factory.mktemp("mutated")
    (folder / "parcel").write_bytes(mutated)
    store = Store(str(folder / "store"), StatCache(str(folder / "cache.json")))
    (folder / "store").mkdir()
    try:
        store.admit(key, lambda into: unpack(str(folder / "parcel"), into, key))
    except (BadParcel, OSError):
        assert list((folder / "store").iterdir()) == []
    except Exception as error:
        assert type(error).__name__ == "GraphError" and list((folder / "store").iterdir()) == []
    else:
        made = folder / "store" / key
        assert {path.name for path in made.iterdir()} <= {"receipt.json", "log.txt", "o.txt", "d"}
        assert (made / "o.txt").read_bytes() == b"hello\n" and (made / "d/x").read_bytes() == b"1\n"
        assert [path.name for path in (made / "d").iterdir()] == ["x"]


@pytest.fixture(scope="module")
def small_parcel(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """A parcel with a file and a folder in it."""
    root = tmp_path_factory.mktemp("small")
    project = Project(root, lambda: type("Captured", (), {"out": "", "err": ""}))
    project.stage("s", "echo hello > {out}/o.txt; mkdir {out}/d; echo 1 > {out}/d/x", outputs=("o.txt", "d/"))
    project.remote = f"file://{root}/remote"
    project.doit()
    (path,) = (root / "remote").iterdir()
    return path.name.removesuffix(".tar"), path.read_bytes()


def test_the_digest_at_the_end_finds_every_changed_byte(small_parcel: tuple[str, bytes], tmp_path: Path) -> None:
    key, parcel = small_parcel
    for at in range(0, len(parcel), 61):
        (tmp_path / "parcel").write_bytes(parcel[:at] + bytes([parcel[at] ^ 0x20]) + parcel[at + 1 :])
        with pytest.raises(BadParcel, match="damaged"):
            unpack(str(tmp_path / "parcel"), str(tmp_path / "out"), key)
    for size in range(0, len(parcel), 97):
        (tmp_path / "parcel").write_bytes(parcel[:size])
        with pytest.raises(BadParcel, match="cut off"):
            unpack(str(tmp_path / "parcel"), str(tmp_path / "out"), key)
    assert not (tmp_path / "out").exists()


def test_tar_reads_a_parcel(small_parcel: tuple[str, bytes], tmp_path: Path) -> None:
    """An ordinary archive, as another program sees it."""
    import subprocess

    (tmp_path / "parcel.tar").write_bytes(small_parcel[1])
    listed = subprocess.run(["tar", "tf", "parcel.tar"], cwd=tmp_path, capture_output=True, text=True, check=True)
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


# ── Out of reach ──


@pytest.fixture
def server() -> Iterator[HttpStore]:
    with http_store() as store:
        yield store


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "RETRY_AFTER_S", 0.05)


def lines_about(project: Project, out: str) -> list[str]:
    assert project.remote is not None
    return [line for line in out.splitlines() if without_secrets(project.remote, project.remote) in line]


def test_remote_that_is_down_is_one_line(here: Project) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        here.remote = f"http://127.0.0.1:{free.getsockname()[1]}/results"
    result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN)
    (line,) = lines_about(here, result.out)
    assert "is left alone for this run: reading failed (Client" in line and "check the address" in line


def test_remote_that_fails_is_asked_twice_and_then_left_alone(here: Project, server: HttpStore) -> None:
    server.broken = True
    here.remote = server.url
    result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN)
    assert len(lines_about(here, result.out)) == 1
    assert len(server.requests) == 2


def test_slow_remote_is_left_alone(here: Project, server: HttpStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "STALLED_S", 0.5)
    server.answer_after_s = 3
    here.remote = server.url
    result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN)
    (line,) = lines_about(here, result.out)
    assert "is left alone" in line
    assert len(server.requests) == 1


def test_read_only_remote_is_still_read(here: Project, there: Project, server: HttpStore) -> None:
    here.remote = there.remote = server.url
    here.doit("two")
    server.read_only = True
    there.write("a.txt", "hello\n")
    there.stage("four", "cp {in.three} {out}/o.txt", inputs={"three": there.stages["three"].inputs["two"]})
    result = there.doit()
    assert (result.status, result.ran) == (0, ["three", "four"])
    (line,) = lines_about(there, result.out)
    assert "is only read from in this run: writing failed" in line
    assert sum(request.startswith("PUT") for request in server.requests) == 2 + 1


def test_pull_and_push_of_a_remote_that_is_down_fail(here: Project) -> None:
    here.doit()
    for words in (("push", "--to"), ("pull", "-x", "--from")):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{free.getsockname()[1]}/results"
        if words[0] == "pull":
            remove_tree(str(here.build))
        result = here.doit(words[0], "--to" if words[0] == "push" else "--from", address)
        assert result.status == 1 and "check the address" in result.out


@pytest.mark.parametrize("scheme", ["nonsense", "sftp", "gs"])
def test_remote_of_a_kind_that_cannot_be_had(here: Project, scheme: str) -> None:
    here.remote = f"{scheme}://somewhere/x"
    result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN)
    assert len(lines_about(here, result.out)) == 1


def test_s3_without_credentials_is_one_line(here: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto", reason="locks/test.txt is not installed")
    with s3_store() as (url, variables):
        monkeypatch.setenv("AWS_ENDPOINT_URL", variables["AWS_ENDPOINT_URL"])
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", str(here.root))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        here.remote = f"{url}/elsewhere"
        result = here.doit()
    assert (result.status, result.ran) == (0, CHAIN)
    assert len(lines_about(here, result.out)) == 1


def test_secrets_are_never_shown(here: Project) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here.remote = f"http://reader:hunter2@127.0.0.1:{port}/results?X-Signature=abcdef"
    result = here.doit()
    assert "hunter2" not in result.out + result.err and "abcdef" not in result.out + result.err
    assert f"http://127.0.0.1:{port}/results is left alone" in result.out
    url = "https://u%40x:p%2Fw@host/x"
    said = without_secrets("no https://u%40x:p%2Fw@host/x/k.tar?sig=1 for u@x with p/w, see http://h/?t=1", url)
    assert said == "no https://host/x/k.tar for … with …, see http://h/"


# ── Cut short ──


def test_kill_in_the_middle_of_a_push_leaves_a_miss(here: Project, there: Project, server: HttpStore) -> None:
    """SIGKILL while a parcel is on its way to a server that keeps what it got: half a parcel is not believed."""
    here.stages.clear()
    here.stage("s", "head -c 64000000 /dev/zero > {out}/o.txt")
    there.stages = dict(here.stages)
    here.doit()
    server.chunk_after_s = 0.02
    process = here.start("push", "--to", server.url)
    wait_until(lambda: server.received > 1 << 20, seconds=60, what="the upload")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: server.objects, what="what the server keeps")
    (half,) = server.objects.values()
    assert 1 << 20 < len(half) < 64_000_000
    server.chunk_after_s = 0
    there.remote = server.url
    result = there.doit()
    assert result.ran == ["s"] and "is not used: cut off or damaged" in result.out
    assert here.doit("push", "--to", server.url).status == 0
    assert not list((here.build / "store").glob(".tmp-*"))


def test_upload_to_a_folder_that_is_cut_short_leaves_nothing(
    here: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under another name first: what has the name of a parcel is whole."""
    from fsspec.implementations.local import LocalFileSystem

    seen = []

    def fail(_: object, path: str, beside: str, **__: object) -> None:
        seen.append(beside)
        Path(beside).write_bytes(Path(path).read_bytes()[:100])
        raise OSError("pulled the plug")

    monkeypatch.setattr(LocalFileSystem, "put_file", fail)
    here.remote = f"file://{tmp_path}/remote"
    result = here.doit("one")
    assert result.status == 0 and "pulled the plug" in result.out
    assert seen and not any(path.endswith(".tar") for path in seen)
    assert list((tmp_path / "remote").iterdir()) == []
