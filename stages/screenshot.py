"""screenshot: a picture of the page with some text of the model, for the README.

In: the folder build/<preset>/web. Out: a PNG, made in a browser without a screen.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from stages import paths, preview, tools
from stages.check import web_copy
from stages.graph import GraphError
from stages.graph.run.setup import ensure
from stages.project import GRAPH
from stages.serving import answering


def take(folder: Path, file: Path) -> None:
    """Serve the bundle in `folder`, let the model write, and save what is seen.

    Raises GraphError where the browser or the page fails.
    """
    for setup in (tools.NODE_PACKAGES, tools.BROWSER):
        ensure(GRAPH.session, setup)
    with answering(preview.server(folder)) as http, web_copy(paths.ROOT) as copy:
        address = f"http://localhost:{http.server_port}/"
        argv = ["node", "scripts/screenshot.mjs", address, tools.chromium() or "", str(file)]
        done = subprocess.run(argv, cwd=copy, capture_output=True, text=True)
    if done.returncode != 0:
        raise GraphError(f"the page could not be pictured:\n{done.stderr.strip()}")
