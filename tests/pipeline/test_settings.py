"""Words of the command line: presets, profiles, single values, and what a mistake says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages import paths, settings
from stages.project import stages_of
from training.config import preset

DOIT = [str(paths.VENV / "bin" / "python"), "-P", str(paths.VENV / "bin" / "doit")]


def test_words_win_over_the_environment() -> None:
    environ = {"POCKETLM_PRESET": "shakespeare", "POCKETLM_PROFILE": "repro"}
    assert settings.resolve({}, environ).preset == "shakespeare"
    chosen = settings.resolve({"preset": "tiny", "profile": "fast", "train.steps": "7"}, environ)
    assert (chosen.preset, chosen.profile, chosen.values["train.steps"]) == ("tiny", "fast", 7)


def test_a_section_holds_exactly_what_was_asked_for() -> None:
    chosen = settings.resolve({"preset": "tiny"}, {})
    assert set(chosen.section("tokenizer.vocab_size")) == {"tokenizer.vocab_size"}
    assert all(name.startswith("model.") for name in chosen.section("model"))


@pytest.mark.parametrize(("words", "says"), [
    ({"presett": "tiny"}, "did you mean preset="),
    ({"train.step": "5"}, "did you mean train.steps="),
    ({"preset": "tini"}, "tiny"),
    ({"profile": "slow"}, "fast and repro"),
    ({"train.steps": "many"}, "train.steps='many': expected int, got text"),
    ({"model.n_head": "4"}, "n_kv_head"),
])  # fmt: skip
def test_a_mistake_names_the_nearest(words: dict[str, str], says: str) -> None:
    words = {"preset": "tiny", **words}
    with pytest.raises(ValueError, match=says):
        settings.resolve(words, {})


def test_own_sources_do_not_look_for_the_documents_that_the_preset_holds_out() -> None:
    own = {"preset": "shakespeare", "data.sources": '["file:my.txt"]'}
    assert settings.resolve(own, {}).values["data.val_documents"] == []
    assert settings.resolve({**own, "data.val_documents": "mine*"}, {}).values["data.val_documents"] == ["mine*"]
    assert settings.resolve({"preset": "shakespeare"}, {}).values["data.val_documents"] != []


def test_a_preset_may_be_a_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text((paths.ROOT / "training/presets/tiny.toml").read_text().replace("steps = ", "steps = 1"))
    assert settings.resolve({"preset": str(mine)}, {}).preset == "mine"


@pytest.mark.parametrize(("words", "says"), [
    (["list", "presett=tiny"], "did you mean preset="),
    (["exprot"], "did you mean export"),
    (["test", "preset=tiny"], "preset of their own"),
    (["test", "pytets"], "there are: check, pytest"),
    (["check", "rufff"], "there are: golden"),
    (["preview", "export"], "preview takes no task"),
    (["preview", "--live", "export"], "preview takes no task"),
    (["preview", "--compare", "tiny"], "--compare takes two models"),
    (["preview", "--compare", "--live", "tiny", "tiny"], "one of --compare and --live"),
    (["watch", "export"], "watch takes no task"),
])  # fmt: skip
def test_wrong_words_end_with_status_2_and_one_line(words: list[str], says: str) -> None:
    done = subprocess.run([*DOIT, *words], cwd=paths.ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_list_shows_one_sentence_a_task() -> None:
    done = subprocess.run([*DOIT, "list"], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=1) for line in done.stdout.strip().splitlines()]
    assert [row[0] for row in rows[:4]] == ["corpus", "wheel", "tokenizer", "shards"]
    assert all(row[1].endswith(".") and len(row[1]) < 100 for row in rows), done.stdout


def test_the_graph_imports_nothing_heavy(tmp_path: Path) -> None:
    """`import dodo` must stay under 0.3 s: no torch, numpy, rich or subprocess-launching import may creep in. msgspec
    comes for values that have not been checked yet, and then no more.
    """
    heavy = "('torch', 'numpy', 'rich', 'fsspec', 'safetensors', 'msgspec')"
    code = f"import sys, dodo; print([m for m in {heavy} if m in sys.modules])"

    def imported() -> str:
        env = {**os.environ, "POCKETLM_BUILD": str(tmp_path)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=paths.ROOT, env=env, capture_output=True, text=True, check=True).stdout

    assert imported().strip() == "['msgspec']"
    assert imported().strip() == "[]"


@pytest.fixture
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of its own for the values that were checked."""
    monkeypatch.setattr(settings, "REMEMBERED", tmp_path / "settings.json")
    return tmp_path / "settings.json"


