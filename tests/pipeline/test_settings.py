"""Words of the command line: presets, profiles, single values, and what a mistake says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stages import paths, settings

DOIT = [str(paths.VENV / "bin" / "python"), "-P", str(paths.VENV / "bin" / "doit")]


def test_words_win_over_the_environment() -> None:
    environ = {"POCKETLM_PRESET": "shakespeare", "POCKETLM_PROFILE": "repro"}
    assert settings.resolve({}, environ).preset == "shakespeare"
    chosen = settings.resolve({"preset": "tiny", "profile": "fast", "train.steps": "7"}, environ)
    assert (chosen.preset, chosen.profile, chosen.config.train.steps) == ("tiny", "fast", 7)


def test_a_section_holds_exactly_what_was_asked_for() -> None:
    chosen = settings.resolve({"preset": "tiny"}, {})
    assert set(chosen.section("tokenizer.vocab_size")) == {"tokenizer.vocab_size"}
    assert all(name.startswith("model.") for name in chosen.section("model"))


@pytest.mark.parametrize(("words", "says"), [
    ({"presett": "tiny"}, "did you mean preset="),
    ({"train.step": "5"}, "did you mean train.steps="),
    ({"preset": "tini"}, "tiny"),
    ({"profile": "slow"}, "fast and repro"),
    ({"train.steps": "many"}, "train.steps"),
    ({"model.n_head": "4"}, "n_kv_head"),
])  # fmt: skip
def test_a_mistake_names_the_nearest(words: dict[str, str], says: str) -> None:
    words = {"preset": "tiny", **words}
    with pytest.raises(ValueError, match=says):
        settings.resolve(words, {})


def test_own_sources_do_not_look_for_the_documents_that_the_preset_holds_out() -> None:
    own = {"preset": "shakespeare", "data.sources": '["file:my.txt"]'}
    assert settings.resolve(own, {}).config.data.val_documents == ()
    assert settings.resolve({**own, "data.val_documents": "mine*"}, {}).config.data.val_documents == ("mine*",)
    assert settings.resolve({"preset": "shakespeare"}, {}).config.data.val_documents != ()


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


def test_the_graph_imports_nothing_heavy() -> None:
    """`import dodo` must stay under 0.3 s: no torch, numpy, rich or subprocess-launching import may creep in."""
    code = (
        "import sys, dodo; print([m for m in ('torch', 'numpy', 'rich', 'fsspec', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["verify", "run", "store", "partial", "shared", "bin", "tools", "a b"])
def test_a_preset_whose_folder_is_not_free(tmp_path: Path, name: str) -> None:
    preset = tmp_path / f"{name}.toml"
    preset.write_text((paths.ROOT / "training/presets/tiny.toml").read_text())
    with pytest.raises(ValueError, match=f"build/{name}/ is not free for its artifacts; give its file a name"):
        settings.resolve({"preset": str(preset)}, {})
