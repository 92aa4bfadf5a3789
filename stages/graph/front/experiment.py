"""exp: many choices of parameters, built and compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from doit import doit_cmd

from ..declare.experiments import Range, axes_of, grid, words_text
from ..errors import Interrupted, UsageError
from .base import EXIT_FAILED, EXIT_USAGE, EXPERIMENT, Command, json_text, locked, option, with_condition
from .export import ExpExport
from .part import Part
from .search import Asked, begin, say_best
from .text import columns

if TYPE_CHECKING:
    from ..keep.receipt import Receipt
    from ..manage.results import Results
    from ..manage.rows import Row
    from ..run.experiment import Choice, ExperimentRun
    from ..run.search import Search

MOST_COLUMNS = 100  # of a chart as text
MOST_PARAMS = 8  # columns of parameters in a table for people


class ExpRun(Part):
    """Build every combination of values, or those that a sampler proposes."""

    name = "exp run"
    doc_purpose = "build every combination of the values given, a sample of them, or what a sampler proposes"
    doc_usage = (
        "NAME=VALUE,VALUE ... [STAGE ...] [-n N] [--random N] [--name NAME] [--smoke]\n"
        "       doit exp run NAME=LOW..HIGH ... --sampler tpe --goal METRIC --trials N [STAGE ...] [-n N] ..."
    )
    doc_description = (
        "One result for each combination, one after another, or with -n several at the same time, as far as the "
        "`resources` that their stages take allow; what they share is built once, and what the store has is "
        "not built again: after Ctrl-C or a kill, the same words go on. A failure does not stop the others. A comma in "
        "brackets, in double quotes or behind a backslash parts nothing; put such a word in single quotes. STAGE: also "
        "build this of each. The results are pinned, and the links of no preset change. Exit status 1 where any "
        "failed. With --sampler each choice is proposed by the metrics of those before it: of values in a list, and of "
        "ranges such as 1e-4..1e-2, by the logarithm where the ends are more than ten times apart, of whole numbers "
        "where both ends are. What the store has of the space counts among the N, so the same words go on here too."
    )
    cmd_options = (
        {
            **option("random", "random", "only so many of the combinations, drawn by --seed", metavar="N"),
            "type": int,
            "default": 0,
        },
        {
            **option("seed", "seed", "of --random and --sampler; 0 where it is left out", metavar="N"),
            "type": int,
            "default": 0,
        },
        option("sampler", "sampler", "tpe or random (optuna's): propose choices one after another", metavar="NAME"),
        option("goal", "goal", "the metric that --sampler makes small; as STAGE.METRIC of another stage", "METRIC"),
        option("maximise", "maximise", "make it large instead"),
        {
            **option("trials", "trials", "how many choices --sampler makes, those in the store included", metavar="N"),
            "type": int,
            "default": 0,
        },
        option("label", "name", "call the results NAME-1, NAME-2, ...", metavar="NAME"),
        option("smoke", "smoke", "first make a short run of each, so that what cannot work fails at once"),
        option("dryrun", "dry-run", "only say which there are, and which have a result"),
        {
            **option("at_once", "process", "so many at a time, as their resources allow", metavar="N", short="n"),
            "type": int,
            "default": 1,
        },
    )
    _axes: dict[str, list[str] | Range]

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
        self,
        random: int,
        seed: int,
        sampler: str,
        goal: str,
        maximise: bool,
        trials: int,
        label: str,
        smoke: bool,
        dryrun: bool,
        at_once: int,
        pos_args: Any = None,
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
        asked = Asked(self._axes, sampler, goal, maximise, trials, seed)
        asked.check(random)
        with locked(graph):
            report = graph.session.report = report_for(sys.stdout, quiet=False)
            search = begin(graph, experiments, asked, also, self.outstream) if sampler else None
            if search is not None:
                run = search.run
            else:
                lists = {name: values for name, values in self._axes.items() if not isinstance(values, Range)}
                run = ExperimentRun(graph.session, experiments, grid(lists, random or None, seed), also)
                if all(choice.state == NOT_VALID for choice in run.choices):
                    raise UsageError(run.choices[0].message)
            if dryrun:
                return self._dry_run(run, search)
            if not self._axes and not label:
                self.outstream.write("no word has several values (NAME=VALUE,VALUE ...): one result\n")
            for choice in run.choices:
                if choice.state == NOT_VALID:
                    self._say_failed(choice)
            report.foresee(run.ahead.left)
            status = 0
            try:
                with catching_signals(graph, report):
                    run.run(label, smoke, at_once, None if search is None else search.next)
            except Interrupted as stopped:
                status = 128 + stopped.signum
            report.close()
            return status or self._summary(run, search)

    def _dry_run(self, run: ExperimentRun, search: Search | None) -> int:
        def say(state: str, choice: Choice, more: str = "") -> None:
            self.outstream.write(f"{state:<16}{words_text(choice.words)}{more}\n")

        for choice in run.choices:
            say("not valid" if choice.failed else "has its result" if run.has_result(choice) else "would run", choice)
        if search is not None and (first := search.next()) is not None:
            left = search.trials - first.number
            say("would run", first, f"  and {left} more, by what comes out" if left else "")
        return 0

    def _summary(self, run: ExperimentRun, search: Search | None) -> int:
        """The table of what is there, then what failed, then the totals."""
        from ..manage.results import Results
        from ..manage.rows import rows_of, sort
        from ..run.experiment import DONE
        from ..show.results_text import columns_of, print_rows
        from ..show.units import counted

        done = [choice for choice in run.choices if choice.state == DONE]
        failed = [choice for choice in run.choices if choice.failed]
        if done:
            results = Results(run.base)
            rows = rows_of(results, [results.receipts[str(key)] for key in dict.fromkeys(c.key for c in done)])
            if search is not None:
                rows = sort(rows, f"{'-' * search.goal.maximise}{search.goal.name}")
            self.outstream.write("\n")
            print_rows(self.outstream, rows, columns_of(rows))
        self.outstream.write("\n")
        for choice in failed:
            self._say_failed(choice)
        built = sum(1 for choice in done if run.experiments.stage in choice.built)
        parts = [f"{built} built", f"{len(done) - built} there before"] + [f"{len(failed)} failed"] * bool(failed)
        self.outstream.write(f"{counted(len(run.choices), 'choice')}: {', '.join(parts)}\n")
        if search is not None:
            say_best(search, self.outstream)
        return EXIT_FAILED if failed else 0

    def _say_failed(self, choice: Choice) -> None:
        from ..run.experiment import last_line

        more = f" (`doit log {choice.evidence}`, `doit shell {choice.evidence}`)" if choice.evidence else ""
        self.outstream.write(f"{choice.state:<11}{words_text(choice.words)}: {last_line(choice.message)}{more}\n")


class ExpShow(Part):
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
        from ..manage import rows as tables
        from ..show import results_text as show
        from ..show.units import counted

        if json + csv + md + bool(chart) > 1:
            raise UsageError("exp show takes one of --json, --csv, --md and --chart")
        if svg and not chart:
            raise UsageError("--svg FILE writes a chart: say which with --chart Y:X or --chart CURVE")
        results, stage, rows, more = self.chosen(pos_args, every, condition)
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
            hidden = len(show.columns_of(rows)) - len(columns)
            said = f"{counted(len(rows), 'result')} of {stage}" + (
                f"; {more} more in the store (--all)" if more else ""
            )
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


class ExpName(Part):
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


class _Pinning(Part):
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
    doc_purpose = "run many choices of parameters and compare them: run, show, export, name, pin, unpin"
    doc_usage = "run | show | export | name | pin | unpin [...]"
    parts: ClassVar[dict[str, type[Part]]] = {
        each.name.removeprefix("exp "): each for each in (ExpRun, ExpShow, ExpExport, ExpName, ExpPin, ExpUnpin)
    }

    def help(self) -> str:
        """Called by `doit help exp`: the parts, each with its own `--help`."""
        rows = [(f"{part.name} {part.doc_usage}", part.doc_purpose) for part in self.parts.values()]
        lines = [f"doit {self.name}: {self.doc_purpose}", "", f"Usage: doit {self.name} {self.doc_usage}", ""]
        for usage, purpose in rows:
            lines += [f"  doit {usage}".replace("\n       ", "\n  "), *columns([("", purpose)], 4)]
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
