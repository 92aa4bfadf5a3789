"""`doit diff`, `doit history` and `doit use` on stored results."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from stages.graph.keep import texts
from stages.graph.manage.results import Leaf
from stages.graph.show.compare_text import changes_text
from tests.graph.experiments import TRAIN, Lab


def diff(lab: Lab, *words: str) -> dict[str, Any]:
    result = lab.doit("diff", *words, "--json")
    assert result.status == 0, result.err
    return json.loads(result.out)


@pytest.fixture
def two(lab: Lab) -> Lab:
    """`old`, then an edit of the source and of a parameter upstream, then `new`."""
    lab.doit("train", "train.lr=1", "score")
    lab.doit("exp", "name", "train", "old")
    lab.write("train.py", TRAIN.replace("10 - 2", "9 - 2"))
    lab.doit("train", "train.lr=3", "words.least=2")
    lab.doit("exp", "name", "lab/train", "new")
    return lab


def test_diff(two: Lab) -> None:
    found = diff(two, "old", "new")
    assert {each["name"]: (each["old"], each["new"]) for each in found["parameters"]} == {
        "train.lr": (1.0, 3.0),
        "words.least": (1, 2),
    }
    (source,) = found["sources"]
    assert source["name"] == "train.py"
    changed = [line for line in source["lines"] if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert len(changed) == 2 and "-loss = 10 - 2" in changed[0] and "+loss = 9 - 2" in changed[1]
    assert found["metrics"]["loss"]["new"] < found["metrics"]["loss"]["old"]
    assert found["size_bytes"]["weights"]["old"] > 0 and found["others"] == []
    back = diff(two, "new", "old")
    assert [(each["old"], each["new"]) for each in back["parameters"]] == [(3.0, 1.0), (2, 1)]


def test_diff_as_text(two: Lab) -> None:
    out = two.doit("diff", "old", "new").out
    for part in ("train.lr: 1 → 3", "-loss = 10 - 2", "loss: 6.", "score.bytes: ", "weights: "):
        assert part in out
    assert "made from the same parameters, sources and tools" in two.doit("diff", "old", "old").out


def test_diff_without_the_texts(two: Lab) -> None:
    for file in (two.build / "sources").iterdir():
        file.unlink()
    (source,) = diff(two, "old", "new")["sources"]
    assert source["lines"] is None and source["old"] != source["new"]
    assert "their texts were not kept" in two.doit("diff", "old", "new").out


def test_diff_looks_upstream(two: Lab) -> None:
    """A source of a stage before is a difference of what is made from it."""
    two.write("text.txt", "another text\n")
    two.doit("train", "train.lr=3", "words.least=2")
    found = diff(two, "new", "lab/train")
    assert [each["name"] for each in found["sources"]] == ["text.txt"]


def test_gc_keeps_the_texts_of_what_stays(two: Lab) -> None:
    before = {path.name for path in (two.build / "sources").iterdir()}
    two.doit("exp", "unpin", "old")
    two.doit("clean", "score")  # its link would keep what it was made from
    two.doit("gc", "--keep", "0")
    after = {path.name for path in (two.build / "sources").iterdir()}
    source = json.loads((two.result("train", "lab") / "receipt.json").read_text())["components"]["sources"]["train.py"]
    assert texts.file_name(source) in after and len(before - after) == 1


def test_a_line_of_history_names_a_few_of_each_kind() -> None:
    """A switch of the profile, which sets five variables, was five sentences."""
    changed = [
        (Leaf("train", "environment", name), None, "1") for name in ("MKL_CBWR", "OMP_NUM_THREADS", "ATEN", "ONEDNN")
    ]
    changed += [(Leaf(stage, "profile", "profile"), "fast", "repro") for stage in ("words", "train")]
    changed += [(Leaf("train", "parameter", "train.lr"), 1, 2), (Leaf("train", "command", "command"), ["a"], ["b"])]
    changed += [(Leaf(stage, "source", "b.py"), "0", "1") for stage in ("words", "train")]
    assert changes_text(changed) == (
        "profile fast → repro; train.lr 1 → 2; variables ATEN, MKL_CBWR, OMP_NUM_THREADS and 1 more; command of train; "
        "sources b.py"
    )


def test_wrong_words(two: Lab) -> None:
    assert two.doit("diff", "old").status == 2
    assert "did you mean old?" in two.doit("diff", "odl", "new").err
    assert "stage score has no result here" not in two.doit("diff", "old", "score").err


def test_history(two: Lab) -> None:
    out = two.doit("history", "train").out.splitlines()
    assert len(out) == 2
    assert "(new, now)" in out[0] and "train.lr 1 → 3" in out[0] and "sources train.py" in out[0]
    assert "(old)" in out[1] and out[1].endswith("(old)")
    found = json.loads(two.doit("history", "train", "--json").out)
    assert [each["names"] for each in found] == [["new"], ["old"]] and found[0]["linked"] and not found[1]["linked"]


def test_use_goes_back_and_what_comes_after_is_made_from_it(two: Lab) -> None:
    old = two.doit("exp", "show", "--json", "--filter", "name==old").out
    key = json.loads(old)[0]["key"]
    two.doit("score", "train.lr=3", "words.least=2")
    used = two.doit("use", "old")
    assert "  train.lr=1.0\n" not in used.out  # it is today's
    assert used.status == 0 and f"train is held at {key[:10]}" in used.out and "words is held" in used.out
    assert two.result("train", "lab").name == key and (two.build / "lab" / "weights").resolve().parent.name == key
    built = two.doit("score", "train.lr=3", "words.least=2")
    assert (
        built.status == 0 and built.ran == [] and "train is held at" in built.out
    )  # the score of old was in the store
    assert two.receipt("score", "lab")["run"]["inputs"]["weights"]["key"] == key
    state, reasons = two.why("train")["train"]
    assert state == "fresh" and reasons[0]["kind"] == "held"
    two.write("train.py", TRAIN + "# more\n")
    assert two.doit("-a", "-s", "train").ran == [] and two.result("train", "lab").name == key
    assert "no longer held: words, train" in two.doit("use", "--today").out
    assert Counter(two.doit("train").ran)["train"] == 1
    assert two.doit("use", "--today").out == "nothing is held\n"


def test_use_says_which_words_the_stages_after_it_need(two: Lab) -> None:
    assert "give them to the commands" not in two.doit("use", "old").out
    assert "\n  train.lr=3.0 words.least=2\n" in two.doit("use", "new").out
    assert two.doit("score", "train.lr=3", "words.least=2").status == 0


def test_experiments_do_not_see_holds(two: Lab) -> None:
    two.doit("use", "old")
    assert Counter(two.doit("exp", "run", "train.lr=5,6").ran)["train"] == 2
    assert "train is held" in two.doit("train").out


def test_use_refuses_what_cannot_take_the_place(two: Lab) -> None:
    assert two.doit("use").status == 2
    key = two.table("--filter", "name==old")[0]["key"]
    weights = two.build / "store" / key / "weights"
    weights.chmod(0o644)
    weights.write_text("other")
    before = two.result("train", "lab")
    result = two.doit("use", "old")
    assert result.status == 1 and f"the result {key[:10]} of train is corrupt" in result.err
    assert two.result("train", "lab") == before and not (two.build / "lab" / ".held").exists()


def test_a_held_result_that_was_damaged(two: Lab) -> None:
    two.doit("use", "new")
    weights = two.result("train", "lab") / "weights"
    weights.chmod(0o644)
    weights.write_text("other")
    result = two.doit("train")
    assert result.status == 1 and "it is held at a damaged result" in result.out and "use --today train" in result.out
