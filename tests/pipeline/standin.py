"""Stand-ins for the commands of the real graph: the same stages and keys, outputs in milliseconds.

    python -m tests.pipeline.standin WORDS...      (in a copy of the sources)

Each WORDS is one run of doit as it would be typed ("web train.lr=0.1"), on the stages of the tree around this file.
Prints a JSON list a run: the stages whose command ran. What a stand-in makes depends on what decides the real output:
parameters, documents, inputs, and the text of Rust, shaders and page as a compiler takes it. It does not depend on
Python and the tokenizer's wheel: those are code, and not every edit of code changes what it makes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import sys
from pathlib import Path

CODE = (".py", ".pyi")
# What compilers drop; the lines stay where they are.
COMMENTS = {
    **dict.fromkeys((".rs", ".wgsl"), rb" *//[^\n]*"),
    **dict.fromkeys((".ts", ".tsx"), rb"//[^\n]*\n?"),
    ".toml": rb"#[^\n]*\n?",
}


def make(stage: str, params: str, snapshot: str, out: str, root: str, *words: str) -> None:
    """One command. words: three lists that end with `--`: the outputs, the documents, the inputs; then the real
    command, which is there so that the key has it.
    """
    outputs, documents, inputs = [], [], []
    rest = list(words)
    for part in (outputs, documents, inputs):
        end = rest.index("--")
        part += rest[:end]
        del rest[: end + 1]
    digest = hashlib.sha256(stage.encode() + Path(params).read_bytes())
    for document in documents:
        digest.update(Path(root, document).read_bytes())
    for given in inputs:
        found = [path for path in Path(given).rglob("*") if path.name not in ("receipt.json", "log.txt")]
        for path in sorted([Path(given), *found]):
            if path.is_file():
                digest.update(path.name.encode() + path.read_bytes())
    for path in sorted(Path(snapshot).rglob("*")):
        if path.is_file() and path.suffix not in CODE:
            digest.update(re.sub(COMMENTS.get(path.suffix, rb"(?!)"), b"", path.read_bytes()))
    for output in outputs:
        target = Path(out, output, "made") if output.endswith("/") else Path(out, output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{stage} {output} {digest.hexdigest()}\n")
    with Path(root, "ran.log").open("a") as log:
        log.write(f"{stage}\n")


def run(words: list[str]) -> list[str]:
    """One run of doit in this process; returns the stages that ran. Raises AssertionError where it fails."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain

    from stages import paths, settings
    from stages.graph import Graph, Stage
    from stages.project import stages_of
    from stages.tokenizer import WHEEL

    chosen = settings.resolve(dict(word.split("=", 1) for word in words if "=" in word))

    def replaced(stage: Stage) -> Stage:
        documents = [str(path) for group in stage.external.values() for path in group]
        inputs = [f"{{in.{name}}}" for name, output in stage.inputs.items() if output != WHEEL]
        own = ["{python}", "-I", "-S", __file__, stage.name, "{params}", "{snapshot}", "{out}", "{root}"]
        argv = [*own, *stage.outputs, "--", *documents, "--", *inputs, "--", *stage.run]
        return dataclasses.replace(stage, run=argv, needs=())

    graph = Graph([replaced(stage) for stage in stages_of(chosen)], root=paths.ROOT, build=paths.BUILD)
    log = paths.ROOT / "ran.log"
    log.write_text("")
    namespace = {"DOIT_CONFIG": graph.doit_config(), "task_all": lambda: graph.tasks()}
    stdout = os.dup(1)
    os.dup2(2, 1)  # what doit says is for whoever reads of a failure
    try:
        main = DoitMain(task_loader=ModuleTaskLoader(namespace), config_filenames=())
        status = main.run([word for word in words if "=" not in word])
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    assert status == 0, f"doit {' '.join(words)} ended with status {status}"
    return log.read_text().split()


if __name__ == "__main__":
    if sys.flags.isolated:
        make(*sys.argv[1:])
    else:
        for typed in sys.argv[1:]:
            print(json.dumps(run(typed.split(" "))), flush=True)
