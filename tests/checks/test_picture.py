"""docs/ARCHITECTURE.md shows the graph that there is."""

from __future__ import annotations

import subprocess

from stages import paths


def test_the_graph_in_the_documentation_is_the_real_one() -> None:
    command = [str(paths.VENV / "bin/doit"), "graph", "--mermaid", "--plain"]
    drawn = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
    text = (paths.ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    advice = "put what `./doitw graph --mermaid --plain` prints into docs/ARCHITECTURE.md"
    assert f"```mermaid\n{drawn}```" in text, advice
