"""The server of `doit preview`: what a static host would send, and nothing from outside the bundle."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from stages import other_models, preview
from stages.serving import answering

POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"
PAGE = f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{POLICY}"><p>page</p>'


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    bundle = tmp_path / "web"
    (bundle / "assets").mkdir(parents=True)
    (bundle / "index.html").write_text(PAGE)
    (bundle / "assets" / "engine.wasm").write_bytes(b"\0asm")
    (bundle / "model.bin").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "secret.txt").write_text("secret")
    (bundle / "way-out").symlink_to(tmp_path / "secret.txt")
    (bundle / "folder-out").symlink_to(tmp_path)
    with answering(preview.server(bundle)) as http_server:
        yield http_server.server_address[0], http_server.server_port  # type: ignore[misc]


def ask(
    address: tuple[str, int], path: str = "/", method: str = "GET", host: str | None = "localhost"
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*address, timeout=120)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    return connection.getresponse()


def get(address: tuple[str, int], path: str) -> tuple[int, str, bytes]:
    answer = ask(address, path)
    return answer.status, answer.getheader("Content-Type", ""), answer.read()


def test_it_listens_on_this_machine_alone(address: tuple[str, int]) -> None:
    assert address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "kind", "size"),
    [
        ("/", "text/html", len(PAGE)),
        ("/assets/engine.wasm", "application/wasm", 4),
        ("/model.bin", "application/octet-stream", 2304),
    ],
)
def test_files_come_with_their_types(address: tuple[str, int], path: str, kind: str, size: int) -> None:
    status, content_type, body = get(address, path)
    assert (status, content_type, len(body)) == (200, kind, size)


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "/assets/../../secret.txt",
        "/way-out",
        "/folder-out/secret.txt",
        "//secret.txt",
        "/%00",
        "/secret.txt%00.html",
        "/missing",
        "/assets/",
    ],
)
def test_nothing_outside_the_bundle(address: tuple[str, int], path: str) -> None:
    status, _, body = get(address, path)
    assert status == 404 and b"secret" not in body


def test_the_absolute_path_of_a_file_is_no_way_to_it(address: tuple[str, int], tmp_path: Path) -> None:
    for path in (f"{tmp_path}/secret.txt", f"/{tmp_path}/secret.txt", f"file://{tmp_path}/secret.txt"):
        assert get(address, path)[0] == 404


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:80"])
def test_its_own_names_are_answered(address: tuple[str, int], host: str) -> None:
    assert ask(address, host=host).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost.", "192.168.0.2:8000", "", None])
def test_another_host_is_refused(address: tuple[str, int], host: str | None) -> None:
    """DNS rebinding: a page of that name would otherwise read the model as its own."""
    answer = ask(address, "/model.bin", host=host)
    assert answer.status == 421 and bytes(range(16)) not in answer.read()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_it_is_read_only(address: tuple[str, int], method: str) -> None:
    assert ask(address, method=method).status == 501


def test_head_is_get_without_the_body(address: tuple[str, int]) -> None:
    answer = ask(address, "/model.bin", method="HEAD")
    assert (answer.status, answer.getheader("Content-Length"), answer.read()) == (200, "2304", b"")


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/assets/engine.wasm", 200), ("/missing", 404)])
def test_every_answer_forbids_what_the_page_does_not_need(address: tuple[str, int], path: str, status: int) -> None:
    """The worker's script among them: a meta tag of the page does not reach into it."""
    answer = ask(address, path)
    assert answer.status == status
    assert answer.getheader("Content-Security-Policy") == f"{POLICY}; frame-ancestors 'none'"
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Referrer-Policy") == "no-referrer"
    assert answer.getheader("Cross-Origin-Opener-Policy") == "same-origin"
    assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
    assert answer.getheader("Access-Control-Allow-Origin") is None


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "model.bin").write_bytes(bytes(64 << 20))  # more than any socket holds
    with answering(preview.server(tmp_path)) as http_server:
        http_server.daemon_threads = False  # closing waits for them
        answer = ask(("127.0.0.1", http_server.server_port), "/model.bin")
        assert answer.read(64) == bytes(64)
        answer.close()
    assert capfd.readouterr().err == ""


