"""exp: many choices of parameters, built and compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from doit import doit_cmd

from ..declare.experiments import Experiments, axes_of, grid, words_text
from ..errors import Interrupted, UsageError
from .base import EXIT_FAILED, EXIT_USAGE, EXPERIMENT, Command, json_text, locked, option, with_condition
from .text import columns

if TYPE_CHECKING:
    from ..keep.receipt import Receipt
    from ..manage.results import Results
    from ..manage.rows import Row

MOST_COLUMNS = 100  # of a chart as text
MOST_PARAMS = 8  # columns of parameters in a table for people


class _Part(Command):
    """One word after `doit exp`."""

    section = EXPERIMENT
    options_anywhere = True

    def experiments(self) -> Experiments:
        """What the project says of its experiments. Raises UsageError where it says nothing."""
        found = self.graph().experiments
        if found is None:
            raise UsageError("this project declares no experiments: give Graph(..., experiments=Experiments(...))")
        return found


class ExpRun(_Part):
    """Build every combination of values."""

    name = "exp run"
    doc_purpose = "build every combination of the values given, or a sample of them"
    doc_usage = "NAME=VALUE,VALUE ... [STAGE ...] [-n N] [--random N] [--name NAME] [--smoke]"
    doc_description = (
        "One result for each combination, one after another, or with -n several at the same time, as far as the "
        "`resources` that their stages take allow; what they share is built once, and what the store has is "
        "not built again: after Ctrl-C or a kill, the same words go on. A failure does not stop the others. A comma in "
        "brackets, in double quotes or behind a backslash parts nothing; put such a word in single quotes. STAGE: also "
        "build this of each. The results are pinned, and the links of no preset change. Exit status 1 where any failed."
    )
    cmd_options = (
        {
            **option("random", "random", "only so many of the combinations, drawn by --seed", metavar="N"),
            "type": int,
            "default": 0,
        },
        {**option("seed", "seed", "of --random; 0 where it is left out", metavar="N"), "type": int, "default": 0},
        option("label", "name", "call the results NAME-1, NAME-2, ...", metavar="NAME"),
        option("smoke", "smoke", "first make a short run of each, so that what cannot work fails at once"),
        option("dryrun", "dry-run", "only say which there are, and which have a result"),
        {
            **option("at_once", "process", "so many at a time, as their resources allow", metavar="N", short="n"),
            "type": int,
            "default": 1,
        },
    )
    _axes: dict[str, list[str]]

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit. The words with several values are no settings of the project: they are taken out first."""
        words = doit_cmd._CMDLINE_VARS
        try:
            self._axes = axes_of(words)
        except UsageError as error:
            return self._wrong(error)
        for name in self._axes:
            del words[name]
        return super().parse_execute(in_args)

    def _execute(
        self, random: int, seed: int, label: str, smoke: bool, dryrun: bool, at_once: int, pos_args: Any = None
    ) -> int:
        from ..keep.names import check_name
        from ..run.experiment import NOT_VALID, ExperimentRun
        from .run import catching_signals, report_for

        graph, experiments = self.graph(), self.experiments()
        if random < 0:
            raise UsageError(f"--random takes a number above 0, not {random}")
        if at_once < 1:
            raise UsageError(f"-n takes a number above 0, not {at_once}")
        if label:
            check_name(label)
        if smoke and not experiments.smoke:
            raise UsageError("this project does not say what makes a run short: Experiments(smoke=...)")
        also = self.stage_names(pos_args)
        choices = grid(self._axes, random or None, seed)
        with locked(graph):
            run = ExperimentRun(graph.session, experiments, choices, also)
            if all(choice.state == NOT_VALID for choice in run.choices):
                raise UsageError(run.choices[0].message)
            if dryrun:
                return self._dry_run(run)
            report = graph.session.report = report_for(sys.stdout, quiet=False)
            status = 0
            try:
                with catching_signals(graph, report):
                    run.run(label, smoke, at_once)
            except Interrupted as stopped:
                status = 128 + stopped.signum
            report.close()
            return status or self._summary(run)

    def _dry_run(self, run: Any) -> int:
        for choice in run.choices:
            state = "not valid" if choice.failed else "has its result" if run.has_result(choice) else "would run"
            self.outstream.write(f"{state:<16}{words_text(choice.words)}\n")
        return 0

    def _summary(self, run: Any) -> int:
        """The table of what is there, then what failed, then the totals."""
        from ..manage.results import Results
        from ..manage.rows import rows_of
        from ..run.experiment import DONE, last_line
        from ..show.results_text import columns_of, print_rows

        done = [choice for choice in run.choices if choice.state == DONE]
        failed = [choice for choice in run.choices if choice.failed]
        if done:
            results = Results(run.base)
            rows = rows_of(results, [results.receipts[key] for key in dict.fromkeys(c.key for c in done)])
            self.outstream.write("\n")
            print_rows(self.outstream, rows, columns_of(rows))
        self.outstream.write("\n")
        for choice in failed:
            more = f" (`doit log {choice.evidence}`, `doit shell {choice.evidence}`)" if choice.evidence else ""
            said = f"{words_text(choice.words)}: {last_line(choice.message)}"
            self.outstream.write(f"{choice.state:<11}{said}{more}\n")
        built = sum(1 for choice in done if run.experiments.stage in choice.built)
        parts = [f"{built} built", f"{len(done) - built} there before"] + [f"{len(failed)} failed"] * bool(failed)
        self.outstream.write(f"{len(run.choices)} choices: {', '.join(parts)}\n")
        return EXIT_FAILED if failed else 0


