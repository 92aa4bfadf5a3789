"""`doit exp show`, names and pins: the table of results, against a plain reading of the receipts."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.graph.manage.rows import Row, select, sort
from stages.graph.show.results_text import too_wide, value_text
from tests.graph.experiments import Lab
from tests.graph.project import RUN_DOIT
from tests.graph.terminal import Terminal


def by_hand(lab: Lab) -> dict[str, dict[str, Any]]:
    """Every training in the store: key -> its parameters, those of its words, its loss and its size."""
    receipts = {}
    for path in (lab.build / "store").glob("[0-9a-f]*/receipt.json"):
        receipt = json.loads(path.read_text())
        receipts[receipt["key"]] = receipt
    found = {}
    for key, receipt in receipts.items():
        if receipt["stage"] == "train":
            words = receipts[receipt["run"]["inputs"]["words"]["key"]]
            found[key] = {
                "params": {**receipt["components"]["params"], **words["components"]["params"]},
                "loss": json.loads((lab.build / "store" / key / "summary.json").read_text())["loss"],
                "size_bytes": sum(each["size_bytes"] for each in receipt["outputs"].values()),
            }
    return found


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four choices, one of them in an upstream parameter, and scores of two."""
    made = Lab(tmp_path_factory.mktemp("lab"), lambda: SimpleNamespace(out="", err=""))
    assert made.doit("exp", "run", "train.lr=1,2", "words.least=1,2", "--name", "a").status == 0
    assert made.doit("exp", "run", "train.lr=1,2", "score").status == 0
    return made.root


@pytest.fixture
def built(once: Path, lab: Lab) -> Lab:
    """A copy of it."""
    shutil.copytree(once, lab.root, symlinks=True, dirs_exist_ok=True)
    return lab


def test_table_against_the_receipts(built: Lab) -> None:
    rows, expected = built.table("--all"), by_hand(built)
    assert {row["key"] for row in rows} == set(expected) and len(rows) == 4
    for row in rows:
        plain = expected[row["key"]]
        assert row["params"] == {name: plain["params"][name] for name in ("train.lr", "words.least")}
        assert (row["metrics"]["loss"], row["size_bytes"]) == (plain["loss"], plain["size_bytes"])
        assert row["metrics"]["steps"] == 100 and "no" not in row["metrics"]
    scores = {
        row["params"]["train.lr"]: row["metrics"].get("score.bytes")
        for row in rows
        if row["params"]["words.least"] == 1
    }
    assert all(isinstance(score, int) for score in scores.values())
    assert all("score.bytes" not in row["metrics"] for row in rows if row["params"]["words.least"] == 2)


def test_text_has_names_metrics_and_stars(built: Lab) -> None:
    lines = built.doit("exp", "show", "--sort", "-loss").out.splitlines()
    head = lines[0].split()
    assert set(head[2:4]) == {"words.least", "train.lr"}
    assert [*head[:2], *head[4:]] == ["name", "key", "loss", "steps", "score.bytes", "took", "size", "age"]
    assert all("*" in line for line in lines[1:5])
    assert lines[-1] == "4 results of train"


def test_one_is_no_plural(built: Lab) -> None:
    assert built.doit("exp", "show", "--filter", "name==a-1").out.splitlines()[-1] == "1 result of train"
    result = built.doit("exp", "run", "train.lr=2")
    assert result.out.startswith("no word has several values (NAME=VALUE,VALUE ...): one result\n")
    assert result.out.splitlines()[-1] == "1 choice: 0 built, 1 there before"


def test_what_does_not_fit_into_a_terminal_is_left_out_and_said(built: Lab) -> None:
    """Such a table was folded letter by letter."""
    for columns, gone in ((150, ""), (56, "steps, score.bytes, took, size")):
        terminal = Terminal(built, "exp", "show", columns=columns, env={"PYTHONPATH": str(RUN_DOIT.parents[2])})
        status, lines = terminal.wait()
        lines = [line.rstrip() for line in lines if line.strip()]
        assert status == 0 and lines[0].split()[:2] == ["name", "key"] and lines[-1] == "4 results of train"
        assert sorted(line.split()[0] for line in lines[1:5]) == ["a-1", "a-2", "a-3", "a-4"], lines
        assert all(len(line) <= columns for line in lines[:5])
        assert ("too wide for this window, and in --csv and --json: " + gone in lines) == bool(gone), lines


def test_columns_are_left_out_until_the_rest_fits() -> None:
    draw = random.Random(0)
    for _ in range(300):
        metrics = [f"m{at}" for at in range(draw.randrange(4))]
        names = ["name", "key", *(f"p{at}" * draw.randrange(1, 9) for at in range(draw.randrange(5))), *metrics]
        cells = {name: ["x" * draw.randrange(1, 30) for _ in range(3)] for name in [*names, "took", "size", "age"]}
        width = draw.randrange(200)
        gone = too_wide(cells, width, metrics)
        lengths = [max(map(len, (name, *cells[name]))) for name in cells if name not in gone]
        kept = [name for name in cells if name not in gone]
        assert sum(lengths) + 2 * (len(lengths) - 1) <= width or kept == ["name", "key", *metrics[:1]]
        assert kept[:2] == ["name", "key"] and kept[2:] == [name for name in cells if name in kept][2:]
        assert too_wide(cells, 10_000, metrics) == []


