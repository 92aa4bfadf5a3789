"""What `doit verify` found, as a table for a person."""

from __future__ import annotations

from collections.abc import Collection

from ..decide.key import Reason
from ..manage import artifacts
from ..manage.verification import CORRUPT, IDENTICAL, MOVED, NOT_BUILT, STALE, VERIFIED, Verdict

SHOWN = 10  # differing files of a stage that are listed


def as_text(verdicts: Collection[Verdict]) -> str:
    """A table, one line a stage, with what is wrong below it; then the totals."""
    rows = [("stage", "result", "built again", artifacts.NAME)]
    rows += [(v.stage, _result(v), v.rebuilt or "", v.lock or "") for v in verdicts]
    shown = [column for column in range(4) if column < 2 or any(row[column] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) + 2 for column in shown}
    lines = ["".join(f"{row[column]:<{widths[column]}}" for column in shown).rstrip() for row in rows]
    text = [lines[0]]
    for line, verdict in zip(lines[1:], verdicts, strict=True):
        text += [line, *(f"  {detail}" for detail in _details(verdict))]
    return "\n".join([*text, "", _sum(verdicts)])


def _result(verdict: Verdict) -> str:
    return f"{verdict.result}, accepted" if verdict.accepted else verdict.result


def _details(verdict: Verdict) -> list[str]:
    lines = [reason.text() for reason in verdict.reasons]
    if verdict.result == STALE:
        lines.append(f"`doit {verdict.stage}` brings it up to date, and so does `doit verify --rebuild`")
    elif verdict.result == CORRUPT:
        lines.append(f"`doit {verdict.stage}` makes it again")
    elif verdict.result == NOT_BUILT and verdict.required:
        lines.append(f"`doit {verdict.stage}` builds it")
    lines += [f"built again {difference.text()}" for difference in verdict.differences[:SHOWN]]
    if len(verdict.differences) > SHOWN:
        lines.append(f"... and {len(verdict.differences) - SHOWN} more files")
    if verdict.cause is not None:
        lines.append(f"its input {verdict.cause} came out different")
    if verdict.rebuilt == MOVED:
        lines.append("its sources changed while it was built again; run again when nothing edits them")
    lines += [f"{artifacts.NAME} {Reason('output', *found).text()}" for found in verdict.locked]
    return lines


def _sum(verdicts: Collection[Verdict]) -> str:
    failed = sum(verdict.failed for verdict in verdicts)
    verified = sum(verdict.result == VERIFIED for verdict in verdicts)
    parts = [f"{verified} verified, {failed} failed"]
    idle = sum(verdict.result == NOT_BUILT and not verdict.required for verdict in verdicts)
    parts += [f"{idle} not built"] if idle else []
    rebuilt = [verdict.rebuilt for verdict in verdicts if verdict.rebuilt is not None]
    if rebuilt:
        parts.append(f"built again: {rebuilt.count(IDENTICAL)} of {len(rebuilt)} identical")
    locks = [verdict.lock for verdict in verdicts if verdict.lock is not None]
    counts = {state: locks.count(state) for state in (artifacts.SAME, artifacts.DIFFERS, *artifacts.NOT_COMPARABLE)}
    if locks:
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        parts.append(f"{artifacts.NAME} for {artifacts.host_class()}: {said}")
    return "; ".join(parts)