def test_remembered_values_are_those_of_a_check(remembered: Path) -> None:
    words = {"preset": "tiny", "train.steps": "7"}
    checked = settings.resolve(words, {})
    assert settings.resolve(words, {}) == checked
    assert len(json.loads(remembered.read_text())) == 1
    for broken in ("", "[]", "{", '{"x": 1}', '{"x": [1, 2]}'):
        remembered.write_text(broken)
        assert settings.resolve(words, {}) == checked
    for steps in range(20):
        settings.resolve({"preset": "tiny", "train.steps": str(steps + 1)}, {})
    assert len(json.loads(remembered.read_text())) == settings.CHOICES


def test_what_decides_the_values_is_not_remembered_wrongly(
    remembered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.toml"
    text = (paths.PRESETS / "tiny.toml").read_text()
    mine.write_text(text)
    assert settings.resolve({"preset": str(mine)}, {}).values["train.steps"] == 120
    mine.write_text(text.replace("steps = 120", "steps = 121"))
    assert settings.resolve({"preset": str(mine)}, {}).values["train.steps"] == 121
    before = settings._digest("tiny", {})
    code = tmp_path / "config"
    shutil.copytree(paths.CONFIG, code)
    monkeypatch.setattr(paths, "CONFIG", code)
    assert settings._digest("tiny", {}) == before
    (code / "train.py").write_text((code / "train.py").read_text() + "# a bound is another\n")
    assert settings._digest("tiny", {}) != before


def test_a_wrong_value_is_never_remembered(remembered: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=r"train\.steps=0"):
            settings.resolve({"preset": "tiny", "train.steps": "0"}, {})
    assert not remembered.exists()


def test_every_runtime_value_reaches_its_command() -> None:
    """A field that is in no key and that nobody passes on would silently stay at its default."""
    stages = {stage.name: stage for stage in stages_of(settings.resolve({"preset": "tiny"}, {}))}
    told = {name for stage in stages.values() for name in stage.runtime}
    runtime = {f"{name}.{field}" for name, kind in preset.SECTIONS.items() for field in kind.RUNTIME}
    assert runtime and runtime <= told
    assert {name for name in told if name.startswith("sample.")} == {n for n in preset.names() if n[:7] == "sample."}


@pytest.mark.parametrize("name", ["verify", "run", "store", "partial", "shared", "bin", "tools", "a b"])
def test_a_preset_whose_folder_is_not_free(tmp_path: Path, name: str) -> None:
    preset = tmp_path / f"{name}.toml"
    preset.write_text((paths.ROOT / "training/presets/tiny.toml").read_text())
    with pytest.raises(ValueError, match=f"build/{name}/ is not free for its artifacts; give its file a name"):
        settings.resolve({"preset": str(preset)}, {})


def test_pyarrow_is_asked_for_where_there_is_parquet() -> None:
    for source, names in (("file:a.txt", []), ("file:rows/*.parquet", ["parquet"])):
        chosen = settings.resolve({"preset": "tiny", "data.sources": source}, {})
        (corpus,) = (stage for stage in stages_of(chosen) if stage.name == "corpus")
        assert [setup.name for setup in corpus.needs] == names
        assert [tool.name for tool in corpus.tools] == ["pyarrow"] * len(names)
