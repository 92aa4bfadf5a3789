"""verify: check the linked results, build them again elsewhere, compare with artifacts.lock."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection
from typing import Any

from doit.loader import generate_tasks

from ..errors import GraphError, Interrupted, UsageError
from ..keep.store import remove_tree
from ..manage.artifacts import ArtifactsLock
from .base import EXIT_FAILED, RESULTS, json_text, locked, option
from .run import Run, catching_signals
from .tasks import Graph


class Verify(Run):
    """Check every linked result; with --rebuild, build it again without reusing any result, and compare bytes."""

    name = "verify"
    options_anywhere = True
    section = RESULTS
    doc_purpose = "check results against receipts, artifacts.lock and a second build"
    doc_usage = "[STAGE ...] [--rebuild [--keep]] [--update-lock] [--json]"
    doc_description = (
        "Without a name: every linked result. Reads every byte. Exit status 0 if all is well, else 1. "
        "--rebuild first brings the stages up to date, then builds them and what they need a second time in "
        "build/verify/again, reusing no result, while the build folder stays locked."
    )
    shown_options = None
    cmd_options = (
        option("rebuild", "rebuild", "build again elsewhere and compare bytes"),
        option("keep", "keep", "keep the folder of --rebuild"),
        option("update_lock", "update-lock", "write the digests to artifacts.lock, if all else is well"),
        option("json", "json", "for programs; what commands print goes to standard error"),
    )

    def _execute(  # type: ignore[override]
        self, rebuild: bool, keep: bool, update_lock: bool, json: bool, pos_args: Any = None
    ) -> int:
        from ..manage import verification as verify

        graph = self.graph()
        names = self.stage_names(pos_args)
        if keep and not rebuild:
            raise UsageError("--keep keeps the folder of --rebuild; give both")
        lock = ArtifactsLock(graph.plan.root)
        with contextlib.redirect_stdout(sys.stderr) if json else contextlib.nullcontext():
            if rebuild:
                names = names or [name for name in self.sel_tasks or graph.plan.order if name in graph.plan.stages]
                status = self._run(graph, names)
                if status != 0:
                    return status
            with locked(graph):
                verdicts = verify.check(graph.look, names)
                if not any(verdict.required for verdict in verdicts):
                    raise GraphError("nothing is built, so nothing can be verified; run `doit` first")
                if rebuild and not any(verdict.failed for verdict in verdicts):
                    try:
                        status = self._rebuild(graph, verdicts, keep)
                    except Interrupted as stopped:
                        status = 128 + stopped.signum
                    if status != 0:
                        return status
        update = update_lock and not any(verdict.failed for verdict in verdicts)
        verify.compare_with_lock(graph.look, verdicts, lock, update)
        if json:
            print(json_text(verify.as_json(verdicts)))
        else:
            from ..show.verdict_text import as_text

            print(as_text(verdicts))
        if update_lock:
            said = "was not written: see above" if not update else "written" if lock.save() else "is as it was"
            print(f"{lock.path}: {said}", file=sys.stderr)
        return EXIT_FAILED if any(verdict.failed for verdict in verdicts) else 0

    def _rebuild(self, graph: Graph, verdicts: Collection[Any], keep: bool) -> int:
        """Build the reproducible stages again in another folder, and compare; returns the status of the build.

        The folder lies in build/verify, which may be a link to a larger disk: nothing else there is touched.
        """
        from ..manage import verification as verify

        wanted = [v.stage for v in verdicts if verify.not_alike(graph.look, v.stage) is None]
        place = f"{graph.plan.build}/verify"
        with catching_signals(graph, None):
            other = elsewhere(graph, f"{place}/again")
            try:
                other.session.lock.acquire()  # waits for commands that a killed verify left running
                other.session.lock.release()
                remove_tree(other.plan.build)
                if os.path.lexists(other.plan.build):
                    raise GraphError(f"{other.plan.build} cannot be removed; remove it and run again")
                print(f"\nbuilding again, cold, in {other.plan.build}", flush=True)
                verify.seed_accepted(graph.look, other.look, [verdict.stage for verdict in verdicts])
                status = self._run(other, wanted) if wanted else 0
                if status == 0:
                    verify.compare_with_rebuilt(graph.look, verdicts, other.look, wanted)
                return status
            finally:
                if not keep:
                    remove_tree(other.plan.build)
                    with contextlib.suppress(OSError):  # a link stays, and so does what others have put there
                        os.rmdir(place)
                    print(f"removed {other.plan.build}", flush=True)

    def _run(self, graph: Graph, names: list[str]) -> int:
        """Bring stages of a graph up to date as `doit run` does; returns the exit status."""
        self.task_list = generate_tasks("task_verify", graph.tasks())
        self.sel_tasks = names
        return super()._execute(sys.stdout, verbosity=2)


def elsewhere(graph: Graph, build: str) -> Graph:
    """The same stages over another build folder, with no store but its own."""
    plan, grace_s = graph.plan, graph.session.grace_s
    stages, setups = list(plan.stages.values()), list(plan.setups.values())
    return Graph(stages, setups, root=plan.root, build=build, path=plan.path, grace_s=grace_s, store="off")
