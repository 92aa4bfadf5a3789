"""Several documents in a file: JSON Lines, Parquet and texts between separators, beside readers that are not ours."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pocketlm_tokenizer import safe_cut

from training import corpus
from training.config import preset
from training.config.data import Data, Source
from training.data import documents, records


def data(uri: str = "file:*", *, column: str = "text", separator: str = "", val: tuple[str, ...] = ()) -> Data:
    return Data((Source(uri),), val, 0.25, text_column=column, separator=separator)


def found(name: str, content: bytes, settings: Data) -> list[tuple[str, bytes]]:
    return [(each, part.read()) for each, part in records.documents(name, io.BytesIO(content), settings)]


@given(st.binary(max_size=60), st.sampled_from([b"|", b"ab", b"<|end|>", b"aa"]), st.integers(1, 9))
def test_texts_between_separators(content: bytes, separator: bytes, nbytes: int) -> None:
    """In portions of any size: as the standard library splits the whole. Nothing follows a last separator."""
    content = content.replace(b"\x00", separator)
    expected = content.split(separator)
    if not expected[-1]:
        expected.pop()
    assert list(records.between(io.BytesIO(content), separator, nbytes)) == expected


@given(st.lists(st.text(), max_size=5), st.booleans())
def test_json_lines(texts: list[str], byte_order_mark: bool) -> None:
    rows = "".join(json.dumps({"id": 1, "body": text}, ensure_ascii=False) + "\n" for text in texts)
    content = rows.encode("utf-8-sig" if byte_order_mark else "utf-8")
    named = [(f"a.jsonl#{row:09}", text.encode()) for row, text in enumerate(texts, 1)]
    assert found("a.jsonl", content, data(column="body")) == named


@given(st.lists(st.text(), max_size=5))
def test_parquet(texts: list[str]) -> None:
    file = io.BytesIO()
    table = pyarrow.table({"n": list(range(len(texts))), "text": pyarrow.array(texts, pyarrow.string())})
    pyarrow.parquet.write_table(table, file, row_group_size=2)
    named = [(f"a.parquet#{row:09}", text.encode()) for row, text in enumerate(texts, 1)]
    assert found("a.parquet", file.getvalue(), data()) == named


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": ', "a.jsonl: line 2 is not JSON"),
        ("a.jsonl", b'{"text": "\xff"}', "a.jsonl: line 1 is not JSON: 'utf-8'"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl: line 1 is not JSON: maximum recursion"),
        ("a.jsonl", b'{"body": "a"}', "line 1 has no text 'text', but body; set data.text_column"),
        ("a.ndjson", b'\n["a"]', "line 2 has no text 'text', but a list"),
        ("a.jsonl", b'{"text": 5}', "line 1 has no text 'text', but text; set"),
        ("a.jsonl", b'{"text": "ab\\ud800"}', "a.jsonl#000000001: not UTF-8 at byte 2"),
        ("a.parquet", b"PAR1 and nothing else", "a.parquet: "),
        ("a.parquet", parquet(body=["a"], n=[1]), "a.parquet: has no column 'text', but body, n; set data.text_column"),
        ("a.parquet", parquet(text=["a", None]), "a.parquet: row 2 is a NoneType, not a text"),
        ("a.parquet", parquet(text=[1]), "a.parquet: row 1 is a int, not a text"),
    ],
)
def test_what_is_no_record_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as raised:
        corpus.build(data(), tmp_path, tmp_path / "out")
    assert str(raised.value).startswith("file:*: ") and message in str(raised.value)


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"a\.parquet: Parquet is read by pyarrow, .* `\./doitw setup:parquet`"):
        found("a.parquet", b"", data())


def corpus_texts(out: Path) -> dict[str, str]:
    read = (each for split in documents.SPLITS for each in documents.read(out, split, safe_cut))
    return {document.name: "".join(parts) for document, parts in read}


def test_a_corpus_of_all_kinds(tmp_path: Path) -> None:
    """One file of many texts, as TinyStories is shipped; rows; a Markdown file of several plays; a file alone."""
    (tmp_path / "stories.txt").write_text("One.\r\n<|end|>\nTwo.\n<|end|>\n\n<|end|>One.\n<|end|>")
    (tmp_path / "rows.jsonl").write_text('{"text": "A row.\\n\\n"}\n{"text": "Two."}\n')
    (tmp_path / "rows.parquet").write_bytes(parquet(text=["A column.", ""]))
    (tmp_path / "plays.md").write_text("# Act\n<|end|>\n**HAMLET**\nWords")
    counts = corpus.build(data(separator="<|end|>", val=("rows.parquet*",)), tmp_path, tmp_path / "out")
    assert corpus_texts(tmp_path / "out") == {
        "plays.md#000000001": "Act\n",
        "plays.md#000000002": "HAMLET:\nWords\n",
        "rows.jsonl#000000001": "A row.\n",
        "rows.jsonl#000000002": "Two.\n",
        "rows.parquet#000000001": "A column.\n",
        "stories.txt#000000001": "One.\n",
    }  # "Two." and a second "One." are copies, and what is empty is no document
    assert counts == {"train": (5, 35), "val": (1, 10)}
    lines = [json.loads(line) for line in (tmp_path / "out/documents.jsonl").read_text().splitlines()]
    assert [line["start"] for line in lines if line["split"] == "train"] == [0, 4, 18, 25, 30]


def test_files_of_a_split_are_closed_at_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "FILE_NBYTES", 100)
    texts = [f"story {number} {'x' * (number % 40 + 1)}" for number in range(200)]
    (tmp_path / "a.txt").write_text("|".join(texts))
    corpus.build(data("file:a.txt", separator="|"), tmp_path, tmp_path / "out")
    assert sorted(corpus_texts(tmp_path / "out").values()) == sorted(f"{text}\n" for text in texts)
    for split in documents.SPLITS:
        sizes = [path.stat().st_size for path in sorted((tmp_path / "out" / split).iterdir())]
        assert len(sizes) > 3 and all(100 <= size < 200 for size in sizes[:-1])


def test_texts_need_not_fit_into_memory(tmp_path: Path) -> None:
    """Twenty times the text takes less than twice the memory: what is kept for each document is small."""
    peaks = []
    for n in (20, 400):
        root = tmp_path / str(n)
        root.mkdir()
        with (root / "a.txt").open("w") as file:
            for number in range(n):
                file.write(f"{number} words and words\n" * 2500 + "|")
        tracemalloc.start()
        corpus.build(data("file:a.txt", separator="|"), root, root / "out")
        for split in documents.SPLITS:
            for _, parts in documents.read(root / "out", split, safe_cut):
                assert sum(map(len, parts)) > 40_000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (tmp_path / "400/a.txt").stat().st_size > 19e6 and peaks[1] < 2 * peaks[0], peaks


def test_presets_need_not_name_what_they_do_not_use() -> None:
    keyed = preset.load("tiny").keyed()
    assert "data.separator" not in keyed and "data.text_column" not in keyed
    assert preset.load("tiny", {"data.separator": "<|endoftext|>"}).keyed()["data.separator"] == "<|endoftext|>"
