"""diff, history, use, blame: stored results, compared and taken again."""

from __future__ import annotations

import time
from typing import Any

from ..errors import UsageError
from .base import EXPERIMENT, Command, json_text, locked, option, with_condition


class Diff(Command):
    """All in which two results differ."""

    name = "diff"
    section = EXPERIMENT
    options_anywhere = True
    doc_purpose = "show in what two results differ: parameters, sources, tools, metrics, sizes"
    doc_usage = "A B [--json]"
    doc_description = (
        "A, B: a name, the beginning of a key, a stage (its linked result), or SCOPE/STAGE. What they were made from "
        "is compared too, back to the first stage. Sources are shown line by line where their texts were kept."
    )
    cmd_options = (option("json", "json", "for programs"),)

    def _execute(self, json: bool, pos_args: Any = None) -> int:
        from ..manage.compare_results import compare
        from ..manage.results import Results
        from ..show.compare_text import comparison_text

        if len(pos_args or ()) != 2:
            raise UsageError("diff takes two results: names, beginnings of keys, or stages")
        results = Results(self.graph().look)
        old, new = (results.find(text) for text in pos_args)
        if old["stage"] != new["stage"]:
            both = " and ".join(f"{each['stage']} {each['key'][:10]}" for each in (old, new))
            raise UsageError(f"{both} are results of two stages; name two of one")
        found = compare(results, old, new)
        if json:
            self.outstream.write(json_text({"old": old["key"], "new": new["key"], **found.as_json()}) + "\n")
        else:
            heads = (f"{each['stage']} {each['key'][:10]}" for each in (old, new))
            self.outstream.write(f"{' → '.join(heads)}\n{comparison_text(found)}\n")
        return 0


class History(Command):
    """The stored results of a stage."""

    name = "history"
    section = EXPERIMENT
    options_anywhere = True
    doc_purpose = "list the stored results of a stage, and what changed from each to the next"
    doc_usage = "STAGE [--json]"
    cmd_options = (option("json", "json", "for programs"),)

    def _execute(self, json: bool, pos_args: Any = None) -> int:
        from ..keep.links import linked_key
        from ..manage.compare_results import changed_leaves
        from ..manage.results import Results
        from ..show.compare_text import changes_text

        stage, graph = self.one_stage(pos_args), self.graph()
        results = Results(graph.look)
        receipts = results.of(stage.name)
        linked = linked_key(graph.plan.build, stage.scope, stage.name)
        shown = []
        for at, receipt in enumerate(receipts):
            key, before = receipt["key"], receipts[at + 1] if at + 1 < len(receipts) else None
            changes = changed_leaves(results, before, receipt) if before else []
            shown.append(
                {
                    "key": key,
                    "started": receipt["run"].get("started", 0),
                    "names": results.names.get(key, []),
                    "kept": results.is_kept(key),
                    "linked": key == linked,
                    "changed": [leaf.text() for leaf, _, _ in changes],
                    "text": changes_text(changes) if before else "",
                }
            )
        if json:
            for each in shown:
                del each["text"]
            self.outstream.write(json_text(shown) + "\n")
            return 0
        for each in shown:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(each["started"]))
            marks = [*each["names"], *["now"] * each["linked"]]
            said = f" ({', '.join(marks)})" if marks else ""
            line = f"{when}  {each['key'][:10]}{'*' if each['kept'] else ' '}{said}  {each['text']}"
            self.outstream.write(line.rstrip() + "\n")
        return 0


class Use(Command):
    """Go back to a stored result."""

    name = "use"
    section = EXPERIMENT
    options_anywhere = True
    doc_purpose = "go back to a stored result, and build what comes after from it"
    doc_usage = "KEY | NAME, or --today [STAGE ...]"
    doc_description = (
        "The result's stage is held at it, whatever changes, and so are the stages of the same scope that it was made "
        "from; every later build says so. `doit use --today` lets them go: the next build brings them up to date."
    )
    cmd_options = (option("today", "today", "let held stages go"),)

    def _execute(self, today: bool, pos_args: Any = None) -> int:
        from ..manage.results import Results
        from ..manage.use import let_go, other_words, use

        graph = self.graph()
        if today:
            names = self.stage_names(pos_args)
            with locked(graph):
                gone = let_go(graph.look, names)
            self.outstream.write(f"no longer held: {', '.join(gone)}\n" if gone else "nothing is held\n")
            return 0
        if len(pos_args or ()) != 1:
            raise UsageError("use takes one result: a name, or the beginning of a key; or --today")
        with locked(graph):
            results = Results(graph.look)
            receipt = results.find(pos_args[0])
            held = use(graph.look, results, receipt)
        for stage, key in held:
            self.outstream.write(f"{stage.name} is held at {key[:10]}\n")
        if words := other_words(results, receipt, [stage for stage, _ in held]):
            said = "it has other parameters than this choice; give them to the commands that build what comes after:"
            self.outstream.write(f"{said}\n  {' '.join(words)}\n")
        self.outstream.write("`doit` builds what comes after from this; `doit use --today` goes back to today's\n")
        return 0


class Blame(Command):
    """What moved a metric."""

    name = "blame"
    section = EXPERIMENT
    options_anywhere = True
    doc_purpose = "say what moved a metric across the stored results, and what is confounded"
    doc_usage = "METRIC [--filter EXPR] [--stage STAGE] [--json]"
    doc_description = (
        "Results that differ in one component of the key show its effect; a component that never changes alone is "
        "confounded, and with what. METRIC and EXPR are as in `exp show`. What the project declares to decide nothing, "
        "such as a seed, gives the size of the noise."
    )
    cmd_options = (
        option("condition", "filter", "only of the results for which this is true", metavar="EXPR"),
        option("stage", "stage", "whose results; else those of `exp show`", metavar="STAGE"),
        option("json", "json", "for programs"),
    )

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit, which takes a condition with a "=" in it for the setting of a variable."""
        return super().parse_execute(with_condition(in_args))

    def _execute(self, condition: str, stage: str, json: bool, pos_args: Any = None) -> int:
        from ..manage.blame import blame
        from ..manage.results import Results
        from ..manage.rows import metric_names, rows_of, select
        from ..show.compare_text import blame_text

        if len(pos_args or ()) != 1:
            raise UsageError("blame takes one metric; `doit exp show` has them")
        graph = self.graph()
        experiments = graph.experiments
        if not stage and experiments is None:
            raise UsageError("say whose results: --stage STAGE")
        results = Results(graph.look)
        rows = rows_of(results, results.of(stage or experiments.stage))  # type: ignore[union-attr]
        metric, names = pos_args[0], metric_names(rows)
        if metric not in names:
            otherwise = f"; there are: {', '.join(names) or 'none'}"
            raise UsageError(f"no result has a metric {metric}{self.nearest(metric, names, otherwise)}")
        rows = select(rows, condition) if condition else rows
        receipts = [results.receipts[row.key] for row in rows]
        found = blame(results, receipts, metric, () if experiments is None else experiments.noise)
        self.outstream.write((json_text(found.as_json()) if json else blame_text(found)) + "\n")
        return 0