def test_a_taken_port_is_an_error_and_the_next_free_one_is_found(address: tuple[str, int], tmp_path: Path) -> None:
    bundle = tmp_path / "web"
    with pytest.raises(OSError):
        preview.server(bundle, address[1])
    with preview.server(bundle) as second:
        assert second.server_port != address[1]


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A server with a file, a folder and a way out beside the bundle."""
    bundle, engine = tmp_path / "web", tmp_path / "store" / "engine"
    bundle.mkdir()
    engine.mkdir(parents=True)
    (bundle / "index.html").write_text(PAGE)
    (engine / "worker.js").write_text("worker")
    (engine / "way-out").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "store" / "model.bin").write_bytes(b"model")
    served = {"models/live.bin": tmp_path / "store" / "model.bin", "engine/1f/": engine, "gone.json": tmp_path / "gone"}
    with answering(preview.server(bundle, beside=served, view="live")) as http_server:
        yield http_server.server_address[0], http_server.server_port  # type: ignore[misc]


def test_what_lies_beside_the_bundle_is_served(beside: tuple[str, int]) -> None:
    assert get(beside, "/models/live.bin?1f2e") == (200, "application/octet-stream", b"model")
    assert get(beside, "/engine/1f/worker.js") == (200, "text/javascript", b"worker")


@pytest.mark.parametrize(
    "path",
    [
        "/gone.json",
        "/engine/1f/",
        "/engine/1f/way-out",
        "/engine/1f/../../secret.txt",
        "/engine/1f/%2e%2e/model.bin",
        "/models/",
        "/models/live.bin/",
        "/engine/2e/worker.js",
        "/engine/1f//model.bin",
    ],
)
def test_and_nothing_else_beside_it(beside: tuple[str, int], path: str) -> None:
    status, _, body = get(beside, path)
    assert status == 404 and b"secret" not in body and body != b"model"


@pytest.mark.parametrize(
    ("path", "target"), [("/", "/?live"), ("/?device=cpu", "/?live&device=cpu"), ("/?alive", "/?live&alive")]
)
def test_the_bare_address_leads_to_the_view(beside: tuple[str, int], path: str, target: str) -> None:
    answer = ask(beside, path)
    assert (answer.status, answer.getheader("Location")) == (302, target)
    assert get(beside, target)[0] == 200


def test_an_example_lies_beside_the_package_and_the_model_under_a_policy_of_its_own(tmp_path: Path) -> None:
    """Its script stands in the page itself, which the page's policy forbids; other hosts are forbidden there too."""
    bundle = _bundle(tmp_path, "plays")
    page, package = tmp_path / "web" / "examples" / "plain", tmp_path / "store" / "package"
    page.mkdir(parents=True)
    package.mkdir(parents=True)
    (page / "index.html").write_text("example")
    (page.parent / "secret.txt").write_text("secret")
    (package / "index.js").write_text("package")
    with answering(preview.server(bundle, beside=preview.example(page, package, bundle / "model.bin"))) as http_server:
        address = ("127.0.0.1", http_server.server_port)
        for path, body in [("", b"example"), ("pocketlm/index.js", b"package"), ("model.bin", b"plays")]:
            answer = ask(address, f"/examples/plain/{path}")
            assert (answer.status, answer.read()) == (200, body)
            policy = answer.getheader("Content-Security-Policy") or ""
            assert "'unsafe-inline'" in policy and "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        for path in ("/", "/examples/../index.html", "/examples/", "/examples/other/"):
            assert "unsafe-inline" not in (ask(address, path).getheader("Content-Security-Policy") or "")
        for path in ("../secret.txt", "%2e%2e/secret.txt", "pocketlm/../../secret.txt"):
            assert get(address, f"/examples/plain/{path}")[0] == 404


def _bundle(build: Path, preset: str) -> Path:
    bundle = build / preset / "web"
    (bundle / "models").mkdir(parents=True)
    (bundle / "index.html").write_text(PAGE)
    (bundle / "model.bin").write_text(preset)
    (bundle / "provenance.json").write_text(f"how {preset} was made")
    models = [{"name": preset, "path": "../model.bin", "size_bytes": len(preset)}]
    (bundle / "models" / "index.json").write_text(json.dumps({"models": models}))
    return bundle


def test_the_models_of_other_presets_are_offered_too(tmp_path: Path) -> None:
    chosen = _bundle(tmp_path, "plays")
    for other in ("answers", "zebra"):
        _bundle(tmp_path, other)
    (tmp_path / "old" / "web").mkdir(parents=True)  # built before there was an index
    beside = other_models.beside(tmp_path, "plays", tmp_path / "run" / "index.json")
    with answering(preview.server(chosen, beside=beside)) as http_server:
        address = ("127.0.0.1", http_server.server_port)
        offered = json.loads(get(address, "/models/index.json")[2])["models"]
        assert [entry["name"] for entry in offered] == ["plays", "answers", "zebra"]
        paths = [urljoin("/models/", entry["path"]) for entry in offered]
        assert paths == ["/model.bin", "/models/answers/model.bin", "/models/zebra/model.bin"]
        assert [get(address, path)[2].decode() for path in paths] == ["plays", "answers", "zebra"]
        assert get(address, "/models/answers/provenance.json")[2] == b"how answers was made"


def test_without_other_models_the_bundle_is_served_as_it_is(tmp_path: Path) -> None:
    _bundle(tmp_path, "plays")
    assert other_models.beside(tmp_path, "plays", tmp_path / "index.json") == {}
    assert other_models.beside(tmp_path, "nothing", tmp_path / "index.json") == {}
    assert not (tmp_path / "index.json").exists()
