"""clean, accept: what a person changes by hand; and the commands of doit that have no meaning here."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from ..keep.links import links_to, unlink
from .base import EXIT_USAGE, NOWHERE, RESULTS, Command, locked, option


class Clean(Command):
    """Remove results, so that the next run makes them again."""

    name = "clean"
    section = RESULTS
    doc_purpose = "remove the results of stages"
    doc_usage = "[--dry-run] [STAGE ...]"
    doc_description = (
        "Without a name: of every stage. Earlier results of a stage stay in the store, and so does one that another "
        "preset uses too: only the link to it is removed."
    )
    cmd_options = (option("dryrun", "dry-run", "only say what would go", short="n"),)

    def _execute(self, dryrun: bool, pos_args: Any = None) -> int:
        graph = self.graph()
        names = self.stage_names(pos_args) or list(graph.plan.order)
        with contextlib.nullcontext() if dryrun else locked(graph):
            for name in names:
                stage = graph.plan.stages[name]
                key = graph.look.linked_receipt(stage)[0]
                if key is None:
                    continue
                others = [link for link in links_to(graph.plan.build, key) if link != f"{stage.scope}/.current/{name}"]
                verb = "would remove" if dryrun else "removed"
                if others:
                    users = ", ".join(others)
                    self.outstream.write(f"{verb} the link of {name}; its result stays, for {users} uses it too\n")
                else:
                    self.outstream.write(f"{verb} {name}: {graph.look.store.entry(key)}\n")
                if graph.look.shared is not None and os.path.lexists(graph.look.shared.entry(key)):
                    self.outstream.write(
                        f"  the next run takes it from {graph.look.shared.path}; `doit -a -s {name}` does not\n"
                    )
                if dryrun:
                    continue
                unlink(graph.plan.build, stage.scope, name, stage.links)
                if not others:
                    graph.look.store.remove(key)
        return 0


class Accept(Command):
    """Keep a stage's result after a change that a person vouches for."""

    name = "accept"
    options_anywhere = True
    section = RESULTS
    doc_purpose = "keep a stage's result after a change that you vouch for"
    doc_usage = "STAGE [--reason TEXT]"
    doc_description = (
        "The outputs of the linked result are kept as those of the changed stage. The receipt records this for good; "
        "why, info, verify and the provenance show it. `doit -a -s STAGE` builds the stage after all."
    )
    cmd_options = (option("reason", "reason", "why the result may stay", metavar="TEXT"),)

    def _execute(self, reason: str, pos_args: Any = None) -> int:
        from ..manage.accept import accept

        stage, graph = self.one_stage(pos_args), self.graph()
        with locked(graph):
            differences = accept(graph.look, stage, reason or None)
        self.outstream.write(f"accepted {stage.name}: its result stays, although these differ:\n")
        for each in differences:
            self.outstream.write(f"  {each.text()}\n")
        return 0


class _Refused(Command):
    """A command of doit that has no meaning here: says what to use instead, with exit status 2."""

    section = NOWHERE
    instead = ""

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit."""
        print(f"doit: {self.instead}", file=sys.stderr)
        return EXIT_USAGE


def _refused(name: str, purpose: str, instead: str) -> type[_Refused]:
    return type(name, (_Refused,), {"name": name, "doc_purpose": f"not here: {purpose}", "instead": instead})


Forget, Ignore, ResetDep = (
    _refused(*row)
    for row in (
        (
            "forget",
            "use `clean STAGE`, or `run -a -s STAGE`",
            "there is no record of runs to forget: results are found by what they were made from. "
            "`doit -a -s STAGE` makes one again, `doit clean STAGE` removes it",
        ),
        (
            "ignore",
            "name the stages that you want",
            "a stage cannot be ignored, for what comes after it would be made from the wrong inputs; "
            "name the stages that you want: `doit STAGE`",
        ),
        (
            "reset-dep",
            "nothing is recorded that could be reset",
            "nothing is recorded that could be reset: `doit why` compares with what is there now, "
            "`doit -a -s STAGE` makes a result again",
        ),
    )
)
