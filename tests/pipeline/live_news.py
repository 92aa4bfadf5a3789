"""What `doit preview --live` and `doit watch` announce, awaited."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any


def news(described: Path, until: str) -> dict[str, Any]:
    """A live.json as soon as it says something; a run that hangs ends by pytest's own clock."""
    pause = threading.Event()
    while True:
        found: dict[str, Any] = json.loads(described.read_text())
        if until in json.dumps(found):
            return found
        pause.wait(0.005)
