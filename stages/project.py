"""The whole graph of one choice of preset, profile and parameters. `GRAPH` and `DOIT_CONFIG` are what dodo.py hands
to doit.

                                  ┌─► sample, evaluate
corpus ─► tokenizer ─► shards ─► train ─► export ─┬─► export_hf, export_gguf, export_llama2c, card (of evaluate too)
             ▲                    └─► report ─────┼─► web          cli
           wheel        wasm ─► npm ─► page ──────┤
                                                  │
              the receipts of all of them ─► provenance

In a preset with an [import] table, `import` stands in place of corpus ... train, and there is no sample and no report.
Where it has a [train] table too, `import` stands in place of the tokenizer, and `train` goes on from its weights.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from doit import doit_cmd

from stages import (
    corpus,
    crates,
    export,
    finetune,
    import_,
    paths,
    provenance,
    settings,
    tokenizer,
    tools,
    train,
    wasm_target,
    web,
)
from stages.graph import Elsewhere, Experiments, Graph, Setup, Stage, UsageError

if TYPE_CHECKING:
    from stages.graph.declare.site import Environment

SETUPS: tuple[Setup, ...] = (
    tools.TORCH,
    tools.TEST_PYTHON,
    tools.EVALUATE,
    tools.PARQUET,
    tools.RAY,
    tools.REMOTE,
    tools.HUB,
    tools.IMPORT,
    tools.WATCH,
    tools.TENSORBOARD,
    tools.WANDB,
    tools.OPTUNA,
    tools.MLFLOW,
    tools.CARGO,
    wasm_target.WASM_TARGET,
    tools.WASM_TOOLS,
    tools.NODE_PACKAGES,
    tools.LLAMA_CPP,
    tools.BROWSER,
    tools.VULKAN,
)


def stages_of(chosen: settings.Settings) -> tuple[Stage, ...]:
    """The whole graph of one choice, in the order in which data passes through it."""
    looked_at: tuple[Stage, ...] = ()
    model: tuple[Stage, ...]
    if chosen.imports and chosen.trains:
        model = (
            corpus.stage(chosen),
            crates.wheel_stage(),
            import_.stage(chosen),
            finetune.shards_stage(chosen),
            finetune.stage(chosen),
        )
        exported = finetune.export_stage(chosen)
    elif chosen.imports:
        model = (crates.wheel_stage(), import_.stage(chosen))
        exported = import_.export_stage(chosen)
    else:
        model = (
            corpus.stage(chosen),
            crates.wheel_stage(),
            tokenizer.stage(chosen),
            train.shards_stage(chosen),
            train.stage(chosen),
        )
        # Nothing is made from these.
        looked_at = (train.sample_stage(chosen), train.evaluate_stage(chosen))
        exported = export.stage(chosen)
    bundle = (exported, crates.wasm_stage(), web.npm_stage(), web.page_stage())
    report = (train.report_stage(chosen),) if chosen.trains else ()
    chain = (*model, *report, *bundle)
    page = (provenance.stage(chosen, chain), web.stage(chosen))
    others = (export.hf_stage(chosen), export.gguf_stage(chosen), export.llama2c_stage(chosen))
    return (*model, *looked_at, *report, *bundle, *page, crates.cli_stage(), *others, export.card_stage(chosen))


def variant(words: Mapping[str, str]) -> tuple[Stage, ...]:
    """The graph of the command line's choice with these words in place of its own. Raises ValueError for bad ones."""
    if where := [name for name in words if name.startswith(settings.RUN)]:
        raise ValueError(f"{where[0]} has several values: where a stage runs changes no result")
    return stages_of(settings.resolve({**(doit_cmd._CMDLINE_VARS or {}), **words}, remember=False))


EXPERIMENTS = Experiments(
    "train",
    variant,
    smoke={"train.steps": "3", "train.eval_every": "3", "train.warmup_steps": "1", "train.last_eval_tokens": "4096"},
    noise=("train.seed",),
)


# These import when a command is about to run: no other start has to know of tables and environments.


def _tables() -> Mapping[str, Mapping[str, Any]]:
    from stages import elsewhere

    return elsewhere.tables(doit_cmd._CMDLINE_VARS or {})


def _environment(stage: Stage) -> Environment | None:
    from stages import elsewhere

    return elsewhere.environment(stage)


def _packages(stage: Stage) -> Sequence[str]:
    from stages import elsewhere

    return elsewhere.packages(stage)


def _check_words() -> None:
    """End with status 2 for words such as run.trian.on=..."""
    words = doit_cmd._CMDLINE_VARS or {}
    if any(name.startswith(settings.RUN) for name in words):
        from stages import elsewhere

        try:
            elsewhere.check_words(words, [stage.name for stage in STAGES])
        except UsageError as error:
            print(f"doit: {error}", file=sys.stderr)
            raise SystemExit(2) from None


SETTINGS = settings.resolve_or_exit(doit_cmd._CMDLINE_VARS or {})
STAGES = stages_of(SETTINGS)
_check_words()
GRAPH = Graph(
    STAGES,
    SETUPS,
    root=paths.ROOT,
    build=paths.BUILD,
    remote=settings.remote_store,
    experiments=EXPERIMENTS,
    elsewhere=Elsewhere(_tables, _environment, _packages),
)
DOIT_CONFIG = {
    **GRAPH.doit_config(),
    "default_tasks": [each.name for each in STAGES if each.name in ("web", "cli", "sample", "report")],
}
