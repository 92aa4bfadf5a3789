"""The audit: a command's Python that opens what its stage does not declare gets no result published."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.graph import Output, files, python_sources
from tests.graph.project import Project, Result

ROOT = Path(__file__).resolve().parents[2]
SECRET = "{root}/notes/secret.txt"

# How Python may come to a file's bytes. {root} and {in.x} are the stage's placeholders.
WAYS = {
    "open": f"open('{SECRET}').read()",
    "os.open": f"import os; os.read(os.open('{SECRET}', os.O_RDONLY), 9)",
    "pathlib": f"from pathlib import Path; Path('{SECRET}').read_bytes()",
    "relative": "import os; os.chdir('{root}'); open('notes/../notes/secret.txt').read()",
    "memmap": f"import numpy; numpy.memmap('{SECRET}', mode='r')",
    "fromfile": f"import numpy; numpy.fromfile('{SECRET}', 'u1')",
    "copy": f"import shutil; shutil.copyfile('{SECRET}', '{{out}}/o.txt')",
    "a link in a place that is allowed": f"import os; os.symlink('{SECRET}', 'x'); open('x').read()",
    "a hard link": f"import os; os.link('{SECRET}', 'y'); open('y').read()",
    "another Python": (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"{SECRET}\")'], check=True)"
    ),
    "a spawned worker": (
        f"import multiprocessing as m; p = m.get_context('spawn').Process(target=open, args=('{SECRET}',));"
        " p.start(); p.join()"
    ),
    "a thread": f"import threading; t = threading.Thread(target=lambda: open('{SECRET}')); t.start(); t.join()",
    "import": "import sys; sys.path.append('{root}/notes'); import undeclared",
    "another result": "open('{build}/shared/.current/other/o.txt').read()",
    "the receipt beside an input": "open('{in.x}/receipt.json').read()",
    "listing": "import os; os.listdir('{root}/notes')",
    "scandir": "import os; list(os.scandir('{root}/notes'))",
    "listing a descriptor": "import os; os.listdir(os.open('{root}/notes', os.O_RDONLY))",
    "walk": "import os; list(os.walk('{root}/notes'))",
    "glob": "import glob; glob.glob('{root}/notes/*.txt')",
    "writing": "open('{root}/notes/new.txt', 'w').write('1')",
    "changing an input": "open('{in.x}/o.txt', 'r+').write('1')",
    "removing": f"import os; os.remove('{SECRET}')",
    "renaming": f"import os; os.rename('{SECRET}', '{{root}}/notes/other.txt')",
    "a folder": "import os; os.mkdir('{root}/notes/folder')",
}


def attempt(project: Project, code: str, **fields: object) -> Result:
    """Run a stage whose Python does something, then makes its output."""
    project.write("notes/secret.txt", "not declared\n")
    project.write("notes/undeclared.py", "X = 1\n")
    project.stage("x", "echo 1 > {out}/o.txt")
    project.stage("other", "echo 2 > {out}/o.txt")
    command = ("{python}", "-c", code + "; open('{out}/o.txt', 'a').write('made')")
    project.stage("s", "", inputs={"x": Output("x")}, **fields)
    project.stages["s"] = _with(project.stages["s"], run=command)
    return project.doit("other", "s")


def _with(stage: object, **fields: object) -> object:
    import dataclasses

    return dataclasses.replace(stage, **fields)  # type: ignore[type-var]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_declared_is_caught(project: Project, way: str) -> None:
    result = attempt(project, WAYS[way])
    assert result.status == 1, result.out
    assert "stage s opened what it does not declare" in result.out
    assert any(word in result.out for word in ("notes/", "folder notes", "of stage"))
    assert "`sources`" in result.out and "`inputs`" in result.out
    assert not (project.build / "shared/.current/s").exists()
    assert project.why()["s"][0] == "will run"
    assert not list((project.build / "store").glob(".tmp-*"))


def test_the_message_names_file_and_place(project: Project) -> None:
    project.write("pkg/go.py", f"def read():\n    return open('{project.root}/notes/secret.txt').read()\n")
    result = attempt(
        project, "import pkg.go; pkg.go.read()", sources=(python_sources("pkg.go"),), pythonpath=("{snapshot}",)
    )
    assert "read notes/secret.txt  (at pkg/go.py:2)" in result.out


def test_of_another_stage_is_named(project: Project) -> None:
    assert "read o.txt of stage other" in attempt(project, WAYS["another result"]).out


DECLARED = {
    "an input": ("open('{in.x}/o.txt').read()", {}),
    "listing an input": ("import os; os.listdir('{in.x}')", {}),
    "a source": ("open('notes/secret.txt').read()", {"sources": (files("notes/secret.txt"),)}),
    "an external file": (f"open('{SECRET}').read()", {"external": {"notes": ["notes/secret.txt"]}}),
    "parameters": ("open('{params}').read()", {"params": {"a": 1}}),
    "its partial results": ("open('{partial}/p', 'w'); open('{partial}/p').read()", {"resumable": True}),
    "its folder": ("open('scratch', 'w'); open('scratch').read(); import os; os.remove('scratch')", {}),
    "reads": (f"open('{SECRET}').read()", {"reads": ("{root}/notes",)}),
    "a descriptor of a folder": ("import os; os.fstat(os.open('{root}/notes', os.O_RDONLY))", {}),
    "lists": ("import os; os.listdir('{root}/notes')", {"lists": ("notes",)}),
    "the system": ("open('/etc/hosts').read(); open('/proc/self/status').read()", {}),
    "the standard library": ("import json, sqlite3, asyncio, ssl; open(json.__file__).read()", {}),
    "a temporary file": ("import tempfile; tempfile.NamedTemporaryFile().write(b'1')", {}),
    "what is not there": ("import os; os.path.exists('{root}/notes/absent')", {}),
    "opening what is not there": (
        "import contextlib as c\nwith c.suppress(OSError): open('{root}/notes/absent')\nprint(1)",
        {},
    ),
    "a module that is looked for in vain": (
        "import sys; sys.path.append('{root}/notes')\ntry: import nowhere\nexcept ImportError: print(1)\nprint(1)",
        {},
    ),
    "what the system's tools write": ("import os; open(os.devnull, 'w').write('1')", {}),
}


@pytest.mark.parametrize("way", DECLARED)
def test_what_is_declared_is_not_caught(project: Project, way: str) -> None:
    code, fields = DECLARED[way]
    result = attempt(project, code, **fields)
    assert result.status == 0, result.out
    assert project.doit("s").ran == []


def test_reads_and_lists_are_not_in_the_key(project: Project) -> None:
    attempt(project, "print(1)")
    project.stages["s"] = _with(project.stages["s"], reads=("~/.cache",), lists=("{root}",))
    assert project.why()["s"][0] == "fresh"


def test_a_link_to_the_project_is_the_project(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another name of the root changes neither what is declared nor what is not."""
    alias = tmp_path_factory.mktemp("alias") / "link"
    alias.symlink_to(project.root)
    project.root, project.build = alias, alias / "build"
    assert attempt(project, WAYS["open"]).status == 1
    assert attempt(project, DECLARED["an external file"][0], external={"n": ["notes/secret.txt"]}).status == 0


