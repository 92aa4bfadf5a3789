"""What a run costs in which nothing is stale: this engine beside plain doit, DVC, Snakemake and pytask.

In: the tools of locks/bench.txt in build/tools/bench (`doit bench build` puts them there). Out: a table in seconds of
CPU time, best of several rounds that take turns, so that other work on the machine spoils all columns alike.
`python -m tests.bench.build [--quick]`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import cost
from tests.bench.build.projects import TOOLS, Tool, sources

SIZES = (10, 100, 1000)
DVC_MOST = 100  # stages: building 1,000 takes DVC 25 minutes
ROUNDS, QUICK_ROUNDS = 7, 3
BIG_STAGES = 2  # in the project with the 500 MB input

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("POCKETLM_")},
    "PYTHONDONTWRITEBYTECODE": "",  # bytecode is kept, as for people
    "DVC_NO_ANALYTICS": "1",
    "DVC_DAEMON": "0",
}


class Project:
    """One tool's project in a folder of its own."""

    def __init__(self, tool: Tool, folder: Path, n: int, big: bool = False) -> None:
        self.tool, self.folder = tool, folder
        sources(folder, n, big)
        tool.write(folder, n)
        for name in ("XDG_CACHE_HOME", "DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR"):  # nothing of this person's
            ENVIRONMENT[name] = str(folder.parent / "cache")
        if tool.prepare:
            self._run(tool.prepare)
        self.first_s = self.noop()
        made = "build/shared/.current/all/o.txt" if tool.name == "ours" else "out/all.txt"
        if (folder / made).read_text() != "done\n":
            raise RuntimeError(f"{tool.name} did not build its project in {folder}")
        for _ in range(2):  # the caches of the tools and of the system
            self.noop()

    def noop(self) -> float:
        """CPU seconds of one run."""
        return self._run(self.tool.argv)

    def touch(self) -> None:
        """Give the first input a new time."""
        os.utime(self.folder / "src/0.txt")

    def _run(self, argv: Sequence[str]) -> float:
        return cost.run(argv, self.folder, ENVIRONMENT, self.folder / "log.txt")[1]


def best(projects: dict[str, Project], rounds: int) -> dict[str, float]:
    """The best no-op of each, in rounds that take turns."""
    found = dict.fromkeys(projects, float("inf"))
    for _ in range(rounds):
        for name, project in projects.items():
            found[name] = min(found[name], project.noop())
    return found


def table(rows: list[tuple[str, dict[str, float]]]) -> str:
    """One line a row, one column a tool: seconds, and times plain doit."""
    lines = [f"{'':<34}" + "".join(f"{tool.name:>18}" for tool in TOOLS)]
    for label, values in rows:
        cells = []
        for tool in TOOLS:
            value = values.get(tool.name)
            ratio = "" if value is None else f" ({value / values['plain doit']:5.2f}×)"
            cells.append(f"{'–' if value is None else f'{value:.3f}{ratio}':>18}")
        lines.append(f"{label:<34}" + "".join(cells))
    return "\n".join(lines)


def main(quick: bool) -> None:
    """Measure and print. Everything is made in a temporary folder, which goes however this ends."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    rows: list[tuple[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory(prefix="bench-build-") as name:
        for n in SIZES[: 2 if quick else 3]:
            projects = {}
            for tool in TOOLS:
                if tool.name == "DVC" and n > DVC_MOST:
                    continue
                print(f"  {tool.name}: building {n + 1} stages", file=sys.stderr, flush=True)
                projects[tool.name] = Project(tool, Path(name, f"{tool.name.replace(' ', '-')}-{n}"), n)
            rows.append((f"first build, {n + 1} stages", {t: p.first_s for t, p in projects.items()}))
            rows.append((f"no-op, {n + 1} stages", best(projects, rounds)))
        big = {}
        for tool in TOOLS:
            print(f"  {tool.name}: a 500 MB input", file=sys.stderr, flush=True)
            big[tool.name] = Project(tool, Path(name, f"{tool.name.replace(' ', '-')}-big"), BIG_STAGES, big=True)
        rows.append(("no-op, a 500 MB input", best(big, rounds)))
        for project in big.values():
            project.touch()
        time.sleep(0.05)
        rows.append(("  after `touch`, the first", {tool: project.noop() for tool, project in big.items()}))
        rows.append(("  after `touch`, the later ones", best(big, rounds)))
    print("CPU seconds, best of", rounds, "rounds that take turns; in brackets: times plain doit\n")
    print(table(rows))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
    try:
        main("--quick" in sys.argv[1:])
    except RuntimeError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
