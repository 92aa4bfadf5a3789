"""The server of `doit preview`: what a static host would send, and nothing from outside the bundle."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import preview


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    bundle = tmp_path / "web"
    (bundle / "assets").mkdir(parents=True)
    (bundle / "index.html").write_text("<p>page</p>")
    (bundle / "assets" / "engine.wasm").write_bytes(b"\0asm")
    (bundle / "model.bin").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "secret.txt").write_text("secret")
    (bundle / "way-out").symlink_to(tmp_path / "secret.txt")
    with preview.server(bundle) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, daemon=True)
        thread.start()
        yield http_server.server_address[0], http_server.server_port  # type: ignore[misc]
        http_server.shutdown()


def get(address: tuple[str, int], path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type", ""), answer.read()


def test_it_listens_on_this_machine_alone(address: tuple[str, int]) -> None:
    assert address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "kind", "size"),
    [
        ("/", "text/html", 11),
        ("/assets/engine.wasm", "application/wasm", 4),
        ("/model.bin", "application/octet-stream", 2304),
    ],
)
def test_files_come_with_their_types(address: tuple[str, int], path: str, kind: str, size: int) -> None:
    status, content_type, body = get(address, path)
    assert (status, content_type, len(body)) == (200, kind, size)


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/way-out", "//secret.txt", "/missing"]
)
def test_nothing_outside_the_bundle(address: tuple[str, int], path: str) -> None:
    status, _, body = get(address, path)
    assert status == 404 and b"secret" not in body


def test_a_taken_port_is_an_error_and_the_next_free_one_is_found(address: tuple[str, int], tmp_path: Path) -> None:
    with pytest.raises(OSError):
        preview.server(tmp_path, address[1])
    with preview.server(tmp_path) as second:
        assert second.server_port != address[1]
