"""PocketLM's own doit commands: preview, screenshot, check, doctor, bench, test. What builds does it under the lock,
lets the lock go, then runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doit import doit_cmd

from stages import paths
from stages.graph import UsageError
from stages.graph.errors import LockHeld
from stages.graph.front.base import PROJECT, Command, option
from stages.graph.front.run import Run


class _BuildThen(Run):
    """Build some tasks, then do something with what they made."""

    section = PROJECT
    doc_description: str | None = None
    shown_options = None
    tasks: tuple[str, ...] = ()

    def build(self) -> int:
        """Bring `tasks` up to date; returns the exit status."""
        self.sel_tasks = list(self.tasks)
        return super()._execute(self.outstream, verbosity=2)


class Preview(_BuildThen):
    """Build what is stale of the bundle, then serve it on localhost until Ctrl-C."""

    name = "preview"
    options_anywhere = True
    doc_purpose = "build the page and talk to the model in a browser"
    doc_usage = "[--port N] [--compare A B | --live]"
    doc_description = (
        "--compare: two models side by side, with the same prompt, seed and settings. A, B: a preset, or what "
        "`doit diff` takes: a name, the beginning of a key, SCOPE/STAGE. A trained one is exported where that is "
        "missing, and no preset's links move. --live: the newest checkpoint of the training that runs now, renewed as "
        "it goes on; it only reads what the training has finished, and needs a page that was built before."
    )
    cmd_options = (
        {
            "name": "port",
            "short": "p",
            "long": "port",
            "metavar": "N",
            "type": int,
            "default": 0,
            "help": "a free one from 8000 where it is left out",
        },
        option("compare", "compare", "two models side by side"),
        option("live", "live", "the training that runs now"),
    )

    def _execute(self, port: int, compare: bool, live: bool, pos_args: Any = None) -> int:  # type: ignore[override]
        if compare and live:
            raise UsageError("preview takes one of --compare and --live")
        if compare:
            return self._compare(port, list(pos_args or ()))
        if pos_args:
            raise UsageError(f"preview takes no task ({pos_args[0]!r}); choose a model with preset=NAME")
        if live:
            return self._live(port)
        self.tasks = ("web",)
        status = self.build()
        if status != 0:
            return status
        from stages import other_models, preview
        from stages.project import SETTINGS

        index = paths.BUILD / "run" / "preview" / "index.json"
        bundle = paths.preset_dir(SETTINGS.preset) / "web"
        beside = {
            **other_models.beside(paths.BUILD, SETTINGS.preset, index),
            **preview.example(paths.ROOT / "web" / "examples" / "plain", paths.NPM, bundle / "model.bin"),
        }
        return preview.serve(bundle, port or None, beside)

    def _compare(self, port: int, words: list[str]) -> int:
        if len(words) != 2:
            raise UsageError("--compare takes two models: presets, names, beginnings of keys, or SCOPE/STAGE")
        from stages import compare, preview

        found = compare.sides(self.graph(), words)  # what is misspelt is said before anything is built
        self.tasks = ("page",)
        status = self.build()
        if status != 0:
            return status
        beside = compare.files(self.graph(), found, paths.BUILD / "run" / "preview")
        return preview.serve(paths.PAGE, port or None, beside, view="compare")

    def _live(self, port: int) -> int:
        from stages import preview
        from stages.live import Live, page
        from stages.project import SETTINGS

        self.tasks = ("page",)
        try:
            status = self.build()
        except LockHeld:
            status = 0
            self.outstream.write("another run holds the lock: the page is as it was built last\n")
        if status != 0:
            return status
        folder = page()
        export = {name.partition(".")[2]: value for name, value in SETTINGS.told("export").items()}
        with Live(str(paths.BUILD), paths.BUILD / "run" / "live", export, SETTINGS.preset) as live:
            return preview.serve(folder, port or None, live.beside, view="live")


class Watch(Command):
    """Follow the sources until Ctrl-C."""

    name = "watch"
    doc_purpose = "serve the page, and rebuild and renew what a change of the sources makes stale"
    doc_usage = "[--port N]"
    doc_description = (
        "Components and styles change in place, by Vite's own server; engine and model are built and take the places "
        "of those in the page between two texts, and the prompt stays. An error of a build stands in the terminal and "
        "in the page; the next change is tried again. Ctrl-C ends all of it."
    )
    cmd_options = ({**Preview.cmd_options[0], "help": "a free one from 5173 where it is left out"},)

    def _execute(self, port: int, pos_args: Any = None) -> int:
        if pos_args:
            raise UsageError(f"watch takes no task ({pos_args[0]!r}); choose a model with preset=NAME")
        from stages.project import SETTINGS
        from stages.watch import follow

        words = [f"{name}={value}" for name, value in (doit_cmd._CMDLINE_VARS or {}).items()]
        return follow(SETTINGS.preset, words, port or None)


class Screenshot(_BuildThen):
    """Build the bundle, let the model write in a browser without a screen, and save what is seen."""

    name = "screenshot"
    doc_purpose = "save a picture of the page with the model's text"
    doc_usage = "[FILE.png]"
    doc_description = "FILE: docs/page.png where it is left out, the picture of the README."
    cmd_options = ()
    tasks = ("web",)

    def _execute(self, pos_args: Any = None) -> int:  # type: ignore[override]
        names = pos_args or [str(paths.ROOT / "docs" / "page.png")]
        if len(names) != 1 or not names[0].endswith(".png"):
            raise UsageError(f"screenshot takes one name that ends in .png, not {' '.join(names)!r}")
        status = self.build()
        if status != 0:
            return status
        from stages import screenshot
        from stages.project import SETTINGS

        screenshot.take(paths.preset_dir(SETTINGS.preset) / "web", Path(names[0]).absolute())
        self.outstream.write(f"{names[0]}\n")
        return 0


class Check(Command):
    """Everything that a machine can say about the sources."""

    name = "check"
    doc_purpose = "linters, types, the WASM wall, the golden rule of data, commit messages"
    doc_usage = "[CHECK ...]"

    def _execute(self, pos_args: Any = None) -> int:
        from stages.check import CHECKS, run_checks

        _known(pos_args, CHECKS, "check")
        return 1 if run_checks(pos_args or []) else 0


class Doctor(Command):
    """Is this machine ready?"""

    name = "doctor"
    doc_purpose = "look whether this machine has what the build needs, and say how to mend it"
    doc_usage = "[--json]"
    doc_description = "Changes nothing. Exit status 1 where the default build would fail."
    cmd_options = (
        {"name": "json", "short": "", "long": "json", "type": bool, "default": False, "help": "for programs"},
    )

    def _execute(self, json: bool, pos_args: Any = None) -> int:
        from stages import doctor

        if pos_args:
            raise UsageError(f"doctor takes no task ({pos_args[0]!r})")
        findings = doctor.examine()
        self.outstream.write(doctor.report(findings, json) + "\n")
        return doctor.exit_status(findings)


class Bench(_BuildThen):
    """Build what is measured, then measure it beside what others wrote."""

    name = "bench"
    doc_purpose = (
        "measure beside what others wrote: builds with nothing stale, experiments, tokenizer, engine, training, page"
    )
    doc_usage = "build|experiments|tokenizer|engine|train|page [--quick]"
    doc_description = (
        "The others are installed into build/tools, each benchmark's by its own locks/bench*.txt, and used only here."
    )
    cmd_options = (
        {
            "name": "quick",
            "short": "q",
            "long": "quick",
            "type": bool,
            "default": False,
            "help": "fewer rounds or steps, no 1,000 stages, no model of 135 M",
        },
    )

    def parse_execute(self, in_args: list[str]) -> int:
        """Options may follow the name here."""
        return super().parse_execute(sorted(in_args, key=lambda word: not word.startswith("-")))

    def _execute(self, quick: bool, pos_args: Any = None) -> int:  # type: ignore[override]
        from stages.bench import BENCHES, run_bench

        _known(pos_args, BENCHES, "benchmark")
        if len(pos_args or ()) != 1:
            raise UsageError(f"name one benchmark: {', '.join(BENCHES)}")
        self.tasks = BENCHES[pos_args[0]].builds
        status = self.build() if self.tasks else 0
        return status or run_bench(self.graph(), pos_args[0], quick)


class Test(_BuildThen):
    """Build the `tiny` preset, then run every check and test."""

    name = "test"
    doc_purpose = "build the tests' model, then run every check and test"
    doc_usage = "[SUITE ...] [--slow] [--no-gpu]"
    cmd_options = (
        {
            "name": "slow",
            "short": "",
            "long": "slow",
            "type": bool,
            "default": False,
            "help": "also the tests that take minutes: real builds that are killed, and changed piece by piece",
        },
        {
            "name": "no_gpu",
            "short": "",
            "long": "no-gpu",
            "type": bool,
            "default": False,
            "help": "without the tests that want a graphics driver, if only a software one: those and e2e",
        },
    )
    tasks = ("web", "cli")

    def parse_execute(self, in_args: list[str]) -> int:
        """Options may follow the suites; the tests' preset and profile are not for choosing."""
        for name in doit_cmd._CMDLINE_VARS:
            return self._wrong(UsageError(f"{name}= means nothing here: the tests have a preset of their own"))
        doit_cmd.set_var("preset", paths.TEST_PRESET)
        doit_cmd.set_var("profile", "fast")
        return super().parse_execute(sorted(in_args, key=lambda word: not word.startswith("-")))

    def _execute(self, slow: bool, no_gpu: bool, pos_args: Any = None) -> int:  # type: ignore[override]
        from stages.suites import SUITES, Chosen, run_suites

        _known(pos_args, SUITES, "suite")
        if no_gpu and "e2e" in (pos_args or ()):
            raise UsageError("e2e wants a browser with WebGPU: leave it out, or leave out --no-gpu")
        status = self.build()
        return status or (1 if run_suites(pos_args or [], Chosen(slow, not no_gpu)) else 0)


def _known(names: list[str] | None, table: dict[str, Any], kind: str) -> None:
    for name in names or ():
        if name not in table:
            raise UsageError(f"{name!r} is not a {kind}; there are: {', '.join(table)}")
