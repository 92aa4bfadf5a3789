"""Python sources: modules in, the files of their first-party import closure out, and the digest of each file's syntax
tree, without comments and docstrings. It is the same for every version of Python that can parse the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import GraphError
from .digest import bytes_digest
from .tree import View


def closure(modules: Sequence[str], view: View) -> list[str]:
    """The files of the modules, of their packages, and of all that they import from the repository.

    Raises GraphError if a module named here is not in the repository.
    """
    files: dict[str, None] = {}
    waiting: list[str] = []
    asked: dict[str, bool] = {}

    def add(module: str) -> bool:
        """Queue the file of a module and, before it, those of its packages. False if it is not ours."""
        if module in asked:
            return asked[module]
        folder, _, leaf = module.replace(".", "/").rpartition("/")
        if folder:
            add(folder.replace("/", "."))
        base = f"{folder}/{leaf}" if folder else leaf
        beside = view.names(folder)
        there = [f"{base}.py"] if f"{leaf}.py" in beside else []
        if leaf in beside and "__init__.py" in view.names(base):
            there.append(f"{base}/__init__.py")
        asked[module] = bool(there)
        for name in there:
            if name not in files:
                files[name] = None
                waiting.append(name)
        return bool(there)

    for module in modules:
        run_as_package = add(f"{module}.__main__")
        if not (add(module) or run_as_package):
            raise GraphError(f"python source {module} is not a module of {view.root}")
    while waiting:
        name = waiting.pop()
        package = name.split("/")[:-1]
        for level, module, attribute in parsed(view, name)[1]:
            if level:
                base = package[: len(package) - (level - 1)]
                module = ".".join([*base, module] if module else base)
            add(module)
            if attribute:
                add(f"{module}.{attribute}")
    return sorted(files)


def parsed(view: View, name: str) -> tuple[str, list[tuple[int, str, str]]]:
    """(digest of the syntax tree, imports) of a Python source, kept by content.

    An import is (level, module, attribute). A file that does not parse is compared by its bytes and imports nothing:
    the command reports the error.
    """
    content = view.digest(name)
    known = view.cache.parsed(content)
    if known is None:
        with open(f"{view.root}/{name}", "rb") as file:
            data = file.read()
        known = _parse(data)
        if bytes_digest(data) == content:
            view.cache.remember_parsed(content, known)
    return known[0], known[1]


def _parse(data: bytes) -> list[Any]:
    import ast

    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return [bytes_digest(data), []]
    imports: set[tuple[int, str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update((0, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports.update((node.level, node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.JoinedStr):  # only 3.12 adds an empty string at the end of a format
            node.values = [v for v in node.values if not (isinstance(v, ast.Constant) and v.value == "")]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
                if not node.body and not isinstance(node, ast.Module):
                    node.body = [ast.Pass()]
    return [bytes_digest(_text(tree).encode("ascii")), sorted(imports)]


def _text(value: Any) -> str:
    """A syntax tree as ASCII. Unlike `ast.dump` it leaves out every field that is empty: later versions of Python add
    fields, such as type_params in 3.12, and dump the empty ones or not.
    """
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    fields = getattr(value, "_fields", None)
    if fields is None:
        return ascii(value)
    given = ((name, getattr(value, name, None)) for name in sorted(fields))
    return f"{type(value).__name__}({','.join(f'{k}={_text(v)}' for k, v in given if v is not None and v != [])})"
