"""The same pipeline here and in DVC: a text, its words, and a training that is an empty program and writes one metric.

In: an empty folder. Out: the files of one tool's project there. What it takes to run it is what a tool costs.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DVC = ROOT / "build/tools/bench/bin/dvc"  # by locks/bench.txt

TRAIN = """
import json, sys
seed = json.load(open(sys.argv[1]))["params"]["train"]["seed"] if sys.argv[1].endswith(".json") else int(sys.argv[1])
words = len(open(sys.argv[2]).read().split())
json.dump({"loss": seed % 7 + words}, open(sys.argv[3] + "/summary.json", "w"))
open(sys.argv[3] + "/weights", "w").write("w" * 1000 + str(seed))
"""

OURS = f"""
from stages.graph import Experiments, Graph, Output, Stage, files


def stages(words):
    seed = int(words.get("train.seed", 0))
    return [
        Stage("text", "Copies.", ("cp", "text.txt", "{{out}}/o.txt"), ["o.txt"], sources=(files("text.txt"),)),
        Stage(
            "words",
            "Copies.",
            ("cp", "{{in.text}}", "{{out}}/o.txt"),
            ["o.txt"],
            inputs={{"text": Output("text", "o.txt")}},
        ),
        Stage(
            "train",
            "Trains.",
            ("{sys.executable}", "train.py", "{{params}}", "{{in.words}}", "{{out}}"),
            ["summary.json", "weights"],
            metrics={{"loss": "summary.json:loss"}},
            inputs={{"words": Output("words", "o.txt")}},
            sources=(files("train.py"),),
            params={{"train.seed": seed}},
        ),
    ]


GRAPH = Graph(stages({{}}), root=".", build="build", experiments=Experiments("train", stages))
DOIT_CONFIG = GRAPH.doit_config()


def task_all():
    yield from GRAPH.tasks()
"""

DVC_YAML = f"""
stages:
  text:
    cmd: cp text.txt o.txt
    deps: [text.txt]
    outs: [o.txt]
  words:
    cmd: cp o.txt words.txt
    deps: [o.txt]
    outs: [words.txt]
  train:
    cmd: {sys.executable} train.py ${{train.seed}} words.txt .
    deps: [words.txt, train.py]
    params: [train.seed]
    outs: [weights]
    metrics:
      - summary.json:
          cache: false
"""


def weights(seed: int | str) -> str:
    """What the training writes."""
    return "w" * 1000 + str(seed)


def write(folder: Path, tool: str) -> None:
    """The project of one tool."""
    folder.mkdir(parents=True)
    files = {"text.txt": "the cat and the dog\n", "train.py": TRAIN}
    if tool == "ours":
        files["dodo.py"] = OURS
    else:
        files |= {"dvc.yaml": DVC_YAML, "params.yaml": "train:\n  seed: 0\n", ".gitignore": "__pycache__\n"}
    for name, text in files.items():
        (folder / name).write_text(text)