def test_a_text_of_several_lines_is_one_cell() -> None:
    assert value_text("a\nb") == '"a\\nb"' and value_text("a b") == "a b"


def test_sort_and_filter(built: Lab) -> None:
    losses = [row["metrics"]["loss"] for row in built.table("--sort", "loss")]
    assert losses == sorted(losses)
    assert [row["metrics"]["loss"] for row in built.table("--sort", "-loss")] == losses[::-1]
    assert len(built.table("--filter", "train.lr>=2")) == 2
    assert len(built.table("--filter", "train.lr==1")) == 2
    assert len(built.table("--filter", "train.lr==1 and words.least<2")) == 1
    assert len(built.table("--filter", "name==a-1")) == 1
    assert len(built.table("--filter", "train.seed==0")) == 4  # a column that does not differ
    assert len(built.table("--filter", "kept==true")) == 4
    assert len(built.table("--filter=took<1000 and age<100000")) == 4
    assert built.table("--filter", "loss>1000") == []


def test_csv_and_markdown(built: Lab) -> None:
    rows = list(csv.DictReader(io.StringIO(built.doit("exp", "show", "--csv", "--sort", "loss").out)))
    expected = built.table("--sort", "loss")
    assert [float(row["loss"]) for row in rows] == [row["metrics"]["loss"] for row in expected]
    assert [row["key"] for row in rows] == [row["key"] for row in expected]
    assert all(row["size_bytes"].isdigit() and row["took_s"] for row in rows)
    lines = built.doit("exp", "show", "--md").out.splitlines()
    assert len(lines) == 6 and lines[0].startswith("| name | key |") and set(lines[1]) <= set("|- ")


def test_only_what_is_kept(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=1,2")
    lab.doit("train", "train.lr=7")
    assert len(lab.table()) == 3
    lab.doit("train", "train.lr=8")
    assert {row["params"]["train.lr"] for row in lab.table()} == {1.0, 2.0, 8.0}
    assert "1 more in the store (--all)" in lab.doit("exp", "show").out
    assert len(lab.table("--all")) == 4


def test_nothing_there(lab: Lab) -> None:
    assert lab.table() == []
    assert lab.doit("exp", "show").out == "0 results of train\n"
    assert lab.doit("exp", "show", "--sort", "loss", "--filter", "loss<1").status == 0


def test_other_stages(built: Lab) -> None:
    result = built.doit("exp", "show", "score", "--json", "--all")
    assert len(json.loads(result.out)) == 2
    assert built.doit("exp", "show", "scor").err == "doit: 'scor' is not a stage; did you mean score?\n"


def test_names_move_and_keep(built: Lab) -> None:
    keys = {row["names"][0]: row["key"] for row in built.table()}
    assert built.doit("exp", "name", "a-1", "best").status == 0
    assert built.doit("exp", "name", keys["a-2"][:8], "best").status == 0
    rows = {row["key"]: row for row in built.table()}
    assert rows[keys["a-2"]]["names"] == ["a-2", "best"] and rows[keys["a-1"]]["names"] == ["a-1"]
    assert built.doit("exp", "name", "a-1", "0bad").status == 2
    assert built.doit("exp", "name", "a-1").status == 2


def test_gc_keeps_what_is_pinned_and_what_it_was_made_from(built: Lab) -> None:
    built.doit("train", "train.lr=9")
    key = json.loads(built.doit("exp", "show", "--json", "--filter", "train.lr==9").out)[0]["key"]
    built.doit("train")
    everything = built.stored()
    built.doit("gc", "--keep", "0")
    assert everything - built.stored() == {key}
    rows = built.table()
    assert built.doit("exp", "unpin", *(row["key"][:10] for row in rows)).status == 0
    assert all(not row["kept"] for row in built.table())
    built.doit("gc", "--keep", "0")
    assert len(built.stored()) < len(everything) - 1


def test_a_beginning_that_two_keys_have(built: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.graph.manage.results import Results

    results = Results(built.graph().look)
    one, two = list(results.receipts)[:2]
    results.receipts = {"abcd" + "0" * 60: results.receipts[one], "abcd" + "1" * 60: results.receipts[two]}
    with pytest.raises(Exception, match="abcd begins 2 keys"):
        results.find("abcd")
    assert results.find("abcd0") is results.receipts["abcd" + "0" * 60]


def test_links_of_a_result_that_is_gone(built: Lab) -> None:
    key = built.table("--filter", "name==a-1")[0]["key"]
    shutil.rmtree(built.build / "store" / key)
    assert "is no longer in the store" in built.doit("exp", "pin", "a-1").err
    assert built.doit("exp", "show").status == 0


def row(**metrics: float) -> Row:
    return Row("k", (), False, {}, metrics, 0.0, 0.0, 0)


def test_rows_without_a_value_come_last_and_fit_nothing() -> None:
    rows = [row(a=2), row(b=1), row(a=1)]
    assert [each.value("a") for each in sort(rows, "a")] == [1, 2, None]
    assert [each.value("a") for each in sort(rows, "-a")] == [2, 1, None]
    assert len(select(rows, "a<9")) == 2 and len(select(rows, "a!=1")) == 2
