"""The remote store: what one machine built, another takes; what is corrupt, hostile or out of reach costs a line."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from stages.graph import Output
from stages.graph.keep import remote as remotes
from stages.graph.keep.remote import without_secrets
from stages.graph.keep.store import remove_tree
from tests.graph.conftest import CHAIN, content
from tests.graph.project import Project, wait_until
from tests.graph.remotes import HttpStore, http_store, s3_store

pytestmark = pytest.mark.usefixtures("impatient")


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


# ── What one machine built, another takes ──


def test_why_asks_the_remote(here: Project, there: Project, url: str) -> None:
    """What the remote has does not have to run, nor what is made from it; and nothing is fetched for saying so."""
    here.remote = there.remote = url
    here.doit()
    assert {state for state, _ in there.why().values()} == {"comes from the remote store"}
    assert not (there.build / "store").exists()
    there.stage("three", "cat {in.two} > {out}/o.txt", inputs={"two": Output("two", "o.txt")})
    states = {name: state for name, (state, _) in there.why().items()}
    assert states == {**dict.fromkeys(CHAIN, "comes from the remote store"), "three": "will run"}
    assert "comes from the remote store" in there.doit("list", "--status").out
    assert "one" in there.doit("graph").out
    assert there.doit().ran == ["three"]


def test_why_does_not_wait_for_a_silent_remote(there: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "ASK_S", 0.3)
    with silent_server() as port:
        there.remote = f"http://127.0.0.1:{port}/"
        result = there.doit("why")
    assert result.out.count("will run") == 3
    assert result.err.count("is left alone for this run: reading failed (TimeoutError: nothing moved for 0 s)") == 1


def test_why_says_that_nobody_answers(there: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
    monkeypatch.setenv("POCKETLM_STORE", address)  # its port is closed now
    result = there.doit("why")
    assert result.status == 0 and "one    will run" in result.out
    assert result.err.count(f"{address} is left alone for this run: reading failed (") == 1


def test_why_stops_asking_a_slow_remote(there: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "ASK_ALL_S", 0.0)
    there.stages["apart"] = dataclasses.replace(there.stages["one"], name="apart")
    there.remote = "memory://nothing-there"
    result = there.doit("why")
    assert result.status == 0 and result.err.count("is slow: what it has of the other stages was not asked") == 1


def test_why_needs_nothing_where_no_remote_is_configured(there: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> NoReturn:
        raise AssertionError("no remote is configured")

    monkeypatch.setattr(remotes.Remote, "__init__", never)
    assert there.why()["one"][0] == "will run"


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


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
    assert result.status == 0 and "stages.graph.decide.look" in result.err
    assert "fsspec" not in result.err and "stages.graph.keep.remote" not in result.err


# ── Out of reach ──


@pytest.fixture
def server() -> Iterator[HttpStore]:
    with http_store() as store:
        yield store


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
    """SIGKILL while an archive is on its way to a server that keeps what it got: half an archive is not believed."""
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
    assert result.ran == ["s"] and "is not used: cut off or corrupt" in result.out
    assert here.doit("push", "--to", server.url).status == 0
    assert not list((here.build / "store").glob(".tmp-*"))


def test_upload_to_a_folder_that_is_cut_short_leaves_nothing(
    here: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under another name first: what has the name of an archive is whole."""
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


class _Trickle(MemoryFileSystem):
    """A slow file system that tells nothing before the end, as fsspec's sftp does."""

    protocol = "trickle"
    pause_s = 0.1

    def get_file(self, rpath: str, lpath: str, **_: object) -> None:
        data = self.cat_file(rpath)
        with open(lpath, "wb", buffering=0) as out:
            for at in range(0, len(data), 512):
                out.write(data[at : at + 512])
                time.sleep(self.pause_s)

    def put_file(self, *_: object, **__: object) -> None:
        time.sleep(2)

    def _open(self, path: str, mode: str = "rb", **options: object) -> object:
        file = super()._open(path, mode, **options)
        if mode == "wb":
            write = file.write
            file.write = lambda data: time.sleep(self.pause_s) or write(data)
        return file


def test_slow_transfer_goes_on_as_long_as_something_moves(
    here: Project, there: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    fsspec.register_implementation("trickle", _Trickle, clobber=True)
    monkeypatch.setattr(remotes, "STALLED_S", 0.6)
    monkeypatch.setattr(remotes, "CHUNK_BYTES", 512)
    here.remote = there.remote = f"trickle://{tmp_path.name}"
    result = here.doit("one")
    assert result.ran == ["one"] and lines_about(here, result.out) == []
    assert there.doit("one").ran == []
    monkeypatch.setattr(_Trickle, "pause_s", 3.0)
    result = there.doit("run", "-a", "one")
    assert "nothing moved for 1 s" in result.out
