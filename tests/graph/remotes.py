"""Remote stores to test against: a plain HTTP server that takes PUT, an S3 server (moto), both on loopback."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stages.serving import answering


@dataclass
class HttpStore:
    """What the HTTP server holds, and how it is to behave."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    read_only: bool = False
    broken: bool = False  # answers 500
    answer_after_s: float = 0.0
    chunk_after_s: float = 0.0  # how slowly it takes an upload
    received: int = 0  # bytes of the upload that is coming in


@contextlib.contextmanager
def http_store() -> Iterator[HttpStore]:
    """A server with GET, HEAD and PUT, and without byte ranges."""
    store = HttpStore()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Quiet."""

        def answer(self, status: int, body: bytes = b"") -> None:
            store.requests.append(f"{self.command} {self.path.rpartition('/')[2]} {status}")
            time.sleep(store.answer_after_s)
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        def do_GET(self) -> None:
            if store.broken:
                self.answer(500)
            elif self.path in store.objects:
                self.answer(200, store.objects[self.path])
            else:
                self.answer(404)

        do_HEAD = do_GET

        def do_PUT(self) -> None:
            body = self._body()
            if store.broken or store.read_only:
                self.answer(500 if store.broken else 405)
            else:
                store.objects[self.path] = body
                self.answer(201)

        def _body(self) -> bytes:
            """What comes in, be it cut short: a simple server keeps it."""
            body = b""
            with contextlib.suppress(OSError):
                while size := int(self.rfile.readline() or b"0", 16):  # fsspec uploads in chunks
                    while size and (part := self.rfile.read(min(size, 1 << 18))):
                        body += part
                        size -= len(part)
                        store.received = len(body)
                        time.sleep(store.chunk_after_s)
                    self.rfile.readline()
            return body

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        store.url = f"http://127.0.0.1:{server.server_port}/results"
        yield store


@contextlib.contextmanager
def s3_store() -> Iterator[tuple[str, dict[str, str]]]:
    """(URL of an empty store, the variables that lead to it)."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        variables = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }
        import boto3

        boto3.client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        ).create_bucket(Bucket="results")
        # moto keeps what is in a bucket for as long as this process lives, so each store is a folder of its own
        yield f"s3://results/some/{time.monotonic_ns()}", variables
    finally:
        server.stop()
