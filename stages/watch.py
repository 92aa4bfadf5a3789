"""watch: sources that change in, a page that follows out, until Ctrl-C.

The page comes from Vite's own server, over a copy of web/ that is kept equal: components and styles change in place.
What else a change makes stale, the engine in its worker and the model, is built by a `doit` of its own and announced
in live.json; the page takes both between two texts (web/src/components/Live.tsx) and keeps prompt, text and settings.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from stages import check, paths, preview, tools
from stages.graph import GraphError
from stages.graph.run.setup import ensure
from stages.serving import answering

FIRST_PORT = 5173
WATCHED = ("rust", "shaders", "stages", "training", "web")
BUILT = ("npm", "export")  # what the page takes: the engine in its worker, and the model
PACKAGE = ("src/package", "src/engine", "npm", "scripts")  # of web/: also in what is built
LOCKED = 75  # another run holds the lock
AGAIN_S = 1.0  # after that
GRACE_S = 20.0  # for what is told to end
TAIL = 14  # lines of a failed build that the page shows


class Follower:
    """Builds when asked, and publishes what came of it. One build at a time; what is asked meanwhile waits."""

    def __init__(self, folder: Path, words: Sequence[str], preset: str) -> None:
        """folder: for what is served. words: the choices on the command line."""
        self.folder, self.words, self.preset = folder, list(words), preset
        self.described = folder / "live.json"
        self.beside: dict[str, Path] = {"live.json": self.described}
        self._wanted, self._over = threading.Event(), threading.Event()
        self._building: subprocess.Popen[str] | None = None
        self._engine: str | None = None  # of both the beginning of the key
        self._model: str | None = None
        self._thread = threading.Thread(target=self._work)

    def start(self) -> None:
        """Begin with what is linked, if anything is, and with a build."""
        with contextlib.suppress(OSError):
            self._publish()
        self._describe("Building…", "")
        self._wanted.set()
        self._thread.start()

    def want(self) -> None:
        """Something changed."""
        self._wanted.set()

    def close(self) -> None:
        """End the build that runs, with all of its commands."""
        self._over.set()
        self._wanted.set()
        if self._building is not None:
            end(self._building)
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            if self._over.is_set():
                return
            self._wanted.clear()
            self._build()

    def _build(self) -> None:
        """Bring what the page takes up to date; on failure say why, here and in the page."""
        self._describe("Building what the change makes stale…", "")
        began, tail = time.monotonic(), list[str]()
        doit = [sys.executable, "-P", "-m", "stages.main"]
        self._building = subprocess.Popen(
            [*doit, "run", *BUILT, *self.words],
            cwd=paths.ROOT,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is passed on once
        )
        if self._over.is_set():
            end(self._building)
        assert self._building.stdout is not None
        for line in self._building.stdout:
            if not line.startswith("fresh "):
                sys.stdout.write(line)
                sys.stdout.flush()
                tail = [*tail[1 - TAIL :], *([line.rstrip()] if line.strip() else [])]
        status = self._building.wait()
        if self._over.is_set():
            return
        if status == LOCKED:
            self._describe("Waiting for another run to end…", "")
            self._over.wait(AGAIN_S)
            self._wanted.set()
        elif status != 0:
            self._describe("The last change could not be built; the next one is tried again.", "\n".join(tail))
        else:
            self._publish()
            took = f"{time.monotonic() - began:.1f} s"
            self._describe(f"Up to date since {time.strftime('%H:%M:%S')} (built in {took}). Watching the sources.", "")

    def _publish(self) -> None:
        """Serve what is linked now. What an open page still loads of the one before stays there."""
        npm, model = (path.resolve(strict=True) for path in (paths.NPM, paths.preset_dir(self.preset) / "model.bin"))
        self._engine, self._model = npm.parent.name[:16], model.parent.name[:16]
        self.beside[f"engine/{self._engine}/"] = npm
        self.beside["models/live.bin"] = model

    def _describe(self, says: str, error: str) -> None:
        news: dict[str, Any] = {
            "model": self._model and f"models/live.bin?{self._model}",
            "worker": self._engine and f"engine/{self._engine}/worker.js",
            "says": says,
            "figures": [],
            "error": error,
        }
        preview.announce(self.described, news)


def follow(preset: str, words: Sequence[str], port: int | None) -> int:
    """Build, serve and watch until Ctrl-C or SIGTERM. Returns the exit status. Raises GraphError where Vite fails."""
    from stages.project import GRAPH

    for setup in (tools.WATCH, tools.NODE_PACKAGES):
        ensure(GRAPH.session, setup)
    from watchfiles import watch  # installed by now

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = paths.BUILD / "run" / "watch"
    shutil.rmtree(folder, ignore_errors=True)
    copy = folder / "web"
    check.copy_web(paths.ROOT, copy)
    follower = Follower(folder, words, preset)
    vite: subprocess.Popen[str] | None = None
    with answering(preview.server(copy, 0, follower.beside)) as http:
        try:
            follower.start()
            vite = _vite(copy, http.server_port, port)
            print(f"  Ctrl-C ends it. Watched: {', '.join(f'{name}/' for name in WATCHED)}\n", flush=True)
            for changes in watch(*(paths.ROOT / name for name in WATCHED), step=20):
                changed = [Path(path) for _, path in changes]
                mirror(changed, paths.ROOT / "web", copy)
                if any(builds(path.relative_to(paths.ROOT)) for path in changed):
                    follower.want()
        except KeyboardInterrupt:
            pass
        finally:
            follower.close()
            if vite is not None:
                end(vite)
    print("\nwatch: ended", flush=True)
    return 0


def builds(path: Path) -> bool:
    """Whether a change of this source, from the root, may make stale what is built here; Vite has the rest of web/."""
    if path.parts[0] != "web":
        return True
    inside = Path(*path.parts[1:])
    return len(inside.parts) == 1 or any(inside.is_relative_to(part) for part in PACKAGE)


def mirror(changed: Iterable[Path], source: Path, copy: Path) -> None:
    """Make the copy equal to the source where something changed. A file appears whole."""
    for path in changed:
        if not path.is_relative_to(source):
            continue
        target = copy / path.relative_to(source)
        new = copy.parent / "new"
        try:
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            shutil.copyfile(path, new)
            target.parent.mkdir(parents=True, exist_ok=True)
            new.replace(target)
        except FileNotFoundError:  # it is gone
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink(missing_ok=True)


def _vite(copy: Path, beside_port: int, port: int | None) -> subprocess.Popen[str]:
    """Vite's server over the copy, once it answers; its address is printed. Raises GraphError where it ends instead."""
    wanted = ["--port", str(port or FIRST_PORT), *(["--strictPort"] if port else [])]
    vite = subprocess.Popen(
        ["node", "node_modules/vite/bin/vite.js", "--host", "localhost", "--clearScreen", "false", *wanted],
        cwd=copy,
        env={**os.environ, "POCKETLM_WATCH": f"http://127.0.0.1:{beside_port}", "NO_COLOR": "1"},
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    said: list[str] = []
    assert vite.stdout is not None
    for line in vite.stdout:
        if "Local:" in line:
            address = line.split("Local:")[1].strip()
            print(f"\n  PocketLM is on  {address}?live", flush=True)
            threading.Thread(target=_pass_on, args=(vite.stdout,), daemon=True).start()
            return vite
        said.append(line)
    vite.wait()
    raise GraphError(f"Vite's server ended with status {vite.returncode}:\n{''.join(said).strip()}")


def _pass_on(stream: IO[str]) -> None:
    """What Vite says of a source that it cannot read, in the terminal; the page shows it too."""
    with contextlib.suppress(ValueError):  # closed
        for line in stream:
            sys.stdout.write(line)
            sys.stdout.flush()


def end(process: subprocess.Popen[str]) -> None:
    """End a process with all that it started."""
    with contextlib.suppress(OSError):
        process.terminate()  # doit ends its commands by itself
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
