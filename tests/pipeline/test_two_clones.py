"""Two checkouts at different paths, with homes, umasks, time zones and cargo homes of their own, make the same bytes.

Their tools are those of this checkout; all else is built from nothing, by real compilers and real training.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages import paths

pytestmark = pytest.mark.slow

UNLIKE = ("timings.json", "web/timings.json")  # figures of time: outputs that stages declare as `volatile`
OF_THE_WEIGHTS = ("model.bin", "provenance.json", "training.json", "samples.json")  # in the web bundle


class Clone:
    """One checkout and the environment in which it builds."""

    def __init__(self, root: Path, env: dict[str, str], umask: int) -> None:
        self.root, self.env, self.umask = root, env, umask

    def build(self, profile: str) -> None:
        """doit web, on one's own build folder."""
        python = self.root / ".venv" / "bin" / "python"
        words = [python, "-P", self.root / ".venv" / "bin" / "doit", "web", "preset=tiny", f"profile={profile}"]
        done = subprocess.run(words, cwd=self.root, env=self.env, umask=self.umask, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]

    def results(self) -> dict[str, Path]:
        """The linked result of each stage."""
        links = [*(self.root / "build").glob("*/.current/*")]
        return {link.name: link.resolve() for link in links}

    def digests(self, *but: str) -> dict[str, str]:
        """stage/file -> SHA-256 of every file that a stage compares, but those of the stages `but`."""
        found = {}
        for stage, result in self.results().items():
            if stage in but:
                continue
            for file in sorted(result.rglob("*")):
                name = str(file.relative_to(result))
                if file.is_file() and name not in ("receipt.json", "log.txt", *UNLIKE) and "__pycache__" not in name:
                    found[f"{stage}/{name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found


def linked_folder(folder: Path, of: Path) -> Path:
    """A folder that holds links to what another holds: the same content under a path of its own."""
    folder.mkdir(parents=True)
    for entry in of.iterdir():
        (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clone, Clone]]:
    """Two copies of the tracked files as they are now, both built in the repro profile."""
    base = tmp_path_factory.mktemp("clones")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=paths.ROOT, check=True, capture_output=True, text=True)
    real_home = Path.home()
    cargo_home = Path(os.environ.get("CARGO_HOME", real_home / ".cargo"))
    shared = {name: value for name, value in os.environ.items() if name not in ("CARGO_HOME", "POCKETLM_STORE")}
    shared = {name: value for name, value in shared.items() if not name.startswith(("POCKETLM_", "OMP_", "MKL_"))}
    shared.setdefault("RUSTUP_HOME", str(real_home / ".rustup"))
    made = []
    for name, own in (
        ("a", {"CARGO_HOME": str(linked_folder(base / "cargo", cargo_home)), "TZ": "Asia/Tokyo", "LANG": "C"}),
        ("b/much/deeper/and/longer", {"TZ": "America/Lima", "LANG": "de_DE.UTF-8"}),
    ):
        root, home = base / name / "checkout", base / name / "home"
        for file in listed.stdout.split("\0")[:-1]:
            if (paths.ROOT / file).is_file():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(paths.ROOT / file, root / file)
        (root / ".venv").symlink_to(paths.VENV)
        (root / "build").mkdir()
        (root / "build" / "tools").symlink_to(paths.TOOLS)
        linked_folder(home / ".cargo", cargo_home)
        env = {**shared, "HOME": str(home), "PYTHONPATH": str(root), **own}
        made.append(Clone(root, env, 0o077 if name == "a" else 0o022))
    for clone in made:
        clone.build("repro")
        argv = json.loads((clone.results()["train"] / "receipt.json").read_text())["run"]["argv"]
        assert str(clone.root) in " ".join(argv)  # this checkout was built, not the one that `stages` is installed from
    yield made[0], made[1]
    shutil.rmtree(base, ignore_errors=True)


def assert_equal(one: dict[str, str], two: dict[str, str]) -> None:
    differing = [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]
    assert differing == [], f"{len(differing)} of {len({*one, *two})} files differ"


def test_repro_is_bit_identical(clones: tuple[Clone, Clone]) -> None:
    """tokenizer.json, shards, weights, model.bin, wheel, wasm, page and the bundle: every compared file."""
    one, two = (clone.digests() for clone in clones)
    stages = {name.partition("/")[0] for name in one}
    assert stages >= {"corpus", "tokenizer", "shards", "train", "export", "wheel", "wasm", "page", "web"}
    names = ("tokenizer/tokenizer.json", "export/model.bin", "wasm/pkg/pocketlm_bg.wasm", "web/web/index.html")
    assert [name for name in names if name not in one] == []
    assert_equal(one, two)


def test_keys_name_no_path(clones: tuple[Clone, Clone]) -> None:
    """The key of each stage is the same too: what one checkout made, another takes from a shared store."""
    one, two = ({stage: result.name for stage, result in clone.results().items()} for clone in clones)
    assert_equal(one, two)


def test_fast_is_bit_identical_but_for_the_weights(clones: tuple[Clone, Clone]) -> None:
    """Last: it moves the links to another profile."""
    for clone in clones:
        clone.build("fast")
    one, two = (
        {
            name: digest
            for name, digest in clone.digests("train", "report", "export", "provenance").items()
            if not (name.startswith("web/") and name.endswith(OF_THE_WEIGHTS))
        }
        for clone in clones
    )
    assert len([name for name in one if name.startswith("web/")]) > 3
    assert_equal(one, two)
