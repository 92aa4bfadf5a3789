"""A server on this machine that answers while something else goes on: a browser that looks at it, a test.

In: a server that is bound. Out: its requests answered by a thread of its own, which ends with the block.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from socketserver import BaseServer
from typing import TypeVar

Server = TypeVar("Server", bound=BaseServer)


@contextlib.contextmanager
def answering(server: Server) -> Iterator[Server]:
    """Answer requests until the block is left, and close the server then.

    The thread ends first: one that asked a closed socket would take a core for as long as the process lives.
    """
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    with server:
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
