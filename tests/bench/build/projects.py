"""The same pipeline for each tool: N stages that copy one small file each, and one that needs all of their outputs.

In: an empty folder and N. Out: the files of one tool's project there, and the command that brings it up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RUN_DOIT = ROOT / "tests/graph/run_doit.py"  # doit with the engine's commands, outside this project
PEERS = ROOT / "build/tools/bench/bin"  # DVC, Snakemake and pytask, by locks/bench.txt

OURS = """
from stages.graph import Graph, Output, Stage, files

N = {n}
copies = [
    Stage(f"s{{i}}", "Copies.", ("cp", f"src/{{i}}.txt", "{{out}}/o.txt"), ["o.txt"], sources=(files(f"src/{{i}}.txt"),))
    for i in range(N)
]
inputs = {{f"i{{i}}": Output(f"s{{i}}", "o.txt") for i in range(N)}}
last = Stage("all", "Needs all.", ("sh", "-c", "echo done > {{out}}/o.txt"), ["o.txt"], inputs=inputs)
GRAPH = Graph([*copies, last], root=".", build="build")
DOIT_CONFIG = GRAPH.doit_config()


def task_all():
    yield from GRAPH.tasks()
"""

PLAIN = """
DOIT_CONFIG = {{"backend": "json", "dep_file": "plain.json"}}
N = {n}


def task_all():
    for i in range(N):
        copy = f"cp src/{{i}}.txt out/{{i}}.txt"
        yield {{"basename": f"s{{i}}", "actions": [copy], "file_dep": [f"src/{{i}}.txt"], "targets": [f"out/{{i}}.txt"]}}
    outs = [f"out/{{i}}.txt" for i in range(N)]
    yield {{"basename": "all", "actions": ["echo done > out/all.txt"], "file_dep": outs, "targets": ["out/all.txt"]}}
"""

# doit as it comes: it looks for plugins, as always, and takes none (this project's environment has ours).
STOCK_DOIT = """
import sys
from doit.doit_cmd import DoitMain
from doit.plugin import PluginDict

look = PluginDict._from_entry_points
PluginDict._from_entry_points = lambda self, category: look(self, category) and {}
sys.exit(DoitMain(config_filenames=()).run(sys.argv[1:]))
"""

SNAKEMAKE = """
N = {n}

rule all:
    input: "out/all.txt"

rule copy:
    input: "src/{{i}}.txt"
    output: "out/{{i}}.txt"
    wildcard_constraints: i="[0-9]+"
    shell: "cp {{input}} {{output}}"

rule last:
    input: [f"out/{{i}}.txt" for i in range(N)]
    output: "out/all.txt"
    shell: "echo done > {{output}}"
"""

PYTASK = """
import subprocess
from pathlib import Path
from typing import Annotated

from pytask import Product, task

HERE = Path(__file__).parent
N = {n}
for i in range(N):

    @task(id=str(i))
    def task_copy(
        source: Path = HERE / f"src/{{i}}.txt", target: Annotated[Path, Product] = HERE / f"out/{{i}}.txt"
    ) -> None:
        subprocess.run(["cp", source, target], check=True)


def task_last(
    sources: list[Path] = [HERE / f"out/{{i}}.txt" for i in range(N)],
    target: Annotated[Path, Product] = HERE / "out/all.txt",
) -> None:
    subprocess.run(["sh", "-c", f"echo done > {{target}}"], check=True)
"""


@dataclass(frozen=True)
class Tool:
    """One tool: how its project is written, and how it is run."""

    name: str
    write: Callable[[Path, int], None]
    argv: tuple[str, ...]
    prepare: tuple[str, ...] = ()  # run once in the new folder


def sources(folder: Path, n: int, big: bool = False) -> None:
    """The inputs. `big`: the first has 500 MB (of zeros, a sparse file: it is read and hashed as any other)."""
    (folder / "src").mkdir(parents=True)
    (folder / "out").mkdir()
    for i in range(n):
        (folder / f"src/{i}.txt").write_text(f"{i}\n")
    if big:
        with (folder / "src/0.txt").open("wb") as file:
            file.truncate(500_000_000)


def _text(name: str, text: str, *more: tuple[str, str]) -> Callable[[Path, int], None]:
    def write(folder: Path, n: int) -> None:
        for each, content in ((name, text.format(n=n)), *more):
            (folder / each).write_text(content)

    return write


def _dvc(folder: Path, n: int) -> None:
    lines = ["stages:"]
    for i in range(n):
        lines += [f"  s{i}:", f"    cmd: cp src/{i}.txt out/{i}.txt", f"    deps: [src/{i}.txt]", f"    outs: [out/{i}.txt]"]
    outs = ", ".join(f"out/{i}.txt" for i in range(n))
    lines += ["  all:", "    cmd: echo done > out/all.txt", f"    deps: [{outs}]", "    outs: [out/all.txt]"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")


TOOLS = (
    Tool("plain doit", _text("dodo.py", PLAIN, ("plain.py", STOCK_DOIT)), (sys.executable, "plain.py")),
    Tool("ours", _text("dodo.py", OURS), (sys.executable, str(RUN_DOIT))),
    Tool("Snakemake", _text("Snakefile", SNAKEMAKE), (str(PEERS / "snakemake"), "-c1", "--quiet", "all")),
    Tool("pytask", _text("task_all.py", PYTASK), (str(PEERS / "pytask"), "--verbose", "0")),
    Tool("DVC", _dvc, (str(PEERS / "dvc"), "repro"), (str(PEERS / "dvc"), "init", "--no-scm", "-q")),
)
