"""push, pull, gc: results that come and go."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from ..keep.setting import STORE_VARIABLE
from .base import EXIT_FAILED, RESULTS, Command, locked, option
from .tasks import Graph


class _Transfer(Command):
    """What push and pull share: the remote, the lock, a line for each stage and the totals."""

    options_anywhere = True
    moved = ""  # the word for a result that was copied

    def transfer(self, graph: Graph, url: str, names: list[str]) -> int:
        """Do it; returns the exit status."""
        from ..manage import transfer
        from ..show.report import Report
        from ..show.units import size_text

        graph.session.report = report = Report(self.outstream)
        with locked(graph):
            remote = graph.session.remote_at(url) if url else graph.session.remote
            if remote is None:
                raise UsageError(
                    f"no remote store is configured: give {'--to' if self.name == 'push' else '--from'} URL, or set "
                    f"{STORE_VARIABLE}=URL, or store.remote in the project's settings"
                )
            move = transfer.push if self.name == "push" else transfer.pull
            done = move(graph.look, remote, names, report.state)
        counts = [f"{done.moved} {self.moved} ({size_text(done.size_bytes)})", f"{done.there} there"]
        self.outstream.write(", ".join([*counts, *([f"{done.missing} missing"] if done.missing else [])]) + "\n")
        return EXIT_FAILED if remote.trouble is not None or (done.missing and self.name == "push" and names) else 0


class Push(_Transfer):
    """Copy results to the remote store."""

    name = "push"
    section = RESULTS
    doc_purpose = "copy the results of stages to the remote store"
    doc_usage = "[STAGE ...] [--to URL]"
    doc_description = "Named stages and all that they need; without a name, every stage."
    cmd_options = (option("to", "to", "a remote store, instead of the configured one", metavar="URL"),)
    moved = "pushed"

    def _execute(self, to: str, pos_args: Any = None) -> int:
        return self.transfer(self.graph(), to, self.stage_names(pos_args))


class Pull(_Transfer):
    """Fetch results from the remote store."""

    name = "pull"
    section = RESULTS
    doc_purpose = "fetch what would otherwise be built from the remote store"
    doc_usage = "[STAGE ...] [--from URL]"
    doc_description = "Named stages and all that they need; without a name, every stage. Nothing is built."
    cmd_options = (option("source", "from", "a remote store, instead of the configured one", metavar="URL"),)
    moved = "pulled"

    def _execute(self, source: str, pos_args: Any = None) -> int:
        return self.transfer(self.graph(), source, self.stage_names(pos_args))


class Gc(Command):
    """Remove the results that are needed least."""

    name = "gc"
    section = RESULTS
    doc_purpose = "remove old results: --keep 10GB, --older-than 30d"
    doc_usage = "[--keep SIZE] [--older-than AGE] [--dry-run]"
    doc_description = (
        "Never removes a result that is linked in any preset, named or pinned, nor what it was made from. Of the "
        "others, the least recently used go first. Files from which an interrupted stage could resume are removed "
        "after 7 days, or after AGE, unless that stage would resume from them now. Logs that commands keep beside "
        "their results (of TensorBoard, say) count as results that nothing needs: by AGE, and within SIZE."
    )
    cmd_options = (
        option("keep", "keep", "how much may stay: 10GB, 500MB, 0", metavar="SIZE"),
        option("older", "older-than", "remove what was not used for so long: 30d, 12h", metavar="AGE"),
        option("dryrun", "dry-run", "only say what would go", short="n"),
    )

    def _execute(self, keep: str, older: str, dryrun: bool, pos_args: Any = None) -> int:
        from ..manage import gc
        from ..show.units import parse_age, parse_size, size_text

        if pos_args:
            raise UsageError(f"gc takes no stage ({pos_args[0]!r}); `doit clean STAGE` removes the result of one")
        if not keep and not older:
            raise UsageError("say what may go: --keep 10GB (how much stays), --older-than 30d, or both")
        keep_bytes = parse_size(keep) if keep else None
        older_s = parse_age(older) if older else None
        graph = self.graph()
        with locked(graph):
            chosen = gc.plan(graph.look, keep_bytes, older_s)
            if not dryrun:
                gc.remove(graph.look, chosen)
        verb = "would remove" if dryrun else "removed"
        for entry, freed in chosen.entries:
            stage = entry.receipt["stage"] if entry.receipt else "corrupt"
            self.outstream.write(f"{verb} {stage} {entry.key[:10]}  {size_text(freed)}\n")
        for path, size_bytes in chosen.folders:
            self.outstream.write(f"{verb} {path}  {size_text(size_bytes)}\n")
        freed = sum(size for _, size in chosen.entries) + sum(size for _, size in chosen.folders)
        self.outstream.write(
            f"{verb} {len(chosen.entries) + len(chosen.folders)} ({size_text(freed)}); {chosen.kept} results stay "
            f"({size_text(chosen.kept_bytes)}), {size_text(chosen.needed_bytes)} of it linked, or needed by links\n"
        )
        return 0
