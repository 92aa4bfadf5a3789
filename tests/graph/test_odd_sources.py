"""What else of a source counts: a name of any bytes, whether it may be executed, and a syntax tree that is the same for
every version of Python.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages import paths
from stages.graph import files, python_sources
from stages.graph.read import python as sources
from stages.graph.read import statcache
from tests.graph.project import Project

LATIN1 = os.fsdecode(b"caf\xe9.txt")  # what an old archive leaves on a disk that is UTF-8 today
DIGESTS = """
import json, sys, types
package = sys.modules["graph"] = types.ModuleType("graph")  # without doit, which the other Python may not have
package.__path__ = [sys.argv[1]]
from graph.read.python import _parse
print(json.dumps({name: _parse(open(name, "rb").read()) for name in sys.argv[2:]}))
"""


@pytest.fixture
def latin1(project: Project) -> Project:
    try:
        project.write(f"docs/{LATIN1}", "x\n")
    except OSError:
        pytest.skip("this file system takes no name that is not UTF-8")
    return project


def test_a_name_that_is_not_utf8(latin1: Project) -> None:
    latin1.stage("s", "cat docs/* > {out}/o.txt", sources=(files("docs"),))
    result = latin1.doit()
    assert (result.status, result.ran) == (0, ["s"]), result.err
    assert f"docs/{LATIN1}" in latin1.receipt("s")["components"]["sources"]
    (latin1.result("s") / "receipt.json").read_text(encoding="utf-8")
    assert latin1.doit().ran == []
    latin1.write(f"docs/{LATIN1}", "y\n")
    assert latin1.why()["s"][1][0]["name"] == f"docs/{LATIN1}"
    assert latin1.doit().ran == ["s"]


def test_an_external_file_whose_name_is_not_utf8(latin1: Project) -> None:
    latin1.stage("s", "cat docs/* > {out}/o.txt", sources=(files("docs"),), external={"more": [f"docs/{LATIN1}"]})
    assert latin1.doit().ran == ["s"]
    assert latin1.doit().ran == []


def test_reasons_are_printed_where_a_name_is_not_utf8(latin1: Project) -> None:
    latin1.stage("s", "cat docs/* > {out}/o.txt", sources=(files("docs"),))
    assert latin1.run().status == 0
    latin1.write(f"docs/{LATIN1}", "y\n")
    told = latin1.run("why")
    assert told.status == 0 and r"source docs/caf\udce9.txt:" in told.out, told.err


def test_whether_a_source_may_be_executed(project: Project) -> None:
    script = project.write("t.sh", "#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    project.stage("s", "./t.sh > {out}/o.txt 2>&1 || echo refused > {out}/o.txt", sources=(files("t.sh"),))
    assert project.doit().ran == ["s"]
    script.chmod(0o644)
    state, reasons = project.why()["s"]
    assert state == "will run" and [reason["name"] for reason in reasons] == ["t.sh"]
    assert "→" in project.doit("why").out and "executable" in project.doit("why").out
    assert project.doit().ran == ["s"]
    assert "refused" in (project.result("s") / "o.txt").read_text()
    script.chmod(0o755)
    assert project.doit().ran == []  # comes from the store
    script.chmod(0o700)
    assert project.doit().ran == [] and project.why()["s"][0] == "fresh"


def test_whether_an_external_file_may_be_executed(project: Project) -> None:
    script = project.write("t.sh", "#!/bin/sh\n")
    project.stage("s", "echo > {out}/o.txt", external={"tools": ["t.sh"]})
    assert project.doit().ran == ["s"]
    script.chmod(0o755)
    assert project.doit().ran == ["s"]


def test_what_another_python_parsed_is_not_believed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("m.py", "def f(): pass\n")
    project.stage("s", "echo > {out}/o.txt", sources=(python_sources("m"),))
    assert project.doit().ran == ["s"]
    parse = sources._parse
    monkeypatch.setattr(sources, "_parse", lambda data: ["of another version", parse(data)[1]])
    assert project.why()["s"][0] == "fresh"  # parsed before, by this version
    monkeypatch.setattr(statcache, "PARSER", "3.99")
    assert project.why()["s"][0] == "will run"


def other_pythons() -> list[str]:
    """Other versions of Python >= 3.11 on this machine."""
    found = [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    found += map(str, Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    mine = statcache.PARSER
    ask = "import sys; print('%d.%d' % sys.version_info[:2] if sys.version_info >= (3, 11) else '')"
    versions: dict[str, str] = {}
    for python in filter(None, found):
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip() not in ("", mine):
            versions[done.stdout.strip()] = python
    return list(versions.values())


def test_every_python_gives_a_source_the_same_digest() -> None:
    """All sources of this project, and the constructs whose trees got new fields, on every Python that is here."""
    others = other_pythons()
    if not others:
        pytest.skip("there is no other Python >= 3.11 on this machine")
    names = sorted(map(str, (paths.ROOT / "stages").rglob("*.py"))) + sorted(
        map(str, (paths.ROOT / "training").rglob("*.py"))
    )
    assert len(names) > 60

    def digests(python: str) -> dict[str, object]:
        argv = [python, "-I", "-c", DIGESTS, str(paths.ROOT / "stages" / "graph"), *names]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    here = digests(sys.executable)
    for python in others:
        assert digests(python) == here, python


def test_the_digest_of_a_tree_tells_apart_what_differs() -> None:
    texts = [
        *("x = 1", "x = 1.0", "x = True", "x = None", "x = ...", "x = 'é'", "x = b'1'", "x = {1: 2}", "x = {**y}"),
        *("def f(): pass", "async def f(): pass", "def f(a): pass", "def f(*, a): pass", "def f(a=None): pass"),
        *(
            "f(a)",
            "f(*a)",
            "f(a=a)",
            "f(**a)",
            "x = f'{a}'",
            "x = f'{a!r}'",
            "x = f'{a:>3}'",
            "x = f'{a:>{b}}'",
            "from . import a",
        ),
        *(
            "from .. import a",
            "import a",
            "import a as b",
            "return_ = a",
            "a[1:]",
            "a[:1]",
            "a[::1]",
            "@d\ndef f(): pass",
        ),
        *("class A: pass", "class A(B): pass", "match x:\n case None: pass", "match x:\n case True: pass"),
    ]
    digests = {sources._parse(text.encode())[0] for text in texts}
    assert len(digests) == len(texts)
    assert sources._parse(b"def f():\n    'doc'\n    return 1  # why\n") == sources._parse(b"def f(): return 1\n")
