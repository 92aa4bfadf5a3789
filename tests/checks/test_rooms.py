"""Who may import what: the table of docs/ARCHITECTURE.md, room by room; and a planted violation for each rule."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import paths

LINES = 500

# room -> (its files, what must not be imported there)
PYTHON = {
    "dodo.py": (["dodo.py"], r"(?!__future__|collections|typing|stages(\.|$)).*"),
    "stages/graph": (["stages/graph/**/*.py"], r"(stages|training|torch|numpy)(\.|$).*"),
    "stages": (["stages/*.py"], r"(torch|numpy|tests|training(?!\.config(\.|$)))(\.|$).*"),
    "training": (["training/**/*.py"], r"(stages|tests|doit)(\.|$).*"),
    "training/data": (
        ["training/data/*.py"],
        r"torch(\.|$).*|training\.(?!(chat|command|config|data|tokenizer_file)(\.|$)).*",
    ),
}
PAGE = [f"web/src/{place}" for place in ("*.ts*", "components/*.ts*", "hooks/*.ts*", "lib/*.ts*", "state/*.ts*")]
TYPESCRIPT = {
    "worker": (
        ["web/src/engine/*.ts", "web/src/engine/gguf/*.ts"],
        r"react.*|pocketlm|.*/(package|components|hooks|lib|state)/.*",
    ),
    "gguf": (["web/src/engine/gguf/*.ts"], r"(?!\./).*"),
    "client and package": (
        ["web/src/engine/client.ts", "web/src/package/*.ts"],
        r"react.*|pocketlm|.*/(components|hooks|lib|state)/.*|.*/(worker|session)(\.ts)?|pocketlm-wasm",
    ),
    "page": (PAGE, r"pocketlm[-/].*|.*/(engine|package)/.*|\.+/engine|\.+/package"),
}
WITH_TYPES = ("page",)  # the package's types, too, are those of its entry
RUST = {  # crate -> packages that must not be among its dependencies, directly or not
    "pocketlm-tokenizer": {"wgpu", "wasm-bindgen", "pocketlm-inference", "pyo3"},
    "pocketlm-inference": {"pocketlm-tokenizer", "pyo3"},
    "pocketlm-web": {"pocketlm-cli", "pyo3"},
    "pocketlm-cli": {"pocketlm-web", "pyo3"},
}


def python_imports(source: str) -> Iterator[str]:
    """Absolute names of everything imported, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def typescript_imports(source: str, types: bool = False) -> list[str]:
    """The modules named in import, export ... from, and import(); with `types`, those that are gone at run time too."""
    found = re.findall(r"^\s*(import|export)\s+(type\s)?[^'\"]*?from\s+['\"]([^'\"]+)['\"]", source, re.MULTILINE)
    dynamic = re.findall(r"\bimport\(\s*['\"]([^'\"]+)['\"]", source)
    return [name for _, is_type, name in found if types or not is_type] + dynamic


def files(root: Path, globs: list[str]) -> list[Path]:
    found = [path for pattern in globs for path in root.glob(pattern) if ".test." not in path.name]
    assert found, f"{globs} match nothing: this test is out of date"
    return found


@pytest.mark.parametrize("room", PYTHON)
def test_python_rooms(room: str) -> None:
    globs, never = PYTHON[room]
    wrong = [
        f"{path.relative_to(paths.ROOT)}: {name}"
        for path in files(paths.ROOT, globs)
        for name in python_imports(path.read_text())
        if re.fullmatch(never, name)
    ]
    assert not wrong


@pytest.mark.parametrize("room", TYPESCRIPT)
def test_typescript_rooms(room: str) -> None:
    globs, never = TYPESCRIPT[room]
    wrong = [
        f"{path.relative_to(paths.ROOT)}: {name}"
        for path in files(paths.ROOT, globs)
        for name in typescript_imports(path.read_text(), room in WITH_TYPES)
        if re.fullmatch(never, name)
    ]
    assert not wrong


def page_advice(source: str) -> list[str]:
    """What a reader of this project's page could do, and one of another page that embeds the package could not."""
    return re.findall(r"\./doitw|\?device=|doit \w+`", re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL))


def test_the_package_gives_no_advice_of_this_page() -> None:
    assert page_advice('hint: "type ./doitw wasm" // ?device=cpu') == ["./doitw"]
    found = [
        f"{path.relative_to(paths.ROOT)}: {advice}"
        for path in files(paths.ROOT, ["web/src/engine/**/*.ts", "web/src/package/*.ts"])
        for advice in page_advice(path.read_text())
    ]
    assert not found


def test_rust_rooms() -> None:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    names = {package["id"]: package["name"] for package in data["packages"]}
    needs = {  # without what only tests and build scripts use
        node["id"]: [each["pkg"] for each in node["deps"] if any(kind["kind"] is None for kind in each["dep_kinds"])]
        for node in data["resolve"]["nodes"]
    }
    for crate, never in RUST.items():
        waiting = [next(id for id, name in names.items() if name == crate)]
        reached: set[str] = set()
        while waiting:
            for found in needs[waiting.pop()]:
                if found not in reached:
                    reached.add(found)
                    waiting.append(found)
        assert not {names[found] for found in reached} & never, crate


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("dodo.py", "import os"),
        ("stages/graph", "def f():\n    from stages import paths"),
        ("stages/graph", "import training.config"),
        ("stages", "from training import train"),
        ("stages", "import torch.nn"),
        ("training", "from stages.graph import Stage"),
        ("training/data", "from training.train import Inputs"),
        ("training/data", "from training import model"),
        ("training/data", "import torch.nn"),
    ],
)
def test_a_planted_import_is_found(room: str, source: str) -> None:
    assert any(re.fullmatch(PYTHON[room][1], name) for name in python_imports(source))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("worker", 'import { useState } from "react";'),
        ("worker", 'import { format } from "../lib/format";'),
        ("gguf", 'import { engineError } from "../errors";'),
        ("client and package", 'const engine = await import("pocketlm-wasm");'),
        ("client and package", 'import { reduce } from "../state/machine";'),
        ("page", 'import {\n  Client,\n} from "../engine/client.ts";'),
        ("page", 'import type { Card } from "../engine/protocol";'),
        ("page", 'import { loadModel } from "./package";'),
        ("page", 'import type { Message } from "../package/chat";'),
    ],
)
def test_a_planted_typescript_import_is_found(room: str, source: str) -> None:
    names = typescript_imports(source, room in WITH_TYPES)
    assert any(re.fullmatch(TYPESCRIPT[room][1], name) for name in names)


def test_no_file_is_longer_than_500_lines() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
    sources = [name for name in listed.split() if name.endswith((".py", ".rs", ".ts", ".tsx", ".wgsl", ".css"))]
    long = {name: count for name in sources if (count := len((paths.ROOT / name).read_text().splitlines())) > LINES}
    assert not long
