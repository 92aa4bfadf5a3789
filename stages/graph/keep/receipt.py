"""Receipts: the record that each result has of how it was made, and the digests in it.

Needs read/digest.py alone: `graph.manage.lineage` runs from a snapshot of these few files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..declare.names import RECEIPT
from ..read.digest import bytes_digest, canonical, tree_digest

VERSION = 1
Receipt = dict[str, Any]  # version, key, stage, components, outputs, run, and accepted where a person vouched for it


def key_of(components: Mapping[str, Any]) -> str:
    """The key of a component map: SHA-256 of its canonical JSON."""
    return bytes_digest(canonical(components))


def read_receipt(data: bytes, key: str) -> Receipt | None:
    """A receipt from its JSON; None if it is cut off, lacks something, or is of another version or key."""
    try:
        receipt = json.loads(data, parse_constant=_no_number)
        whole = (
            all(isinstance(each["digest"], str) for each in receipt["outputs"].values())
            and isinstance(receipt["components"], dict)
            and isinstance(receipt["run"]["duration_s"], int | float)
            and isinstance(receipt.get("accepted", {"from": ""})["from"], str)
        )
        if whole and receipt["version"] == VERSION and receipt["key"] == key:
            return dict(receipt)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number; no key can hold it")


def belongs(receipt: Receipt) -> bool:
    """Whether a receipt's key is that of its components, and its stage and outputs are those of its components."""
    components = receipt["components"]
    return (
        key_of(components) == receipt["key"]
        and sorted(receipt["outputs"]) == components.get("outputs")
        and receipt.get("stage") == components.get("stage")
    )


def compared(receipt: Receipt) -> dict[str, dict[str, Any]]:
    """The outputs without the volatile ones, by the components, which the key covers."""
    volatile = receipt["components"].get("volatile", ())
    return {name: found for name, found in receipt["outputs"].items() if name not in volatile}


def digest_in(receipt: Receipt | None, output: str) -> str | None:
    """The digest of an output by its receipt; of "" that of all outputs together but the volatile ones; of RECEIPT
    that of the receipt itself. None where the receipt is None or has no such output.
    """
    if receipt is None:
        return None
    if output == RECEIPT:
        return _digest(receipt)
    if output == "":
        outputs = compared(receipt).items()
        return tree_digest((name, found["digest"], found.get("executable", False)) for name, found in outputs)
    if output not in receipt["outputs"]:
        return None
    return str(receipt["outputs"][output]["digest"])


def summary(receipt: Receipt) -> Receipt:
    """The part of a receipt that a look needs, small enough for the stat cache: `digest_in` gives the same for both.
    `sound`: whether the components give the key.
    """
    components = receipt["components"]
    kept = {name: value for name, value in receipt.items() if name not in ("run", "components")}
    sound = key_of(components) == receipt["key"]
    return {**kept, "components": {"volatile": components.get("volatile", [])}, "sound": sound}


def _digest(receipt: Receipt) -> str:
    """Digest of what equal builds share. The key stands for the components; how the run went is left out."""
    shared = {name: value for name, value in receipt.items() if name not in ("run", "components", "sound")}
    return bytes_digest(canonical({**shared, "outputs": compared(receipt)}))
