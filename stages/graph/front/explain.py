"""why, info, inspect: what is known of a stage or an artifact."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from .base import LOOK, Command, json_text, option


class Why(Command):
    """What is stale, why, and what follows."""

    name = "why"
    options_anywhere = True
    section = LOOK
    doc_purpose = "say what is stale, why, and what follows"
    doc_usage = "[STAGE ...] [--json]"
    doc_description = (
        "Takes no longer than a run in which nothing is stale, needs no lock and changes no result. Where a remote "
        "store is configured, it is asked for the results of stages that would have to run, for ten seconds at most."
    )
    cmd_options = (option("json", "json", "for programs"),)

    def _execute(self, json: bool, pos_args: Any = None) -> int:
        from ..decide.why import as_text, explain

        graph = self.graph()
        explanations = explain(graph.look, self.stage_names(pos_args), graph.receipt_at_remote)
        graph.look.cache.save()
        text = json_text([each.as_json() for each in explanations]) if json else as_text(explanations)
        self.outstream.write(text + "\n")
        return 0


class Info(Command):
    """Everything about one stage: what it is made from, where its result lies, whether it is fresh."""

    name = "info"
    section = LOOK
    doc_purpose = "show a stage: inputs, command, key, result, state"
    doc_usage = "STAGE"

    def _execute(self, pos_args: Any = None) -> int:
        from ..decide.why import explain

        stage, graph = self.one_stage(pos_args), self.graph()
        explanation = explain(graph.look, [stage.name], graph.receipt_at_remote)[-1]
        key, receipt = graph.look.linked_receipt(stage)
        site = graph.session.site(stage.name)
        rows = [
            ("stage", f"{stage.name}: {stage.doc}"),
            ("state", explanation.state),
            *(("", reason.text()) for reason in explanation.reasons),
            *([("runs", f"on {site.on}" if not site.is_here else f"behind {site.on}")] if site is not None else []),
            ("command", " ".join(stage.run)),
            *(("input", f"{name}: {output.path or 'all'} of {output.stage}") for name, output in stage.inputs.items()),
            *(("output", output) for output in stage.outputs),
            *(("parameter", f"{name} = {value!r}") for name, value in sorted(stage.params.items())),
            *(
                ("tool", f"{name}: {version.splitlines()[0]}")
                for name, version in (receipt or {"components": {"tools": {}}})["components"]["tools"].items()
            ),
            ("result", graph.look.store.entry(key) if key else "none"),
            *([("took", f"{receipt['run']['duration_s']} s")] if receipt else []),
        ]
        for label, text in rows:
            self.outstream.write(f"{label:<11}{text}\n")
        return 0


class Inspect(Command):
    """How an artifact was made, back to the sources."""

    name = "inspect"
    options_anywhere = True
    section = LOOK
    doc_purpose = "say how an artifact was made, back to the sources"
    doc_usage = "STAGE | PATH [--json]"
    doc_description = (
        "PATH: an artifact, a file in one, a copy of one anywhere (it is recognised by its digest), or a bundle from "
        "elsewhere that holds a provenance.json."
    )
    cmd_options = (option("json", "json", "for programs"),)

    def _execute(self, json: bool, pos_args: Any = None) -> int:
        from ..manage.origin import inspect

        if len(pos_args or ()) != 1:
            raise UsageError("inspect takes one stage or path")
        graph = self.graph()
        found = inspect(graph.look, pos_args[0])
        graph.look.cache.save()
        if json:
            text = json_text({"what": found.what, "chain": [step.as_json() for step in found.chain]})
        else:
            from shutil import get_terminal_size

            from ..show.origin_text import as_text

            text = as_text(found, get_terminal_size((120, 24)).columns)
        self.outstream.write(text + "\n")
        return 0
