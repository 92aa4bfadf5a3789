"""The imports inside a package, a crate or the page, as a graph: module -> the modules of the same whole that it uses.

Python by its syntax tree; Rust and TypeScript by their `use` and `import` lines, which rustfmt and Biome keep in one
form. Types count: a circle of types alone is a circle for whoever reads.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from pathlib import Path

Imports = dict[str, set[str]]


def circles(imports: Mapping[str, set[str]]) -> list[str]:
    """The import circles that a walk in the order of the names closes, each once, as `a -> b -> a`."""
    found, done = [], set()
    for start in sorted(imports):
        path = {start: iter(sorted(imports[start]))}
        while path and start not in done:
            name = next(reversed(path))
            for other in path[name]:
                if other in path:
                    names = list(path)
                    found.append(" -> ".join([*names[names.index(other) :], other]))
                elif other not in done:
                    path[other] = iter(sorted(imports.get(other, ())))
                    break
            else:
                done.add(name)
                del path[name]
    return found


def python(package: Path) -> Imports:
    """Of one package's modules, what they import of it, lazily and for types too. Names are without the package's."""
    files = {".".join(path.relative_to(package).with_suffix("").parts): path for path in package.rglob("*.py")}
    return {module: _python_imports(package.name, module, path, set(files)) for module, path in files.items()}


def _python_imports(package: str, module: str, path: Path, modules: set[str]) -> set[str]:
    here = module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name for each in node.names if (name := each.name.removeprefix(f"{package}.")) in modules}
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            if node.level:
                base = [*here[: len(here) - (node.level - 1)], *base]
            elif base[0] == package:
                base = base[1:]
            else:
                continue
            for alias in node.names:
                for name in (".".join([*base, alias.name]), ".".join(base), ".".join([*base, "__init__"])):
                    if name in modules:
                        found.add(name)
                        break
    return found


def rust(crate: Path) -> Imports:
    """Of one crate's modules, what `crate::`, `super::` and `self::` reach, and what a module uses of its children.

    A module is named by its path in the crate (`gpu::plan`; `gpu` is gpu/mod.rs or gpu.rs). What a module only hands on
    (`pub use`) counts for whoever takes it there, as if taken at its source: so the root's list of what the crate
    offers is no part of a circle. Modules of tests inside a file are left out.
    """
    sources = {_rust_name(path.relative_to(crate / "src")): path for path in (crate / "src").rglob("*.rs")}
    texts = {name: _without_comments_and_tests(path.read_text(encoding="utf-8")) for name, path in sources.items()}
    handed_on = {name: _handed_on(name, text, set(texts)) for name, text in texts.items()}
    return {
        name: {
            target
            for used in _rust_paths(_HANDS_ON.sub("", text), _children(name, set(texts)))
            if (target := _module_of(_absolute(used, name), handed_on)) not in (name, ROOT)
        }
        for name, text in texts.items()
    }


ROOT = ""  # lib.rs or main.rs
_HANDS_ON = re.compile(r"^\s*pub(?:\(\w+\))? use [^;]*;", re.MULTILINE)


def _rust_name(path: Path) -> str:
    parts = list(path.with_suffix("").parts)
    if parts[-1] in ("mod", "lib", "main"):
        parts.pop()
    return "::".join(parts)


def _children(module: str, modules: set[str]) -> set[str]:
    parts = [name.rpartition("::") for name in modules if name != ROOT]
    return {child for parent, _, child in parts if parent == module}


def _handed_on(module: str, text: str, modules: set[str]) -> dict[str, str]:
    """Item -> the absolute path that the module takes it from to hand it on."""
    uses = "\n".join(found[0] for found in _HANDS_ON.finditer(text))
    paths = (_absolute(used, module) for used in _rust_paths(uses, _children(module, modules)))
    return {path.rpartition("::")[2]: path for path in paths}


def _absolute(used: str, module: str) -> str:
    """A path as it stands in `module`, from the root on and without `crate::`."""
    parts, here = used.split("::"), module.split("::") if module else []
    ups = parts.count("super")
    base = [] if parts[0] == "crate" else here[: len(here) - ups]
    return "::".join([*base, *(part for part in parts if part not in ("crate", "self", "super"))])


def _module_of(path: str, handed_on: Mapping[str, Mapping[str, str]]) -> str:
    """The module that an absolute path's item stands in, through what modules hand on."""
    parts = path.split("::") if path else []
    for length in range(len(parts), -1, -1):
        module = "::".join(parts[:length])
        if module in handed_on:
            source = handed_on[module].get(parts[length]) if length < len(parts) else None
            return module if source is None or source == path else _module_of(source, handed_on)
    return ROOT


def _without_comments_and_tests(text: str) -> str:
    text = re.sub(r"//[^\n]*", "", text)
    # rustfmt closes a module of the top level with a brace in the first column.
    return re.sub(r"#\[cfg\(test\)\]\s*(pub )?mod \w+ \{.*?^\}", "", text, flags=re.DOTALL | re.MULTILINE)


def _rust_paths(text: str, children: set[str]) -> list[str]:
    """Every path that begins at the crate, the module, its parent or one of its children, braces of `use` unfolded."""
    begin = re.compile(rf"(?<![\w:])(?:{'|'.join(['crate', 'super', 'self', *sorted(children)])})::")
    return [path for found in begin.finditer(text) for path in _unfold(text, found.start())]


def _unfold(text: str, at: int) -> list[str]:
    """The paths of `a::{b, c::{d, e}}` that begins at `at`."""
    head = re.compile(r"(?:\w+::)*\w*").match(text, at)
    assert head is not None
    prefix, end = head[0].removesuffix("::"), head.end()
    if not head[0].endswith("::") or text[end : end + 1] != "{":
        return [prefix]
    inside, depth, names, last = text[end + 1 : _closing(text, end) - 1], 0, [], 0
    for place, sign in enumerate(f"{inside},"):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            names.append(inside[last:place].strip())
            last = place + 1
    unfolded = [path for name in names if name for path in _unfold(name, 0)]
    return [prefix if name == "self" else f"{prefix}::{name}" for name in unfolded]


def _closing(text: str, at: int) -> int:
    """Behind the brace that closes the one at `at`."""
    depth = 0
    while True:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if depth == 0:
            return at


def typescript(folder: Path) -> Imports:
    """Of the .ts and .tsx files of a folder, their relative imports, `import type` and `import()` too."""
    sources = {path for pattern in ("*.ts", "*.tsx") for path in folder.rglob(pattern)}
    names = {path.relative_to(folder).as_posix() for path in sources}
    found: Imports = {}
    for path in sources:
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8")
        used = re.findall(r"""^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+['"](\.[^'"]+)['"]""", text, re.MULTILINE)
        used += re.findall(r"""^\s*import\s+['"](\.[^'"]+)['"]|\bimport\(\s*['"](\.[^'"]+)['"]""", text, re.MULTILINE)
        flat = [each for entry in used for each in (entry if isinstance(entry, tuple) else (entry,)) if each]
        found[name] = {target for each in flat if (target := _file_of(name, each, names)) is not None}
    return found


def _file_of(importer: str, used: str, names: set[str]) -> str | None:
    base = os.path.normpath(os.path.join(os.path.dirname(importer), used))
    candidates = (base, f"{base}.ts", f"{base}.tsx", f"{base}/index.ts", f"{base}/index.tsx")
    return next((name for name in candidates if name in names), None)
