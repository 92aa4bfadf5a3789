"""`doit inspect`: from an artifact, wherever it lies, back to the sources."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from stages.graph import Output, files
from tests.graph.project import Project
from tests.graph.test_provenance import add_provenance


@pytest.fixture
def site(project: Project) -> Project:
    """words -> page -> site/ with provenance.json; `page` is linked as build/shared/page.html."""
    project.write("a.txt", "hello\n")
    project.stage(
        "words", "cat a.txt > {out}/w.txt", outputs=("w.txt",), sources=(files("a.txt"),), params={"words.n": 3}
    )
    project.stage(
        "page",
        "tr a-z A-Z < {in.text} > {out}/page.html; echo built",
        outputs=("page.html",),
        inputs={"text": Output("words", "w.txt"), "all": Output("words")},
        links={"page.html": "page.html"},
    )
    add_provenance(project, "words", "page")
    project.stage(
        "site",
        "mkdir {out}/site {out}/site/img; cp {in.page} {in.how} {out}/site; echo x > {out}/site/img/x",
        outputs=("site/",),
        inputs={"page": Output("page", "page.html"), "how": Output("provenance", "provenance.json")},
        links={"site": "site"},
    )
    assert project.doit().status == 0
    return project


def chain(project: Project, name: object) -> tuple[str, dict[str, dict[str, Any]]]:
    """(what it is, {stage: step})."""
    result = project.doit("inspect", str(name), "--json")
    assert result.status == 0, result.err
    told = json.loads(result.out)
    return told["what"], {step["stage"]: step for step in told["chain"]}


def test_chain_of_an_artifact(site: Project) -> None:
    what, steps = chain(site, site.build / "shared" / "page.html")
    assert what == "page.html of page"
    assert list(steps) == ["page", "words"], "what made it first, and nothing that it does not need"
    page, words = steps["page"], steps["words"]
    assert page["key"] == site.receipt("page")["key"]
    assert page["needs"] == {"text": words["key"], "all": words["key"]}
    assert page["inputs"]["text"]["stage"] == "words" and page["inputs"]["text"]["output"] == "w.txt"
    assert words["params"] == {"words.n": 3} and words["changed"] == []
    assert page["run"]["duration_s"] == site.receipt("page")["run"]["duration_s"]
    assert Path(page["log"]).read_text().splitlines()[-1] == "built"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("site", "the result of site"),
        ("{build}/shared/site", "site of site"),
        ("{build}/shared/site/img/x", "site/img/x of site"),
        ("{build}/shared/.current/site", "the result of site"),
        ("{copy}", "a copy of site/ of site"),
        ("{copy}/img/x", "a copy of site/img/x of site"),
        ("{copy}/page.html", "a copy of page.html of page"),
        ("{copy}/provenance.json", "a copy of provenance.json of provenance"),
    ],
)
def test_found_wherever_it_lies(site: Project, tmp_path_factory: pytest.TempPathFactory, name: str, what: str) -> None:
    copy = tmp_path_factory.mktemp("elsewhere") / "copied"
    shutil.copytree(site.build / "shared" / "site", copy)
    found, steps = chain(site, name.format(build=site.build, copy=copy))
    assert found == what
    assert "words" in steps


def test_sources_that_changed_since(site: Project) -> None:
    site.write("a.txt", "other\n")
    steps = chain(site, "page")[1]
    assert steps["words"]["changed"] == ["a.txt"] and steps["page"]["changed"] == []
    text = site.doit("inspect", "page").out
    assert "1 files, differ from the tree today: a.txt" in text
    site.write("a.txt", "hello\n")
    assert "1 files, as in the tree today" in site.doit("inspect", "page").out
    (site.root / "a.txt").unlink()
    assert chain(site, "page")[1]["words"]["changed"] == ["a.txt"]


def test_tree_shows_each_stage_once(site: Project) -> None:
    lines = site.doit("inspect", "site").out.splitlines()
    assert lines[0] == "the result of site"
    heads = [found[1] for line in lines if (found := re.search(r"(\w.* [0-9a-f]{10}(  \(see above\))?)$", line))]
    keys = {name: site.receipt(name)["key"][:10] for name in ("site", "page", "words", "provenance")}
    assert heads == [
        f"site {keys['site']}",
        f"how: provenance {keys['provenance']}",
        f"page {keys['page']}",
        f"all, text: words {keys['words']}",
        f"words {keys['words']}  (see above)",
        f"page {keys['page']}  (see above)",
    ]
    assert any("params    words.n 3" in line for line in lines)


def test_the_chain_is_what_really_happened(site: Project) -> None:
    """page was cut off when words came out equal under another key: it was made from the result before."""
    before = site.receipt("words")["key"]
    site.stage("words", "sed p -n a.txt > {out}/w.txt", outputs=("w.txt",), sources=(files("a.txt"),))
    assert site.doit("page").ran == ["words"]
    assert site.receipt("words")["key"] != before
    assert chain(site, "page")[1]["words"]["key"] == before
    site.graph().look.store.remove(before)
    assert chain(site, "page")[1]["words"]["key"] == site.receipt("words")["key"], "gone: an equal one will do"
    site.graph().look.store.remove(site.receipt("words")["key"])
    assert "made by a result that is in no store here" in site.doit("inspect", "page").out


def test_unknown_and_corrupt(site: Project) -> None:
    stranger = site.write("stranger.txt", "who?")
    result = site.doit("inspect", str(stranger))
    assert result.status == 1 and "is nothing that a result in" in result.err
    assert site.doit("inspect", "nothing-like-it").status == 1
    assert site.doit("inspect").status == 2
    page = site.result("page") / "page.html"
    page.chmod(0o644)
    page.write_text("forged")
    result = site.doit("inspect", str(site.build / "shared" / "page.html"))
    assert result.status == 1 and "is corrupt: it is not what page made; run `doit page`" in result.err


def test_bundle_that_no_store_knows(site: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It tells its chain itself; which of its files are those that it tells of is checked."""
    bundle = tmp_path_factory.mktemp("elsewhere") / "bundle"
    shutil.copytree(site.build / "shared" / "site", bundle)
    shutil.rmtree(site.build)
    what, steps = chain(site, bundle)
    assert what.startswith("a folder that no store here knows") and "page.html is the one that it names" in what
    assert list(steps) == ["page", "words"] and steps["words"]["params"] == {"words.n": 3}
    (bundle / "page.html").unlink()
    (bundle / "page.html").write_text("forged")
    assert "page.html is NOT the one that it names" in chain(site, bundle)[0]
    assert list(chain(site, bundle / "provenance.json")[1]) == ["page", "words"]
    assert "words.n 3" in site.doit("inspect", str(bundle)).out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stages": 1}', '{"stages": {"a": {}}}', "[" * 100_000])
def test_provenance_that_is_none(site: Project, text: str) -> None:
    result = site.doit("inspect", str(site.write("provenance.json", text)))
    assert result.status == 1 and "is nothing that a result in" in result.err


def test_text_of_others_cannot_drive_the_terminal(site: Project, tmp_path: Path) -> None:
    told = json.loads((site.result("provenance") / "provenance.json").read_text())
    told["stages"]["words"]["params"] = {"x\x1b[2J": "\x1b]0;title\x07"}
    told["stages"]["words"]["key"] = "\x1b[31m"
    out = site.doit("inspect", str(site.write("theirs.json", json.dumps(told)))).out
    assert "words" in out and "\x1b" not in out and "\x07" not in out
