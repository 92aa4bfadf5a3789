"""pocketlm_tokenizer.pyi says what the module has: the same names, parameters and defaults, and no others."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import hf_oracle as oracle
import pocketlm_tokenizer
import pytest

STUB = oracle.ROOT / "rust" / "tokenizer-py" / "pocketlm_tokenizer.pyi"
TREE = ast.parse(STUB.read_text(encoding="utf-8"))


def public(scope: type | ModuleType) -> set[str]:
    """What a user sees there."""
    names = vars(scope) if isinstance(scope, type) else {name: getattr(scope, name) for name in scope.__all__}
    return {name for name in names if not name.startswith("_")}


def parameters(function: ast.FunctionDef) -> list[tuple[str, object]]:
    """(name, default) by the stub; `inspect.Parameter.empty` where there is none."""
    args = function.args.posonlyargs + function.args.args
    assert not function.args.kwonlyargs
    assert not function.args.vararg
    defaults = [inspect.Parameter.empty] * (len(args) - len(function.args.defaults)) + [
        ast.literal_eval(default) for default in function.args.defaults
    ]
    return [(arg.arg, default) for arg, default in zip(args, defaults, strict=True)]


def real_parameters(function: object) -> list[tuple[str, object]]:
    """(name, default) by the module."""
    found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [(parameter.name, parameter.default) for parameter in found]


def stub_of(name: str) -> ast.ClassDef | ast.FunctionDef:
    (node,) = (n for n in TREE.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name)
    return node


def test_the_module_has_the_names_of_the_stub() -> None:
    names = {node.name for node in TREE.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    names |= {
        node.target.id for node in TREE.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert names == public(pocketlm_tokenizer)
    assert pocketlm_tokenizer.TokenizerError.__mro__[1] is ValueError


def test_functions_have_the_signatures_of_the_stub() -> None:
    for name in ("split", "safe_cut"):
        assert parameters(stub_of(name)) == real_parameters(getattr(pocketlm_tokenizer, name))


@pytest.mark.parametrize("name", ["Tokenizer", "DecodeStream", "WordCounts"])
def test_classes_have_the_methods_of_the_stub(name: str) -> None:
    real = getattr(pocketlm_tokenizer, name)
    functions = (node for node in stub_of(name).body if isinstance(node, ast.FunctionDef))
    methods = {node.name: node for node in functions if not node.name.startswith("_")}
    assert set(methods) == public(real)
    for method, node in methods.items():
        decorators = {decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)}
        attribute = inspect.getattr_static(real, method)
        assert ("property" in decorators) == inspect.isgetsetdescriptor(attribute), method
        assert ("staticmethod" in decorators) == isinstance(attribute, staticmethod), method
        if "property" not in decorators:
            assert parameters(node) == real_parameters(getattr(real, method)), method


@pytest.mark.parametrize("name", ["Tokenizer", "DecodeStream", "WordCounts"])
def test_final_classes_cannot_be_subclassed(name: str) -> None:
    with pytest.raises(TypeError):
        type("Sub", (getattr(pocketlm_tokenizer, name),), {})


@pytest.mark.parametrize("name", ["Tokenizer", "DecodeStream"])
def test_what_something_else_makes_is_not_made_by_hand(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(pocketlm_tokenizer, name)()


def test_words_are_counted_by_hand() -> None:
    (made,) = (
        node for node in stub_of("WordCounts").body if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    assert parameters(made)[1:] == real_parameters(pocketlm_tokenizer.WordCounts)
    assert len(pocketlm_tokenizer.WordCounts()) == 0


def test_everything_is_documented() -> None:
    for node in ast.walk(TREE):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            assert ast.get_docstring(node), getattr(node, "name", "module")
