"""preview: serve the bundle on this machine alone, as any static host would.

In: the folder build/<preset>/web. Out: an HTTP server on 127.0.0.1 until Ctrl-C. Its headers only forbid, so that
what works here works on a host that sends none.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FIRST_PORT = 8000
PORTS_TRIED = 50
# A page elsewhere whose name was made to resolve to 127.0.0.1 (DNS rebinding) still sends its own name.
HOSTS = ("localhost", "127.0.0.1")
HEADERS = {
    "Cache-Control": "no-cache",  # a rebuilt model is fetched again
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _PolicyOf(HTMLParser):
    """The Content-Security-Policy that a page sets for itself."""

    content: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the meta tag's content."""
        given = dict(attrs)
        if tag == "meta" and (given.get("http-equiv") or "").lower() == "content-security-policy":
            self.content = given.get("content")


def policy(folder: Path) -> str:
    """The page's own policy, which as a header holds in its worker too, and what only a header can forbid: frames."""
    page = _PolicyOf()
    page.feed((folder / "index.html").read_text(encoding="utf-8"))
    return "; ".join(filter(None, (page.content, "frame-ancestors 'none'")))


class BundleHandler(SimpleHTTPRequestHandler):
    """Files of one folder, links that leave it refused; quiet unless something is missing."""

    extensions_map = {  # noqa: RUF012 -- the base class declares it as an instance's
        **SimpleHTTPRequestHandler.extensions_map,
        ".wasm": "application/wasm",
        ".js": "text/javascript",
        ".bin": "application/octet-stream",
    }

    def __init__(self, *args: Any, security_policy: str, **kwargs: Any) -> None:
        self.security_policy = security_policy
        super().__init__(*args, **kwargs)

    def parse_request(self) -> bool:
        """Refuse a request that was meant for another host."""
        if not super().parse_request():
            return False
        host = self.headers.get("Host", "")
        if host.partition(":")[0].lower() in HOSTS:
            return True
        self.send_error(421, f"the Host should be one of {', '.join(HOSTS)}")
        return False

    def send_head(self):  # type: ignore[no-untyped-def]
        """A path that ends outside the folder (links followed) is not found."""
        root = os.path.realpath(self.directory)
        try:
            real = os.path.realpath(self.translate_path(self.path))
        except ValueError:  # a NUL in the path
            real = ""
        if real != root and not real.startswith(root + os.sep):
            self.send_error(404, "not in the bundle")
            return None
        return super().send_head()

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """A folder without a page is not found."""
        self.send_error(404, "not in the bundle")

    def end_headers(self) -> None:
        """Add the headers that every answer has, errors too."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", self.security_policy)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not news; errors go through log_error."""

    def log_error(self, format: str, *args: object) -> None:
        """One line to stderr."""
        sys.stderr.write(f"preview: {self.path}: {format % args}\n")


def server(folder: Path, port: int | None = None) -> ThreadingHTTPServer:
    """A server for `folder` on 127.0.0.1, on `port` or the first free one from 8000. Raises OSError where the port
    is taken.
    """
    handler = partial(BundleHandler, directory=str(folder), security_policy=policy(folder))
    wanted = [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + PORTS_TRIED), 0]
    for candidate in wanted:
        try:
            return ThreadingHTTPServer(("127.0.0.1", candidate), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == wanted[-1]:
                raise
    raise AssertionError("port 0 is always free")


def serve(folder: Path, port: int | None = None) -> int:
    """Print the address and serve until Ctrl-C or SIGTERM. Returns the exit status."""
    try:
        http = server(folder, port)
    except OSError as error:
        print(
            f"preview: port {port} on 127.0.0.1: {error.strerror}; leave --port out to take a free one", file=sys.stderr
        )
        return 1
    with http:
        print(f"\n  PocketLM is on  http://localhost:{http.server_port}/", flush=True)
        print(f"  Ctrl-C ends it. The folder behind it: {folder}\n", flush=True)
        try:
            http.serve_forever()
        except KeyboardInterrupt:
            print("\npreview: ended", flush=True)
    return 0
