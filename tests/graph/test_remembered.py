"""What the stat cache remembers of receipts is believed only while their stat is the same, and says what they say."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.graph.declare.names import RECEIPT
from stages.graph.keep.receipt import digest_in, summary
from stages.graph.keep.store import Store
from tests.graph.project import Project


@pytest.fixture
def warm(chain: Project) -> Project:
    """`chain`, after a look that remembered every receipt, and one that believed what was remembered."""
    time.sleep(0.05)  # receipts of this tick of the clock are not believed
    for _ in range(2):
        assert chain.doit().ran == []
    return chain


def remembered(project: Project) -> dict[str, list[object]]:
    """The entries of the stat cache by stage."""
    entries = json.loads((project.build / ".stat-cache.json").read_text())["receipts"]
    return {Path(path).parent.name: entry for path, entry in entries.items()}


def plant(project: Project, stage: str, change: Callable[[list[object]], None]) -> None:
    """Change what the stat cache on disk remembers of a stage's receipt."""
    path = project.build / ".stat-cache.json"
    data = json.loads(path.read_text())
    (name,) = (name for name in data["receipts"] if f"/{stage}/" in name)
    change(data["receipts"][name])
    path.write_text(json.dumps(data))


def test_what_is_remembered_is_what_a_reading_gives(warm: Project) -> None:
    entries = remembered(warm)
    assert sorted(entries) == ["one", "three", "two"]
    for stage, entry in entries.items():
        receipt = warm.receipt(stage)
        assert entry[5] == summary(receipt)
        for output in ("o.txt", "", RECEIPT, "none"):
            assert digest_in(entry[5], output) == digest_in(receipt, output)  # type: ignore[arg-type]


def test_a_no_op_reads_no_receipt(warm: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(Store, "receipt", lambda _, key: read.append(key))
    assert warm.doit().ran == [] and read == []


def test_a_receipt_read_in_the_tick_of_its_change_is_read_again(warm: Project) -> None:
    def racy(entry: list[object]) -> None:
        entry[4], entry[5] = max(entry[1], entry[2]), {"key": "0" * 64, "outputs": {}, "components": {}, "sound": True}  # type: ignore[type-var]

    plant(warm, "two", racy)
    assert warm.doit().ran == []
    assert remembered(warm)["two"][5] == summary(warm.receipt("two"))


@pytest.mark.parametrize("field", [0, 1, 2, 3], ids=["size", "mtime", "ctime", "inode"])
def test_every_field_of_the_stat_counts(warm: Project, field: int) -> None:
    def other(entry: list[object]) -> None:
        entry[field] = entry[field] - 1  # type: ignore[operator]
        entry[5] = {"key": "0" * 64, "outputs": {}, "components": {}, "sound": True}

    plant(warm, "two", other)
    assert warm.doit().ran == []


def test_receipt_changed_with_its_times_kept(warm: Project) -> None:
    """An editor that puts the times back does not put the change time back."""
    receipt = warm.result("two") / "receipt.json"
    before = receipt.stat()
    text = receipt.read_text()
    receipt.chmod(0o644)
    receipt.write_text(text.replace('"version"', '"versiom"'))
    os.utime(receipt, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert receipt.stat().st_size == before.st_size
    assert warm.doit().ran == ["two"]


def test_link_to_another_result(warm: Project) -> None:
    """What is remembered under a link does not outlive the link."""
    link, other = warm.build / "shared/.current/two", warm.build / "shared/.current/three"
    link.unlink()
    shutil.copy(other, link, follow_symlinks=False)
    assert warm.why("two")["two"][0] == "comes from the store"
    assert warm.doit().ran == []
    assert warm.receipt("two")["stage"] == "two"


def test_result_moved_away(warm: Project) -> None:
    """The receipt is still to be seen through the link, but not under its key."""
    entry, link = warm.result("two"), warm.build / "shared/.current/two"
    moved = entry.with_name("f" * 64)
    entry.rename(moved)
    link.unlink()
    link.symlink_to(f"../../store/{moved.name}")
    assert warm.doit().ran == ["two"]
    assert warm.result("two") == entry
