"""preview --compare: two results in; of each a model.bin, its figures and in what it differs from the other out.

A trained model that was never exported is: in a folder of links of its own, as `doit exp run` builds its choices, so no
preset's links move. There the training and what it was made from are held, as `doit use` holds them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from doit import doit_cmd

from stages import paths, project, settings
from stages.graph import GraphError
from stages.graph.decide.look import Look
from stages.graph.declare.names import EXPERIMENTS
from stages.graph.declare.plan import Plan
from stages.graph.front.base import locked
from stages.graph.front.run import catching_signals, report_for
from stages.graph.front.tasks import Graph
from stages.graph.keep.links import linked_key, links_to
from stages.graph.keep.receipt import Receipt
from stages.graph.keep.store import remove_tree
from stages.graph.manage.compare_results import Comparison, compare
from stages.graph.manage.results import Results
from stages.graph.manage.use import use
from stages.graph.run.build import bring_up_to_date
from stages.graph.run.session import Session
from stages.graph.show.report import Report
from stages.graph.show.results_text import value_text
from stages.graph.show.units import listed

SIDES = ("a", "b")
MODELS = ("train", "import")  # the stages whose results `export` writes into a model.bin
SHOWN_OTHERS = 4  # of what differs beside parameters


@dataclass(frozen=True)
class Side:
    """One of the two."""

    word: str  # as it was asked for
    model: Receipt  # the result that is compared: of train or import; of export where that is not in the store
    exported: Receipt

    def file(self, look: Look) -> Path:
        """Its model.bin."""
        return Path(look.store.entry(self.exported["key"])) / "model.bin"


def sides(graph: Graph, words: Sequence[str]) -> list[Side]:
    """The results that the words mean, each with its export, which is built where it is missing.

    Raises GraphError for what is no model or cannot be exported; LockHeld.
    """
    with locked(graph):
        results = Results(graph.look)
        found = [_found(results, word) for word in words]
        report = graph.session.report = report_for(sys.stdout, quiet=False)
        try:
            with catching_signals(graph, report):
                exported = [
                    receipt if receipt["stage"] == "export" else _export(graph.session, results, receipt, side, report)
                    for receipt, side in zip(found, SIDES)
                ]
        finally:
            report.close()
    made = [_maker(results, receipt) for receipt in found]
    return [Side(*each) for each in zip(words, made, exported)]


def as_json(graph: Graph, found: Sequence[Side]) -> dict[str, Any]:
    """compare.json: what the page shows of the two."""
    results = Results(graph.look)
    differ = compare(results, *(side.exported for side in found))
    return {
        "format": 1,
        "models": [
            {
                "name": side.word,
                "key": side.model["key"],
                "url": f"models/{letter}.bin",
                "parameters": [[each.name, _value(each[2 + at])] for each in differ.parameters],
                "metrics": [[name, value_text(value)] for name, value in results.metrics(side.model).items()],
            }
            for at, (letter, side) in enumerate(zip(SIDES, found))
        ],
        "also": _also(differ),
    }


def files(graph: Graph, found: Sequence[Side], folder: Path) -> dict[str, Path]:
    """What is served beside the page, by path. compare.json is written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    described = folder / "compare.json"
    described.write_text(json.dumps(as_json(graph, found), ensure_ascii=False, indent=1), encoding="utf-8")
    models = {f"models/{letter}.bin": side.file(graph.look) for letter, side in zip(SIDES, found)}
    return {"compare.json": described, **models}


def _value(value: Any) -> str:
    return "(default)" if value is None else value_text(value)


def _also(differ: Comparison) -> str:
    """What differs beside the parameters, in a sentence; "" for nothing."""
    names = [each.name for each in differ.sources] + [each.name for each in differ.others]
    if not names:
        return "" if differ.parameters else "Both were made from the same parameters, sources and tools."
    return f"They were also made from other versions of {listed(names, SHOWN_OTHERS)}."


