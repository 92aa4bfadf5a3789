"""doit with the commands of stages.graph, as pyproject.toml's entry points give them; for projects in temporary
folders.
"""

import sys
from pathlib import Path
from types import ModuleType

COMMANDS = {
    "run": "run:Run",
    "help": "help:Help",
    "list": "overview:List",
    "graph": "overview:GraphCommand",
    "why": "explain:Why",
    "verify": "verify:Verify",
    "info": "explain:Info",
    "inspect": "explain:Inspect",
    "clean": "change:Clean",
    "forget": "change:Forget",
    "ignore": "change:Ignore",
    "reset-dep": "change:ResetDep",
    "push": "cache:Push",
    "pull": "cache:Pull",
    "gc": "cache:Gc",
    "accept": "change:Accept",
    "exp": "experiment:Exp",
    "diff": "results:Diff",
    "history": "results:History",
    "use": "results:Use",
    "blame": "results:Blame",
    "log": "attempt:Log",
    "shell": "attempt:Shell",
}
CONFIG = {"COMMAND": {name: f"stages.graph.front.{place}" for name, place in COMMANDS.items()}}

if __name__ == "__main__":
    # `stages.graph` without `stages`: it must need nothing of the project that it lives in.
    package = ModuleType("stages")
    package.__path__ = [str(Path(__file__).resolve().parents[2] / "stages")]
    sys.modules["stages"] = package

    from doit.doit_cmd import DoitMain

    sys.exit(DoitMain(config_filenames=(), extra_config=CONFIG).run(sys.argv[1:]))
