"""preview: serve the bundle on this machine alone, as any static host would.

In: the folder build/<preset>/web. Out: an HTTP server on 127.0.0.1 until Ctrl-C. No special headers: what works here
works anywhere.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FIRST_PORT = 8000
PORTS_TRIED = 50


class BundleHandler(SimpleHTTPRequestHandler):
    """Files of one folder, links that leave it refused; quiet unless something is missing."""

    extensions_map = {  # noqa: RUF012 -- the base class declares it as an instance's
        **SimpleHTTPRequestHandler.extensions_map,
        ".wasm": "application/wasm",
        ".js": "text/javascript",
        ".bin": "application/octet-stream",
    }

    def send_head(self):  # type: ignore[no-untyped-def]
        """A path that ends outside the folder (links followed) is not found."""
        real, root = os.path.realpath(self.translate_path(self.path)), os.path.realpath(self.directory)
        if real != root and not real.startswith(root + os.sep):
            self.send_error(404, "not in the bundle")
            return None
        return super().send_head()

    def end_headers(self) -> None:
        """Say `no-cache`, so that a rebuilt model is fetched again, and forbid content sniffing."""
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
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
    handler = partial(BundleHandler, directory=str(folder))
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