class ExpShow(_Part):
    """A table of results."""

    name = "exp show"
    doc_purpose = "a table of the kept results: parameters that differ, metrics, time, size, age"
    doc_usage = "[STAGE] [--sort COL] [--filter EXPR] [--all] [--json | --csv | --md | --chart Y:X [--svg FILE]]"
    doc_description = (
        "Kept are those that are named or pinned (a * behind the key), and the one of the chosen preset; --all: every "
        "result in the store. EXPR: COLUMN<VALUE, or <= > >= == !=, joined by `and`, in seconds and bytes; columns are "
        "those of the table, and every other parameter. Metrics of what was made from a result are STAGE.NAME. "
        "--chart Y:X draws a column against another one, --chart NAME a curve that the stage declares, one for each "
        "result, laid over one another."
    )
    cmd_options = (
        option("sort", "sort", "by a column; -COL: the largest first", metavar="COL"),
        option("condition", "filter", "only the rows for which this is true", metavar="EXPR"),
        option("every", "all", "every result in the store"),
        option("json", "json", "for programs"),
        option("csv", "csv", "for spreadsheets, in full precision"),
        option("md", "md", "for Markdown"),
        option("chart", "chart", "a chart of them, as text: a column against another, or a curve", metavar="Y:X"),
        option("svg", "svg", "write that chart as a picture instead", metavar="FILE"),
    )

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit, which takes a condition with a "=" in it for the setting of a variable."""
        return super().parse_execute(with_condition(in_args))

    def _execute(
        self,
        sort: str,
        condition: str,
        every: bool,
        json: bool,
        csv: bool,
        md: bool,
        chart: str,
        svg: str,
        pos_args: Any = None,
    ) -> int:
        from ..keep.links import linked_key
        from ..manage import rows as tables
        from ..manage.results import Results
        from ..show import results_text as show

        if len(pos_args or ()) > 1 or json + csv + md + bool(chart) > 1:
            raise UsageError("exp show takes one stage, and one of --json, --csv, --md and --chart")
        if svg and not chart:
            raise UsageError("--svg FILE writes a chart: say which with --chart Y:X or --chart CURVE")
        graph = self.graph()
        stage = pos_args[0] if pos_args else self.experiments().stage
        results = Results(graph.look)
        there = results.of(stage)
        if pos_args and not there:
            self.stage_names(pos_args)  # a misspelt name
        here = (
            linked_key(graph.plan.build, graph.plan.stages[stage].scope, stage) if stage in graph.plan.stages else None
        )
        kept = there if every else [each for each in there if results.is_kept(each["key"]) or each["key"] == here]
        rows = tables.rows_of(results, kept)
        rows = tables.select(rows, condition) if condition else rows
        rows = tables.sort(rows, sort) if sort else rows
        if chart:
            return self._chart(results, stage, rows, chart, svg)
        columns = show.columns_of(rows, None if csv else MOST_PARAMS)
        if json:
            self.outstream.write(json_text(show.as_json(rows)) + "\n")
        elif csv or md:
            self.outstream.write((show.as_csv if csv else show.as_markdown)(rows, columns))
        else:
            if rows:
                show.print_rows(self.outstream, rows, columns)
            more = len(there) - len(kept)
            hidden = len(show.columns_of(rows)) - len(columns)
            said = f"{len(rows)} results of {stage}" + (f"; {more} more in the store (--all)" if more else "")
            said += f"; {hidden} more parameters differ (--filter some away, or --csv, --json)" if hidden else ""
            self.outstream.write(("\n" if rows else "") + said + "\n")
        return 0

    def _chart(self, results: Results, stage: str, rows: Sequence[Row], what: str, svg: str) -> int:
        """Print a chart, or write it."""
        from shutil import get_terminal_size

        from ..manage.charts import chart_of

        graph = self.graph()
        noise = graph.experiments.noise if graph.experiments is not None else ()
        drawn = chart_of(results, graph.plan.stages.get(stage), rows, what, noise)
        if svg:
            from ..show.chart_svg import as_svg

            with open(svg, "w", encoding="utf-8") as file:
                file.write(as_svg(drawn))
            self.outstream.write(f"{drawn.title}: {svg}\n")
        else:
            from ..show.chart_text import as_text
            from ..show.terminal import shows_unicode

            columns = min(MOST_COLUMNS, get_terminal_size((MOST_COLUMNS, 24)).columns)
            self.outstream.write(as_text(drawn, columns, not shows_unicode(self.outstream)))
        for note in drawn.notes:
            self.outstream.write(f"{note}\n")
        return 0


class ExpName(_Part):
    """Give a result a name."""

    name = "exp name"
    doc_purpose = "give a result a name, by which every command finds it; gc keeps it"
    doc_usage = "KEY NAME"
    doc_description = (
        "KEY: the beginning of a key, another name, a stage, or SCOPE/STAGE. Where another result has the name, that "
        "one is pinned and loses it."
    )

    def _execute(self, pos_args: Any = None) -> int:
        from ..keep.names import give_name
        from ..manage.results import Results

        if len(pos_args or ()) != 2:
            raise UsageError("exp name takes a result and its new name")
        graph = self.graph()
        with locked(graph):
            receipt = Results(graph.look).find(pos_args[0])
            give_name(graph.plan.build, pos_args[1], receipt["key"])
        self.outstream.write(f"{receipt['stage']} {receipt['key'][:10]} is called {pos_args[1]}\n")
        return 0


class _Pinning(_Part):
    doc_usage = "KEY ..."

    def change(self, results: Results, receipt: Receipt) -> str:
        """Do it to one result; returns what to say."""
        raise NotImplementedError

    def _execute(self, pos_args: Any = None) -> int:
        from ..manage.results import Results

        if not pos_args:
            raise UsageError(f"{self.name} takes one result or more: names, or beginnings of keys")
        graph = self.graph()
        with locked(graph):
            results = Results(graph.look)
            for receipt in [results.find(text) for text in pos_args]:
                said = self.change(results, receipt)
                self.outstream.write(f"{receipt['stage']} {receipt['key'][:10]} {said}\n")
        return 0


class ExpPin(_Pinning):
    """Keep results."""

    name = "exp pin"
    doc_purpose = "keep results, and what they were made from, whatever gc removes"

    def change(self, results: Results, receipt: Receipt) -> str:
        """Pin it."""
        from ..keep.names import pin

        pin(results.look.plan.build, receipt["key"])
        return "is pinned"


class ExpUnpin(_Pinning):
    """Let results go."""

    name = "exp unpin"
    doc_purpose = "take pin and names from results, and the pins from what was made of them: gc may remove them"

    def change(self, results: Results, receipt: Receipt) -> str:
        """Take pin and names."""
        from ..keep.names import release

        build, key = results.look.plan.build, receipt["key"]
        gone = ", ".join(release(build, key))
        for later in results.pins:
            made = results.receipts.get(later)
            if made is not None and later not in results.names and key in results.ancestors(made):
                release(build, later)
        return f"is no longer kept, nor called {gone}" if gone else "is no longer kept"


class Exp(Command):
    """Experiments: run many, compare them."""

    name = "exp"
    section = EXPERIMENT
    doc_purpose = "run many choices of parameters and compare them: run, show, name, pin, unpin"
    doc_usage = "run | show | name | pin | unpin [...]"
    parts: ClassVar[dict[str, type[_Part]]] = {
        each.name.removeprefix("exp "): each for each in (ExpRun, ExpShow, ExpName, ExpPin, ExpUnpin)
    }

    def help(self) -> str:
        """Called by `doit help exp`: the parts, each with its own `--help`."""
        rows = [(f"{part.name} {part.doc_usage}", part.doc_purpose) for part in self.parts.values()]
        lines = [f"doit {self.name}: {self.doc_purpose}", "", f"Usage: doit {self.name} {self.doc_usage}", ""]
        for usage, purpose in rows:
            lines += [f"  doit {usage}", *columns([("", purpose)], 4)]
        return "\n".join([*lines, "", "`doit help exp run` has more about it, and so on."])

    def parse_execute(self, in_args: list[str]) -> int:
        """Called by doit with the words after `exp`."""
        if in_args and in_args[0] in self.parts:
            part = self.parts[in_args[0]]
            made = part(task_loader=self.loader, config=self.config, bin_name=self.bin_name, opt_vals=self.opt_vals)
            return made.parse_execute(in_args[1:])
        if "--help" in in_args or "-h" in in_args:
            print(self.help())
            return 0
        word = in_args[0] if in_args else ""
        what = f"{word!r} is no part of exp{self.nearest(word, list(self.parts), '')}; " if word else ""
        print(f"doit: {what}say one of exp {', exp '.join(self.parts)}", file=sys.stderr)
        return EXIT_USAGE
