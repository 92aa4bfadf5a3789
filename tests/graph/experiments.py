"""A stand-in for a training: a project whose stage `train` turns parameters into a number, with shared stages before.

text -> words -> train (lr, layers, seed), and score, which is made from the weights. `loss` is what the planted effects
say: the learning rate matters, the seed does not.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doit import doit_cmd
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from stages.graph import Experiments, Graph, Output, Stage, files
from tests.graph.project import RUN_DOIT, Project, Result
from tests.graph.run_doit import CONFIG

DEFAULTS = {"train.lr": 1.0, "train.layers": 2, "train.seed": 0, "words.least": 1, "train.steps": 100}
TRAIN = """
import json, sys
out, params = sys.argv[1], json.load(open(sys.argv[2]))["params"]
train = params["train"]
if train["layers"] == 13:
    sys.exit("13 layers do not fit")
words = len(open(sys.argv[3]).read().split())
loss = 10 - 2 * train["lr"] - 0.5 * train["layers"] + 0.01 * train["seed"] - 0.001 * words
summary = {"loss": round(loss, 6), "nested": {"steps": train["steps"]}, "text": "no number"}
json.dump(summary, open(out + "/summary.json", "w"))
open(out + "/weights", "w").write("w" * 100 * train["layers"] + str(train))
"""


class Lab(Project):
    """A project with experiments. Every stage writes its name to ran.log, as in `Project`."""

    def __init__(self, root: Path, read_output: Any) -> None:
        super().__init__(root, read_output)
        for name, text in (("text.txt", "the cat and the dog\n"), ("train.py", TRAIN)):
            if not (root / name).exists():
                self.write(name, text)

    def stages_of(self, words: Mapping[str, str]) -> list[Stage]:
        """The graph of one choice. Raises ValueError for a name that is no parameter, or what is no number."""
        values: dict[str, Any] = dict(DEFAULTS)
        for name, text in words.items():
            if name not in values:
                raise ValueError(f"{name}= is not a parameter")
            values[name] = type(values[name])(text)

        def log(name: str) -> str:
            return f'echo {name} >> "{{root}}/ran.log"; '

        return [
            Stage(
                name="text",
                doc="Copies the text.",
                run=("sh", "-ec", log("text") + "cp text.txt {out}/o.txt"),
                outputs=("o.txt",),
                sources=(files("text.txt"),),
            ),
            Stage(
                name="words",
                doc="Words.",
                run=("sh", "-ec", log("words") + "cat {in.text} {params} > {out}/o.txt"),
                outputs=("o.txt",),
                inputs={"text": Output("text", "o.txt")},
                params={"words.least": values["words.least"]},
                scope="lab",
            ),
            Stage(
                name="train",
                doc="Trains.",
                run=("sh", "-ec", log("train") + "python3 train.py {out} {params} {in.words}"),
                outputs=("summary.json", "weights"),
                metrics={"loss": "summary.json:loss", "steps": "summary.json:nested.steps", "no": "summary.json:text"},
                inputs={"words": Output("words", "o.txt")},
                sources=(files("train.py"),),
                params={name: value for name, value in values.items() if name.startswith("train.")},
                scope="lab",
                links={"weights": "weights"},
            ),
            Stage(
                name="score",
                doc="Scores.",
                run=(
                    "sh",
                    "-ec",
                    log("score") + 'n=$(wc -c < {in.weights}); echo "{\\"bytes\\": $n}" > {out}/score.json',
                ),
                outputs=("score.json",),
                metrics={"bytes": "score.json:bytes"},
                inputs={"weights": Output("train", "weights")},
                scope="lab",
            ),
        ]

    def graph(self) -> Graph:
        given = doit_cmd._CMDLINE_VARS or {}
        experiments = Experiments(
            "train",
            lambda words: self.stages_of({**given, **words}),
            smoke={"train.steps": "1"},
            noise=("train.seed",),
        )
        return Graph(self.stages_of(given), root=self.root, build=self.build, grace_s=1.0, experiments=experiments)

    def doit(self, *words: str) -> Result:
        """As in `Project`, with the graph of the words that are settings, such as train.lr=3."""
        namespace = {"DOIT_CONFIG": self.graph().doit_config(), "task_all": lambda: self.graph().tasks()}
        doit = DoitMain(task_loader=ModuleTaskLoader(namespace), config_filenames=(), extra_config=CONFIG)
        status = doit.run(list(words))
        doit_cmd.reset_vars()
        captured = self._read_output()
        return Result(status, captured.out, captured.err, self.ran())

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """doit as a process of its own, on the same graph."""
        self.write(
            "dodo.py",
            "from pathlib import Path\nfrom tests.graph.experiments import Lab\n"
            f"GRAPH = Lab(Path({str(self.root)!r}), None).graph()\n"
            "DOIT_CONFIG = GRAPH.doit_config()\ndef task_all():\n    yield from GRAPH.tasks()\n",
        )
        env = {**os.environ, "PYTHONPATH": str(RUN_DOIT.parents[2])}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": env, **options}
        return subprocess.Popen([sys.executable, str(RUN_DOIT), *words], cwd=self.root, **options)

    def table(self, *words: str) -> list[dict[str, Any]]:
        """`doit exp show --json`."""
        result = self.doit("exp", "show", "--json", *words)
        assert result.status == 0, result.err
        return json.loads(result.out)

    def forget(self) -> None:
        """Let go of every result, pinned ones too; they lie beside the project then."""
        for row in self.table("--all"):
            self.doit("exp", "unpin", row["key"])
        self.doit("clean")
        gone = self.root / f"gone-{len(list(self.root.iterdir()))}"
        gone.mkdir()
        for key in self.stored():
            (self.build / "store" / key).rename(gone / key)
        assert self.stored() == set()
        self.ran()

    def killed(self, *words: str, seed: int, within_s: tuple[float, float]) -> int:
        """Start doit five times and end it by SIGKILL at random moments; returns how often it was still there."""
        chosen, kills = random.Random(seed), 0
        for _ in range(5):
            process = self.start(*words, start_new_session=True)
            time.sleep(chosen.uniform(*within_s))
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
            self.finish(process)
        return kills

    def stored(self) -> set[str]:
        return {path.name for path in (self.build / "store").iterdir() if not path.name.startswith(".")}
