"""preview: serve the bundle on this machine alone, as any static host would.

In: the folder build/<preset>/web, or the page without a model and what is served beside it. Out: an HTTP server on
127.0.0.1 until Ctrl-C. Its headers only forbid, so that what works here works on a host that sends none.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

FIRST_PORT = 8000
PORTS_TRIED = 50
# A page elsewhere whose name was made to resolve to 127.0.0.1 (DNS rebinding) still sends its own name.
HOSTS = ("localhost", "127.0.0.1")
# What lies below it are pages as anybody may write them, with a script in the page itself; no other host all the same.
EXAMPLES = "examples/"
EXAMPLES_POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; frame-ancestors 'none'"
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

    def __init__(
        self, *args: Any, security_policy: str, beside: Mapping[str, Path], view: str = "", **kwargs: Any
    ) -> None:
        """beside: files that are no part of the bundle, by the paths at which they are served ("models/a.bin"), and
        folders ("engine/1f2e/"). view: a word that the page's address must have.
        """
        self.security_policy, self.beside, self.view = security_policy, beside, view
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
        """A path that ends outside its folder (links followed) is not found."""
        asked = urlsplit(self.path)
        if asked.path == "/" and self.view and self.view not in asked.query.split("&"):
            self.send_response(302)
            self.send_header("Location", "/?" + "&".join(filter(None, (self.view, asked.query))))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        _, place = self._beside()
        root = os.path.realpath(place or self.directory)
        try:
            real = os.path.realpath(self.translate_path(self.path))
        except ValueError:  # a NUL in the path
            real = ""
        if real != root and not real.startswith(root + os.sep):
            self.send_error(404, "not in the bundle")
            return None
        return super().send_head()

    def _beside(self) -> tuple[str, Path | None]:
        """(the name, the place) of what the path asks for beside the bundle, or of the folder that it lies in."""
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        for name, place in list(self.beside.items()):
            if path == name or (name.endswith("/") and path.startswith(name)):
                return name, place
        return "", None

    def translate_path(self, path: str) -> str:
        """Called by the base class: where a path's file lies."""
        name, place = self._beside()
        if place is None:
            return super().translate_path(path)
        inside = unquote(urlsplit(path).path).removeprefix(f"/{name}")
        return os.path.join(place, inside) if name.endswith("/") else str(place)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """A reader that has seen enough, as the page of a file's beginning, is no error."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().copyfile(source, outputfile)

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """A folder without a page is not found."""
        self.send_error(404, "not in the bundle")

    def end_headers(self) -> None:
        """Add the headers that every answer has, errors too."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        has_path = hasattr(self, "path")  # not where the line is no request
        is_example = has_path and self._beside()[0].startswith(EXAMPLES)
        self.send_header("Content-Security-Policy", EXAMPLES_POLICY if is_example else self.security_policy)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not news; errors go through log_error."""

    def log_error(self, format: str, *args: object) -> None:
        """One line to stderr."""
        sys.stderr.write(f"preview: {self.path}: {format % args}\n")


def server(
    folder: Path, port: int | None = None, beside: Mapping[str, Path] | None = None, view: str = ""
) -> ThreadingHTTPServer:
    """A server for `folder` on 127.0.0.1, on `port` or the first free one from 8000; beside, view: as BundleHandler has
    them. Raises OSError where the port is taken.
    """
    handler = partial(
        BundleHandler, directory=str(folder), security_policy=policy(folder), beside=beside or {}, view=view
    )
    wanted = [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + PORTS_TRIED), 0]
    for candidate in wanted:
        try:
            return ThreadingHTTPServer(("127.0.0.1", candidate), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == wanted[-1]:
                raise
    raise AssertionError("port 0 is always free")


def example(page: Path, package: Path, model: Path) -> dict[str, Path]:
    """The example page in the folder `page` with the package and a model where it expects them, as `beside` has it."""
    place = f"{EXAMPLES}{page.name}/"
    return {f"{place}pocketlm/": package, f"{place}model.bin": model, place: page}


def announce(described: Path, news: Mapping[str, Any]) -> None:
    """Write the live.json that an open page asks for again and again, in one step. news: its "model" and "worker" by
    the paths at which they are served, what it "says", "figures" and "error" (web/src/lib/live.ts).
    """
    new = described.with_suffix(".new")
    new.write_text(json.dumps({"format": 1, **news}, ensure_ascii=False), encoding="utf-8")
    new.replace(described)


def serve(folder: Path, port: int | None = None, beside: Mapping[str, Path] | None = None, view: str = "") -> int:
    """Print the address and serve until Ctrl-C or SIGTERM; beside, view: as BundleHandler has them. Returns the exit
    status.
    """
    try:
        http = server(folder, port, beside, view)
    except OSError as error:
        print(
            f"preview: port {port} on 127.0.0.1: {error.strerror}; leave --port out to take a free one", file=sys.stderr
        )
        return 1
    with http:
        address = f"http://localhost:{http.server_port}/"
        print(f"\n  PocketLM is on  {address}", flush=True)
        for name in beside or {}:
            if name.startswith(EXAMPLES) and name.endswith("/") and name.count("/") == 2:
                print(f"  A page that embeds the same model:  {address}{name}", flush=True)
        print(f"  Ctrl-C ends it. The folder behind it: {folder}\n", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever runs beside it ends too
        try:
            http.serve_forever()
        except KeyboardInterrupt:
            print("\npreview: ended", flush=True)
    return 0
