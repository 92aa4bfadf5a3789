"""No artifact, download or corpus file can make the build run code; and no text file is read by the locale's encoding.

Searched in the syntax trees of stages/ and training/. Each rule is also shown a planted violation.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

from stages import paths

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
RUNS_CODE = {"eval", "exec", "compile", "os.system", "os.popen", "shutil.unpack_archive", "torch.hub.load"}
ALLOWED = {  # (file, what): why
    ("stages/graph/run/child/sitecustomize.py", "exec"): "the user's own sitecustomize, which ours stands in front of",
    ("training/data/on_ray.py", "pickle"): "what our own workers answer; what Ray sends is pickled anyway",
}


def foreign_code(tree: ast.AST) -> Iterator[str]:
    """What may run code that comes with data: unpickling, eval, a shell, and unpacking to wherever a member says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in PICKLES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name in RUNS_CODE or name.endswith((".extractall", ".unsafe_load", ".full_load", ".run_path")):
                yield name
            elif name == "torch.load" and given.get("weights_only") != "True":
                yield "torch.load without weights_only=True"
            elif name == "yaml.load" and "Safe" not in given.get("Loader", ""):
                yield "yaml.load without a safe loader"
            elif given.get("allow_pickle", "False") != "False":
                yield f"{name} with allow_pickle"
            elif given.get("shell", "False") != "False":
                yield f"{name} with a shell"


def by_locale(tree: ast.AST) -> Iterator[str]:
    """Text files opened without an encoding: under LANG=C and PYTHONUTF8=0 Python would take ASCII."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(word.arg in ("encoding", None) for word in node.keywords):
            continue
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        modes = [word.value for word in node.keywords if word.arg == "mode"]
        if (method, len(node.args)) in {("read_text", 0), ("write_text", 1)}:
            yield ast.unparse(node)
        elif method == "open":  # Path.open(mode); os.open, ZipFile.open and so on have a name or a path there
            modes += node.args[:1]
            words = [mode.value for mode in modes if isinstance(mode, ast.Constant)]
            if (not node.args and not words) or any(set(str(word)) <= set("rwxat+") for word in words):
                yield ast.unparse(node)
        elif isinstance(node.func, ast.Name) and node.func.id == "open":
            modes += node.args[1:2]
            if not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes):
                yield ast.unparse(node)


Rule = Callable[[ast.AST], Iterator[str]]


@pytest.mark.parametrize("rule", [foreign_code, by_locale])
def test_the_sources_hold_to_it(rule: Rule) -> None:
    sources = [path for room in ("stages", "training") for path in (paths.ROOT / room).rglob("*.py")]
    assert len(sources) > 50, "this test is out of date"
    found = {
        (path.relative_to(paths.ROOT).as_posix(), what)
        for path in sources
        for what in rule(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found - set(ALLOWED) == set()
    assert rule is not foreign_code or set(ALLOWED) <= found, "an exception that is no longer needed"


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (foreign_code, "def f():\n    import pickle"),
        (foreign_code, "from cloudpickle import loads"),
        (foreign_code, "weights = torch.load(path)"),
        (foreign_code, "weights = torch.load(path, weights_only=False)"),
        (foreign_code, "array = np.load(path, allow_pickle=True)"),
        (foreign_code, "array = np.load(path, allow_pickle=flag)"),
        (foreign_code, "yaml.load(text)"),
        (foreign_code, "yaml.load(text, Loader=yaml.Loader)"),
        (foreign_code, "eval(text)"),
        (foreign_code, "subprocess.run(line, shell=True)"),
        (foreign_code, "os.system(line)"),
        (foreign_code, "tarfile.open(path).extractall(folder)"),
        (by_locale, "path.read_text()"),
        (by_locale, "path.write_text(text)"),
        (by_locale, "path.open()"),
        (by_locale, "path.open('w')"),
        (by_locale, "path.open(mode='a')"),
        (by_locale, "open(path)"),
        (by_locale, "open(path, 'w')"),
    ],
)
def test_a_planted_violation_is_found(rule: Rule, source: str) -> None:
    assert len(list(rule(ast.parse(source)))) == 1


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (foreign_code, "torch.load(path, weights_only=True); np.load(path); re.compile(text); yaml.safe_load(text)"),
        (
            by_locale,
            "path.read_text(encoding='utf-8'); path.write_text(text, 'utf-8'); open(path, 'rb'); zip.open(name)",
        ),
    ],
)
def test_what_is_right_is_left_alone(rule: Rule, source: str) -> None:
    assert list(rule(ast.parse(source))) == []
