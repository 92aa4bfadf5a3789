"""The parts, one by one: stat cache, sources, screen, digests."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.graph import GraphError, Output, Stage, files, python_sources
from stages.graph.declare.stage import expand_placeholders, nested
from stages.graph.read.digest import bytes_digest, canonical, tree_digest
from stages.graph.read.expand import expand
from stages.graph.read.statcache import StatCache, settled
from stages.graph.read.tree import View
from stages.graph.run.lines import Lines
from tests.graph.screen import Screen

# ── Stat cache ──


def entry_of(cache: StatCache, path: Path) -> list[object]:
    return cache._files[str(path)]


def test_stat_cache_believes_a_settled_file(tmp_path: Path) -> None:
    """The digest comes from the entry: a planted one is returned."""
    file = tmp_path / "f"
    file.write_text("x")
    time.sleep(0.05)
    cache = StatCache(str(tmp_path / "cache.json"))
    assert cache.digest(str(file)) == bytes_digest(b"x")
    entry_of(cache, file)[5] = "planted"
    assert cache.digest(str(file)) == "planted"
    cache.save()
    assert StatCache(cache.path).digest(str(file)) == "planted"


def test_stat_cache_distrusts_a_racy_file(tmp_path: Path) -> None:
    """A file hashed in the tick in which it changed may have changed again with all of its stat equal. 0 of 300
    real edits showed it on this file system, so the entry is fabricated: same stat, hashed at the moment of the
    change.
    """
    file = tmp_path / "f"
    file.write_text("x")
    time.sleep(0.05)
    cache = StatCache(str(tmp_path / "cache.json"))
    cache.digest(str(file))
    entry = entry_of(cache, file)
    entry[4], entry[5] = max(entry[1], entry[2]), "what it held before"  # type: ignore[type-var]
    assert not settled(entry)
    assert cache.digest(str(file)) == bytes_digest(b"x")
    assert settled(entry_of(cache, file))


@pytest.mark.parametrize("field", [0, 1, 2, 3], ids=["size", "mtime", "ctime", "inode"])
def test_stat_cache_looks_at_every_field(tmp_path: Path, field: int) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    time.sleep(0.05)
    cache = StatCache(str(tmp_path / "cache.json"))
    cache.digest(str(file))
    entry = entry_of(cache, file)
    entry[5] = "planted"
    entry[field] += 1  # type: ignore[operator]
    assert cache.digest(str(file)) == bytes_digest(b"x")


def test_coarse_times_need_two_seconds() -> None:
    second = 1_000_000_000
    assert not settled([0, 5 * second, 5 * second, 0, 6 * second, ""])
    assert settled([0, 5 * second, 5 * second, 0, 8 * second, ""])
    assert settled([0, 5 * second + 1, 5 * second, 0, 6 * second, ""])


def test_file_from_the_future_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    os.utime(file, (time.time() + 3600,) * 2)
    cache = StatCache(str(tmp_path / "cache.json"))
    cache.digest(str(file))
    entry_of(cache, file)[5] = "planted"
    assert cache.digest(str(file)) == bytes_digest(b"x")


# ── Sources ──


def names(root: Path, *declared: object) -> set[str]:
    return set(expand(declared, View(str(root), StatCache(str(root / "cache.json")))))  # type: ignore[arg-type]


def tree(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def test_patterns(tmp_path: Path) -> None:
    tree(
        tmp_path,
        "a.txt",
        "src/b.rs",
        "src/c.py",
        "src/deep/d.rs",
        "src/deep/tests/e.rs",
        "src/target/x",
        "src/b.rs~",
        "web/node_modules/y",
        "web/z.ts",
    )
    assert names(tmp_path, files("a.txt")) == {"a.txt"}
    assert names(tmp_path, files("src")) == {"src/b.rs", "src/c.py", "src/deep/d.rs", "src/deep/tests/e.rs"}
    assert names(tmp_path, files("src/")) == names(tmp_path, files("src"))
    assert names(tmp_path, files("src/*.rs")) == {"src/b.rs"}
    assert names(tmp_path, files("src/**/*.rs")) == {"src/b.rs", "src/deep/d.rs", "src/deep/tests/e.rs"}
    assert names(tmp_path, files("src", exclude=("**/tests/**",))) == {"src/b.rs", "src/c.py", "src/deep/d.rs"}
    assert names(tmp_path, files("src", exclude=("*.rs",))) == {"src/c.py"}
    assert names(tmp_path, files("src", exclude=("src/deep/**",))) == {"src/b.rs", "src/c.py"}
    assert names(tmp_path, files("web")) == {"web/z.ts"}
    assert names(tmp_path, files("*.txt")) == {"a.txt"}
    assert names(tmp_path, files("s?c/*.py")) == {"src/c.py"}
    for nothing in ("b.txt", "none/*", "src/*.c"):
        with pytest.raises(GraphError, match="matches no file"):
            names(tmp_path, files(nothing))


def test_link_to_a_file_is_that_file_and_to_a_folder_an_error(tmp_path: Path) -> None:
    tree(tmp_path, "src/a", "other/b")
    (tmp_path / "src/link").symlink_to("../other/b")
    assert names(tmp_path, files("src")) == {"src/a", "src/link"}
    (tmp_path / "src/folder").symlink_to("../other")
    with pytest.raises(GraphError, match="link to a folder"):
        names(tmp_path, files("src"))
    assert names(tmp_path, files("src", exclude=("folder",))) == {"src/a", "src/link"}


def test_import_closure(tmp_path: Path) -> None:
    tree(
        tmp_path,
        *(
            f"pkg/{name}.py"
            for name in ("__init__", "main", "a", "b", "c", "d", "e", "f", "unused", "sub/__init__", "sub/x", "sub/y")
        ),
    )
    tree(tmp_path, "other.py")
    write = {
        "pkg/main.py": "import os, pkg.a\nfrom pkg import b\nfrom .sub.x import thing\nif True:\n    from . import c\n",
        "pkg/a.py": "def f():\n    import other\n",
        "pkg/b.py": "from .d import *\ntry:\n    import nowhere\nexcept ImportError:\n    pass\n",
        "pkg/sub/x.py": "from . import y\nfrom .. import e\nfrom ..f import g\n",
    }
    for path in tmp_path.rglob("*.py"):
        path.write_text(write.get(str(path.relative_to(tmp_path)), "x = 1\n"))
    want = {
        f"pkg/{n}.py" for n in ("__init__", "main", "a", "b", "c", "d", "e", "f", "sub/__init__", "sub/x", "sub/y")
    } | {"other.py"}
    assert names(tmp_path, python_sources("pkg.main")) == want
    assert names(tmp_path, python_sources("other")) == {"other.py"}
    with pytest.raises(GraphError, match=r"pkg.none is not a module"):
        names(tmp_path, python_sources("pkg.none"))
    tree(tmp_path, "pkg/space/m.py")
    (tmp_path / "pkg/space/m.py").write_text("try:\n    import other.nothing\nexcept ImportError:\n    pass\n")
    assert names(tmp_path, python_sources("pkg.space.m")) == {"pkg/space/m.py", "pkg/__init__.py", "other.py"}
    (tmp_path / "pkg/__main__.py").write_text("import pkg.unused\n")
    assert {"pkg/__main__.py", "pkg/unused.py"} <= names(tmp_path, python_sources("pkg"))


def python_digest(root: Path, text: str) -> str:
    (root / "m.py").write_text(text)
    return expand((python_sources("m"),), View(str(root), StatCache(str(root / "cache.json"))))["m.py"].key


def test_python_digest_sees_code_and_only_code(tmp_path: Path) -> None:
    base = python_digest(tmp_path, "def f(x):\n    return x + 1\n")
    for same in (
        '"""Module."""\ndef f(x):\n    return x + 1\n',
        "# note\ndef f(x):\n\n    # why\n    return (x + 1)\n",
        'def f(x):\n    "Doc."\n    return x + 1\n',
    ):
        assert python_digest(tmp_path, same) == base, same
    for other in (
        "def f(x):\n    return x + 2\n",
        "def f(y):\n    return y + 1\n",
        "def f(x):\n    return x + 1.0\n",
        'def f(x):\n    x = "Doc."\n    return x + 1\n',
        'def f(x):\n    return x + 1\n    "not a docstring"\n',
    ):
        assert python_digest(tmp_path, other) != base, other
    assert python_digest(tmp_path, 'class A:\n    "Doc."\n') == python_digest(tmp_path, "class A:\n    pass\n")
    assert python_digest(tmp_path, "def f(:\n") != python_digest(tmp_path, "def g(:\n")  # no syntax: by its bytes


# ── Lines of output ──


def shown(*chunks: bytes, reader: type[Lines] | type[Screen] = Lines) -> list[str]:
    output = reader(rewrites=True)
    lines = [line for chunk in chunks for line in output.feed(chunk)]
    return lines + output.finish()


def test_lines_are_what_a_person_would_see() -> None:
    assert shown(b"a\nb\n") == ["a", "b"]
    assert shown(b"1%\r2%\r100%\nnext\n") == ["100%", "next"]
    assert shown(b"long text\rab\x1b[K\n") == ["ab"]
    assert shown(b"\x1b[31mred\x1b[0m\n") == ["red"]
    assert shown(b"one\ntwo\n\x1b[2A\x1b[2KONE\n\x1b[2KTWO\n") == ["ONE", "TWO"]
    assert shown(b"|\b/\b-\bdone\n") == ["done"]
    assert shown(b"bar 1\nbar 2\r\x1b[2K\x1b[1A\x1b[2Kbar 3\nbar 4\r\x1b[2K\x1b[1A\x1b[2Kend\n") == ["end"]
    assert shown(b"\x1b]0;title\x07text\n") == ["text"]
    assert shown(b"no newline") == ["no newline"]
    assert shown("é".encode()[:1], "é".encode()[1:] + b"\n") == ["é"]
    assert shown(b"\xff\n") == ["�"]


def test_lines_without_a_terminal_come_at_once() -> None:
    output = Lines(rewrites=False)
    assert output.feed(b"a\nb\nc") == ["a", "b"]
    assert output.last() == "c"
    assert output.finish() == ["c"]


def test_a_long_bar_takes_no_memory() -> None:
    output = Lines(rewrites=True)
    for number in range(1000):
        assert output.feed(f"\r{number} ".encode() + b"x" * 100) == []
        assert output.last() == f"{number} {'x' * 100}"
    assert len(output._open) < 300


ROWS = st.lists(st.text("ab é", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=4)


@given(st.lists(ROWS, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_bars_of_several_lines_are_shown_as_on_a_real_screen(frames: list[list[str]]) -> None:
    """Each frame moves up to where the last one began and writes every row again, as cargo, uv and rich do."""
    data, above = "before\n", 0
    for rows in frames:
        data += (f"\x1b[{above}A" if above else "") + "\x1b[J" + "".join(f"\r\x1b[2K{row}\n" for row in rows)
        above = len(rows)
    data += "after\n"
    assert shown(data.encode()) == shown(data.encode(), reader=Screen) == ["before", *frames[-1], "after"]


@given(
    st.lists(
        st.sampled_from(["x", "long", "\n", "\r", "\x1b[1A", "\x1b[2K", "\x1b[3", "1m", "é", "\x1b[J", "\x1b[9C"]),
        max_size=60,
    ),
    st.randoms(),
)
@example(["x", "\x1b[3", "\x1b[3", "1m", "\r", "\n"], random.Random(0))  # a sequence that another one cuts short
@example(["x", "\x1b[3", "\x1b[3", "1m", "1m", "\r", "\n"], random.Random(0))
@settings(max_examples=150, deadline=None)
def test_lines_do_not_depend_on_chunks(pieces: list[str], generator: random.Random) -> None:
    data = "".join(pieces).encode()
    cuts = sorted(generator.sample(range(len(data) + 1), min(4, len(data))))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert shown(*chunks) == shown(*(bytes([byte]) for byte in data)) == shown(data)


# ── Small ones ──


def test_canonical_json_and_tree_digest_do_not_depend_on_order() -> None:
    assert canonical({"b": 1, "a": [1.5, None, "ü"]}) == '{"a":[1.5,null,"ü"],"b":1}'.encode()
    assert tree_digest([("a", "1", False), ("b", "2", False)]) == tree_digest([("b", "2", False), ("a", "1", False)])
    assert (
        len({tree_digest([("a", "1", x)]) for x in (True, False)} | {tree_digest([("a", "2", False)]), tree_digest([])})
        == 4
    )
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


def test_placeholders_and_nesting() -> None:
    assert (
        expand_placeholders("{out}/x ${HOME} ${home} {in.a-b}", {"out": "/o", "in.a-b": "/i"})
        == "/o/x ${HOME} ${home} /i"
    )
    assert nested({"a.b.c": 1, "a.d": 2, "e": 3}) == {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    for clash in ({"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}):
        with pytest.raises(ValueError, match="a"):
            nested(clash)


def test_order_of_a_chain_longer_than_the_recursion_limit() -> None:
    """Given last to first: each stage comes after the one it needs."""
    from stages.graph.declare.plan import _in_order

    stages = {}
    for i in reversed(range(3_000)):
        inputs = {"before": Output(f"s{i - 1}", "o")} if i else {}
        stages[f"s{i}"] = Stage(name=f"s{i}", doc="", run=("true",), outputs=("o",), inputs=inputs)
    assert _in_order(stages) == [f"s{i}" for i in range(3_000)]