def _found(results: Results, word: str) -> Receipt:
    """The model that a word means: what `doit diff` takes, or a preset, which is what is linked of it.

    Raises GraphError where it means none.
    """
    build = results.look.plan.build
    for stage in (*MODELS, "export"):
        key = linked_key(build, word, stage)
        if word not in results.by_name and key in results.receipts:
            return results.receipts[str(key)]
    try:
        receipt = results.find(word)
    except GraphError:
        if (paths.PRESETS / f"{word}.toml").is_file():
            raise GraphError(f"preset {word} has no model yet; run `doit export preset={word}`") from None
        raise
    if receipt["stage"] not in (*MODELS, "export"):
        raise GraphError(
            f"{word} is a result of {receipt['stage']}, and no model: name one of {', '.join((*MODELS, 'export'))}"
        )
    return receipt


def _maker(results: Results, receipt: Receipt) -> Receipt:
    """The trained or imported model that an export was made from; itself where that is gone."""
    ancestors = [results.receipts[key] for key in results.ancestors(receipt)]
    return next((each for stage in MODELS for each in [receipt, *ancestors] if each["stage"] == stage), receipt)


def _export(session: Session, results: Results, receipt: Receipt, side: str, report: Report) -> Receipt:
    """A model's export, built from it where the store does not have it."""
    scope = f"{EXPERIMENTS}.{side}"
    build = session.look.plan.build
    remove_tree(f"{build}/{scope}")  # links and holds of the last time
    look = session.look.beside(_plan(session.look, results, receipt, scope))
    use(look, results, receipt)
    for name in look.plan.chain(["export"]):
        stage = look.plan.stages[name]
        if look.state(stage).fresh:
            continue
        report.started(name)
        outcome, began = "failed", time.monotonic()
        try:
            outcome = bring_up_to_date(session, stage, look, apart=True)
        finally:
            report.ended(name, outcome, time.monotonic() - began)
    made = look.store.good(str(linked_key(build, scope, "export")))
    assert made is not None
    return made


def _plan(look: Look, results: Results, receipt: Receipt, scope: str) -> Plan:
    """The graph that a model came from, with today's export behind it. Its own stages are linked in `scope`.

    Raises GraphError where no preset that is known of it has such a stage.
    """
    preset = _preset(look, results, receipt)
    chosen = settings.resolve({"preset": preset}, remember=False)
    stages = project.variant({"preset": preset, **_sizes(results.parameters(receipt), chosen)})
    own = next((stage for stage in stages if stage.name == receipt["stage"]), None)
    if own is None or set(own.inputs) != set(receipt["components"]["inputs"]):
        raise GraphError(
            f"{receipt['stage']} {receipt['key'][:10]} was made by another kind of preset than {preset}; say which: "
            "preset=NAME"
        )
    moved = [replace(each, scope=scope, links={}) if each.scope == own.scope else each for each in stages]
    return Plan(moved, list(look.plan.setups.values()), root=look.plan.root, build=look.plan.build, path=look.plan.path)


def _preset(look: Look, results: Results, receipt: Receipt) -> str:
    """The preset of a model: as an export of it says, or where it is linked; else the one that is chosen now."""
    key = receipt["key"]
    exports = [each for each in results.of("export") if key in results.ancestors(each)]
    named = [each["components"]["params"].get("preset") for each in exports]
    linked = [link.partition("/")[0] for link in links_to(look.plan.build, key)]
    for name in (*named, *linked):
        if name and (paths.PRESETS / f"{name}.toml").is_file():
            return str(name)
    return str((doit_cmd._CMDLINE_VARS or {}).get("preset") or project.SETTINGS.preset)


def _sizes(parameters: Mapping[str, Any], chosen: settings.Settings) -> dict[str, str]:
    """The model's own sizes, as words: `export` needs them. Those that it left at their defaults too, where the preset
    sets them.
    """
    from training.config.model import Model

    defaults = dict(zip(reversed(Model.__struct_fields__), reversed(Model.__struct_defaults__)))
    found = {name: value for name, value in parameters.items() if name.startswith(f"{Model.NAME}.")}
    for name in chosen.section(Model.NAME):
        field = name.partition(".")[2]
        if name not in found and field in defaults:
            found[name] = defaults[field]
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}
