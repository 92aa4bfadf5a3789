"""Provenance: the receipts of a chain of stages in, one JSON of how it was made out, and beside it how long that took.

    python -m graph.manage.lineage --params FILE --out DIR STAGE=RECEIPT ...

--params: {"params": {"edges": {STAGE: {INPUT: [STAGE, OUTPUT]}}}}, which stage's output each input is.
Writes OUT/provenance.json  what equal builds share: no path of this machine, clock, duration or host
       OUT/timings.json     what they do not: when each stage ran, how long, on what
Runs as the command of a stage: it needs errors, declare.names, read.digest and keep.receipt of this package, no doit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from ..keep.receipt import Receipt, belongs, compared, digest_in

FORMAT = 1
Edges = Mapping[str, Mapping[str, tuple[str, str]]]  # stage -> input -> (stage, output)


def merge(receipts: Mapping[str, Receipt], edges: Edges) -> dict[str, Any]:
    """One map of how these results were made.

    Raises ValueError for a receipt that is not what its key says, and where an input is not what the stage that it
    comes from has now: such receipts do not belong to one build.
    """
    for name, receipt in receipts.items():
        if receipt["stage"] != name or not belongs(receipt):
            raise ValueError(f"the receipt of {name} does not belong to its key {receipt['key'][:10]}")
    return {"format": FORMAT, "stages": {name: _entry(name, receipts, edges) for name in receipts}}


def timings(receipts: Mapping[str, Receipt]) -> dict[str, Any]:
    """When each stage ran (seconds since 1970), how long it took and on what kind of machine."""
    return {
        name: {what: receipt["run"][what] for what in ("started", "duration_s", "host")}
        for name, receipt in receipts.items()
    }


def _entry(name: str, receipts: Mapping[str, Receipt], edges: Edges) -> dict[str, Any]:
    receipt = receipts[name]
    made_from = receipt["components"]
    inputs = {}
    for label, digest in made_from["inputs"].items():
        stage, output = edges[name][label]
        if stage not in receipts:
            raise ValueError(f"input {label} of {name} comes from {stage}, whose receipt was not given")
        now = digest_in(receipts[stage], output)
        if now != digest:
            raise ValueError(
                f"input {label} of {name} is {output or 'all'} of {stage}: {name} was made from {digest[:10]}, "
                f"{stage} has {str(now)[:10]}; run `doit {name}` first"
            )
        inputs[label] = {"stage": stage, "output": output, "digest": digest}
    return {
        "key": receipt["key"],
        "command": made_from["command"],
        "inputs": inputs,
        "sources": made_from["sources"],
        "external": {group: _files(paths) for group, paths in made_from["external"].items()},
        "params": made_from["params"],
        "profile": made_from["profile"],
        "tools": made_from["tools"],
        "environment": {**made_from["env"], **made_from["set_env"]},
        "outputs": {
            output: {what: found[what] for what in ("digest", "size_bytes")}
            for output, found in compared(receipt).items()
        },
        **({"accepted": _accepted(receipt["accepted"])} if "accepted" in receipt else {}),
    }


def _files(paths: Mapping[str, str]) -> list[dict[str, str]]:
    """External files, without their folders."""
    return [{"name": _placeless(path), "digest": digest} for path, digest in sorted(paths.items())]


def _accepted(accepted: Mapping[str, Any]) -> dict[str, Any]:
    """What a person vouched for. The difference of an external file is named GROUP: PATH."""
    shown = dict(accepted)
    if "differences" in shown:
        shown["differences"] = [
            {**each, "name": ": ".join(map(_placeless, each["name"].split(": ")))} for each in shown["differences"]
        ]
    if "earlier" in shown:
        shown["earlier"] = _accepted(shown["earlier"])
    return shown


def _placeless(path: str) -> str:
    """Only the name of an absolute path: where a file lies on this machine is not published."""
    return os.path.basename(path) if os.path.isabs(path) else path


def main(argv: list[str]) -> None:
    """The command. Ends with a sentence and status 1 where a receipt cannot be read or does not fit."""
    parser = argparse.ArgumentParser(prog="graph.manage.lineage", description="Merge receipts into provenance.json.")
    parser.add_argument("--params", required=True, metavar="FILE")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("receipts", nargs="+", metavar="STAGE=RECEIPT")
    arguments = parser.parse_args(argv)
    try:
        receipts = {}
        for word in arguments.receipts:
            name, _, path = word.partition("=")
            receipts[name] = _read(path)
        merged = merge(receipts, _read(arguments.params)["params"]["edges"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = str(error) if isinstance(error, OSError | ValueError) else f"a receipt lacks {error}"
        sys.exit(f"provenance: {what}")
    _write(f"{arguments.out}/provenance.json", merged)
    _write(f"{arguments.out}/timings.json", timings(receipts))


def _read(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _write(path: str, value: Any) -> None:
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:  # names need not be UTF-8
        json.dump(value, file, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
