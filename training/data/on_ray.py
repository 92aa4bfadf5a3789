"""The pieces of a corpus over a Ray cluster: a function and pieces in, what it makes of each out, as each is done.

Ray Data runs one task a piece. Where a worker dies, Ray runs its task again; what the function raises ends the whole.
Ray is imported when this is used, and not before: it is an extra (locks/ray.txt).

The workers must see the folders that the function names under the same paths. Those of a cluster that is started here
have this process's modules; to those of one that is there `training` and the tokenizer's module are sent. What these
import (locks/ray.txt names it), and the same Python, its machines must have.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import secrets
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from training import command
from training.data.documents import Piece

OBJECT_STORE_NBYTES = 100_000_000  # of a cluster of our own: what the tasks return, not the texts
SPEAKS_EVERY_S = 10.0
CONNECTS_S = 10.0
RETRIES = 3  # of a piece whose worker died; Ray Data's own default has no end

Made = TypeVar("Made")


def over(function: Callable[[Piece], Made], pieces: Sequence[Piece], address: str, done: str) -> Iterator[Made]:
    """function(piece) of each, in the order in which they are done. function: a dataclass with __call__, say, of a
    module that workers can import; it may be called again for a piece. address: of a cluster, or "" for one of this
    machine. done: what has been done, for whoever watches.

    Raises what the function raised (ValueError or OSError), and ValueError where there is no Ray or no such cluster.
    """

    def task(row: dict[str, Any]) -> dict[str, bytes]:
        try:
            made: Any = function(Piece(**row))
        except (ValueError, OSError) as error:  # not for Ray to try again
            made = error
        return {"made": pickle.dumps(made)}

    if not pieces:
        return
    with _cluster(address), contextlib.closing(_rows(task, pieces)) as each:
        import ray

        spoke_s = time.monotonic()
        for number in range(1, len(pieces) + 1):
            try:
                made = pickle.loads(next(each)["made"])
            except ray.exceptions.RayTaskError:  # a flaw in the function: its traceback is in it
                raise
            except ray.exceptions.RayError as error:
                raise ValueError(
                    f"data.engine=ray: {error} It was tried {RETRIES + 1} times; is there memory for the workers?"
                ) from error
            if isinstance(made, Exception):
                raise made
            if time.monotonic() > spoke_s + SPEAKS_EVERY_S:
                spoke_s = time.monotonic()
                command.say(f"{number} of {len(pieces)} {done}")
            yield made


def _rows(task: Callable[[dict[str, Any]], dict[str, bytes]], pieces: Sequence[Piece]) -> Generator[dict[str, bytes]]:
    """What the cluster makes of each piece, until it is closed, which is to be before the cluster is."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = ray.data.from_items([piece._asdict() for piece in pieces], override_num_blocks=len(pieces))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray 2.64 will want them named, 2.60 knows no name for this one
        results = rows.map(task, num_cpus=1, ray_remote_args_fn=lambda: {"max_retries": RETRIES})
    yield from results.iter_rows()


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[None]:
    """Ray, as long as it is needed; one that this process is connected to already is left as it is."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing goes over the network
    if "ray" not in sys.modules:  # which reads them once
        if not address:  # nobody else may use our cluster, and no token is left in the home
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        if not address or (Path.home() / ".ray" / "auth_token").is_file():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(
            f'data.engine=ray: Ray is not installed ({error}); "./doitw shards" installs it by locks/ray.txt, or '
            "install it yourself, or set data.engine=local"
        ) from error
    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what ends it is raised, too
    with contextlib.ExitStack() as closing:
        if address:
            _check_listens(address)
            where: dict[str, Any] = {"address": address, "runtime_env": {"py_modules": _modules()}}
        else:
            # Short, since sockets are in it, whose paths have 107 bytes at the most.
            folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
            where = {
                "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                "object_store_memory": OBJECT_STORE_NBYTES,
                "include_dashboard": False,
                "_temp_dir": closing.enter_context(folder),
            }
        closing.callback(ray.shutdown)
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ValueError(f"data.ray_address={address}: {error}; is a Ray cluster there?") from error
        yield


def _check_listens(address: str) -> None:
    """Raises ValueError where nobody does: Ray itself would try for a quarter of an hour."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECTS_S).close()
    except OSError as error:
        raise ValueError(f"data.ray_address={address}: {error}; is a Ray cluster there?") from error


def _modules() -> list[str]:
    """The folders of the modules that a worker needs and may not have."""
    import pocketlm_tokenizer

    import training

    return [str(Path(module.__file__ or "").parent) for module in (training, pocketlm_tokenizer)]
