"""`doit why`: old to new for each reason, and what follows. Stock doit says "uptodate false", and E15: calls what
lies below a stale task up to date.
"""

from __future__ import annotations

import json

from stages.graph import Output, files
from tests.graph.project import Project, tree_state

MAY_RUN = "may run: cut off if unchanged"


def test_states_of_a_chain(chain: Project) -> None:
    assert {stage: state for stage, (state, _) in chain.why().items()} == dict.fromkeys(
        ("one", "two", "three"), "fresh"
    )
    chain.write("a.txt", "other\n")
    why = chain.why()
    assert {stage: state for stage, (state, _) in why.items()} == {"one": "will run", "two": MAY_RUN, "three": MAY_RUN}
    (reason,) = why["one"][1]
    assert (reason["kind"], reason["name"]) == ("source", "a.txt")
    assert reason["old"] != reason["new"] and len(reason["old"]) == 64
    assert why["two"][1] == [{"kind": "upstream", "name": "one", "old": None, "new": None}]


def test_a_stage_that_gives_two_inputs_is_one_reason(project: Project) -> None:
    project.stage(
        "one", "cp a.txt {out}/a.txt; cp a.txt {out}/b.txt", outputs=["a.txt", "b.txt"], sources=(files("a.txt"),)
    )
    inputs = {"a": Output("one", "a.txt"), "b": Output("one", "b.txt")}
    project.stage("two", "cat {in.a} {in.b} > {out}/o.txt", inputs=inputs)
    project.write("a.txt", "1\n")
    project.doit()
    project.write("a.txt", "2\n")
    assert [reason["name"] for reason in project.why()["two"][1]] == ["one"]


def test_what_comes_from_the_store_is_known_all_the_way_down(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    chain.doit()
    chain.write("a.txt", "hello\n")
    why = chain.why()
    assert {state for state, _ in why.values()} == {"comes from the store"}
    assert [(r["kind"], r["name"]) for r in why["three"][1]] == [("input", "two")]
    assert chain.doit().ran == []


def test_store_hit_cut_off_below(chain: Project) -> None:
    """one and two come from the store, and two is equal to what is linked: three is fresh, and `why` knows."""
    chain.write("a.txt", "hello\nmore\n")
    assert chain.doit().ran == ["one", "two"]
    chain.write("a.txt", "hello\n")
    assert [state for state, _ in chain.why().values()] == ["comes from the store", "comes from the store", "fresh"]


def test_parameter_old_and_new(chain: Project) -> None:
    chain.stage(
        "two", "head -n 1 {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")}, params={"two.x": 2, "y": 1}
    )
    why = chain.why()
    assert why["one"] == ("fresh", [])
    assert why["two"][0] == "will run"
    assert why["two"][1] == [
        {"kind": "parameter", "name": "two.x", "old": 1, "new": 2},
        {"kind": "parameter", "name": "y", "old": None, "new": 1},
    ]
    text = chain.doit("why", "two").out
    assert "parameter two.x: 1 → 2" in text and "three" not in text


def test_own_reason_beats_an_unknown_input(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    chain.stage("two", "head -n 1 {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")}, params={"two.x": 2})
    assert chain.why()["two"][0] == "will run"


def test_never_built(project: Project) -> None:
    project.stage("s", "echo > {out}/o.txt")
    assert project.why()["s"] == ("will run", [{"kind": "never built", "name": "s", "old": None, "new": None}])
    assert not project.build.exists() or list(project.build.rglob("*")) == []


def test_why_changes_no_result_and_needs_names_of_stages(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    before = tree_state(chain.build / "store") | tree_state(chain.build / "shared")
    chain.doit("why")
    chain.doit("why", "--json", "two")
    chain.doit("why", "two", "--json")
    assert tree_state(chain.build / "store") | tree_state(chain.build / "shared") == before
    wrong = chain.doit("why", "tow")
    assert wrong.status == 2 and "'tow' is not a stage; did you mean two?" in wrong.err


def test_option_may_follow_the_name(chain: Project) -> None:
    explained = json.loads(chain.doit("why", "two", "--json").out)
    assert [each["stage"] for each in explained] == ["one", "two"]
    assert set(explained[0]) == {"stage", "state", "reasons"}


def test_why_predicts_the_run(chain: Project) -> None:
    """Over edits of every kind, what `why` calls fresh or stored does not run, and what will run does."""
    edits = [
        lambda: chain.write("a.txt", "1\n2\n"),
        lambda: chain.write("a.txt", "hello\n"),
        lambda: (chain.result("two") / "o.txt").unlink(),
        lambda: chain.write("a.txt", "3\n"),
        lambda: chain.stage("one", "cat a.txt a.txt > {out}/o.txt", sources=(files("a.txt"),)),
        lambda: (chain.result("one") / "receipt.json").unlink(),
    ]
    for edit in edits:
        edit()
        states = {stage: state for stage, (state, _) in chain.why().items()}
        ran = chain.doit().ran
        for stage, state in states.items():
            if state == "will run":
                assert stage in ran
            elif state != MAY_RUN:
                assert stage not in ran, (stage, state)


def test_list_status_agrees_with_why(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    assert [line.split(maxsplit=1) for line in chain.doit("list", "--status").out.splitlines()] == [
        ["one", "will run                       Makes one."],
        ["two", f"{MAY_RUN}  Makes two."],
        ["three", f"{MAY_RUN}  Makes three."],
    ]


def test_a_number_that_changes_its_kind_has_a_reason(project: Project) -> None:
    """1 and 1.0 are equal in Python, and give two keys."""
    for old, new in ((1, 1.0), (1, True), ([1], [1.0]), ({"a": 0}, {"a": False})):
        project.stage("s", "echo > {out}/o.txt", params={"x": old})
        project.doit()
        project.stage("s", "echo > {out}/o.txt", params={"x": new})
        state, reasons = project.why()["s"]
        assert (state, [(r["kind"], r["name"]) for r in reasons]) == ("will run", [("parameter", "x")])
