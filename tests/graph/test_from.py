"""`doit -a --from STAGE`: built anew from there on, whatever the store has; what comes before stays."""

from __future__ import annotations

import pytest

from tests.graph.project import Project


def test_that_stage_and_what_is_made_from_it(chain: Project) -> None:
    assert chain.doit().ran == []
    assert chain.doit("-a", "--from", "two").ran == ["two", "three"]
    assert chain.doit("--from", "three").ran == ["three"], "-a is implied"
    assert chain.doit("--from", "one", "two").ran == ["one", "two"], "three was not asked for"
    assert chain.doit("-n", "2", "-a", "--from", "two").ran == ["two", "three"]
    assert chain.doit("-a").ran == ["one", "two", "three"]
    assert chain.doit().ran == []


def test_stale_stages_before_it_are_built_too(chain: Project) -> None:
    chain.write("a.txt", "other\n")
    assert chain.doit("-a", "--from", "three").ran == ["one", "two", "three"]


def test_no_result_of_the_store_is_taken(chain: Project) -> None:
    chain.doit("clean", "three")
    chain.doit("three")
    key = chain.result("three").name
    (chain.build / "shared/.current/three").unlink()
    assert chain.doit("--from", "three").ran == ["three"] and chain.result("three").name == key


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-a", "--from", "tow"), "'tow' is not a stage; did you mean two?"),
        (("-a", "--from", "three", "two"), "--from three: nothing that is to be built is made from it"),
        (("-a", "--from", "two", "thre"), "'thre' is neither a task nor a command; did you mean three?"),
    ],
)
def test_wrong_words(chain: Project, words: tuple[str, ...], message: str) -> None:
    result = chain.doit(*words)
    assert (result.status, result.ran) == (2, []) and message in result.err