def test_a_sitecustomize_that_ours_hides_still_runs(project: Project) -> None:
    project.write("more/sitecustomize.py", "import builtins; builtins.seen = __name__\n")
    result = attempt(
        project,
        "assert seen == 'sitecustomize'",
        sources=(files("more/sitecustomize.py"),),
        pythonpath=("{snapshot}/more",),
    )
    assert result.status == 0, result.out


def test_planted_in_a_real_module(project: Project) -> None:
    """A copy of training.corpus that also reads the README by an absolute path, as an edit in a hurry would."""
    for name in [*ROOT.glob("training/**/*.py"), *ROOT.glob("training/presets/*.toml")]:
        copy = project.root / name.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, copy)
    project.write("text/a.txt", "To be, or not to be, that is the question.\n" * 50)
    project.write("README.md", "words\n")
    params = {"data.sources": [{"uri": "file:text/*.txt", "sha256": None}], "data.val_fraction": 0.2}
    params |= {"data.val_documents": []}
    run = ("{python}", "-m", "training.corpus", "--params", "{params}", "--root", "{root}", "--out", "{out}")
    fields = {"sources": (python_sources("training.corpus"),), "params": params, "pythonpath": ("{snapshot}",)}
    project.stage("corpus", "", ("corpus/",), external={"t": ["text/a.txt"]}, lists=("{root}/text",), **fields)
    project.stages["corpus"] = _with(project.stages["corpus"], run=run)
    result = project.doit("corpus")
    assert result.status == 0, result.out

    clean = project.root / "training/data/clean.py"
    clean.write_text(clean.read_text() + f"\nopen({str(project.root / 'README.md')!r}).read()\n")
    result = project.doit("corpus")
    assert result.status == 1 and "read README.md  (at training/data/clean.py:" in result.out


def test_costs_little(tmp_path: Path) -> None:
    """A process that imports much and opens 2,000 files: CPU time with the audit against without, by turns."""
    from stages.graph.run.audit import CHILD, VARIABLE

    rules = tmp_path / "rules"
    rules.write_text(f"note\t{tmp_path}/note\nroot\t/nowhere\nany\t{tmp_path}\nfree\t/\n")
    (tmp_path / "f").touch()
    code = (
        f"import asyncio, sqlite3, email.message, unittest\nfor _ in range(2000): open({str(tmp_path / 'f')!r}).close()"
    )
    plain, audited = [], []
    for _ in range(5):
        plain.append(_cpu_s({}, code))
        audited.append(_cpu_s({"PYTHONPATH": CHILD, VARIABLE: str(rules)}, code))
    assert min(audited) - min(plain) < 0.15
    assert not (tmp_path / "note").exists()


def _cpu_s(env: dict[str, str], code: str) -> float:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
