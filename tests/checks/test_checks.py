"""Each check of `doit check` against a planted violation, and against the clean state it started from.

A check that cannot fail is a defect: every test first sees that the check holds on a small tree, then breaks one thing.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stages import check, paths, tools
from stages.graph.manage.artifacts import ArtifactsLock


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git repository with one good commit and the project's .gitignore."""
    shutil.copy(paths.ROOT / ".gitignore", tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "build: begin")
    return tmp_path


def git(root: Path, *args: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *args], cwd=root, check=True, capture_output=True)


def commit(root: Path, subject: str) -> None:
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "--allow-empty", "-m", subject)


@pytest.mark.parametrize("name", ["model.bin", "deep/run.pt", "w.safetensors", "m.gguf", "UPPER.BIN", "engine.wasm"])
def test_golden_finds_weights(tree: Path, name: str) -> None:
    assert check.golden(tree) == []
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_bytes(b"x")
    commit(tree, "build: add data")
    assert len(check.golden(tree)) == 1 and name in check.golden(tree)[0]


def test_golden_finds_disguised_weights_and_a_weaker_gitignore(tree: Path) -> None:
    (tree / "notes.txt").write_bytes(b"POCKETLM" + bytes(64))
    commit(tree, "build: add notes")
    assert len(check.golden(tree)) == 1 and "notes.txt" in check.golden(tree)[0]
    (tree / "notes.txt").write_text("words")
    (tree / ".gitignore").write_text((tree / ".gitignore").read_text().replace("*.pt\n", ""))
    assert check.golden(tree) == [".gitignore has no line *.pt"]


@pytest.mark.parametrize(
    "subject",
    [
        "Fix things",
        "feat(engine): add it",
        "feat(inf): Add it",
        "feat: end with a stop.",
        "fix(web):no space",
        "feat(inf): " + "x" * 70,
    ],
)
def test_commits_finds_a_bad_subject(tree: Path, subject: str) -> None:
    commit(tree, "feat(inf): implement RMSNorm shader in WGSL")
    assert check.commits(tree) == []
    commit(tree, subject)
    assert len(check.commits(tree)) == 1


def test_ruff_finds_an_unused_import(tmp_path: Path) -> None:
    shutil.copy(paths.ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "module.py").write_text('"""A module."""\n')
    assert check.ruff(tmp_path) == []
    (tmp_path / "module.py").write_text('"""A module."""\n\nimport os\n')
    assert any("F401" in line for line in check.ruff(tmp_path))


def test_types_finds_a_wrong_type(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.mypy]\nfiles = ["module.py"]\ndisallow_untyped_defs = true\n')
    (tmp_path / "module.py").write_text("def f(x: int) -> int:\n    return x\n")
    assert check.types(tmp_path) == []
    (tmp_path / "module.py").write_text("def f(x: int) -> str:\n    return x\n")
    assert any("Incompatible return value" in line for line in check.types(tmp_path))


@pytest.fixture
def crates(tmp_path: Path) -> Path:
    """The Rust workspace, to plant violations in."""
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(paths.ROOT / name, tmp_path)
    for name in ("rust", "shaders", ".cargo", "tests/vectors"):
        if (paths.ROOT / name).is_dir():
            shutil.copytree(paths.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("target"))
    return tmp_path


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_rustfmt_finds_bad_layout(crates: Path) -> None:
    assert check.rustfmt(crates) == []
    append(crates / "rust/tokenizer/src/lib.rs", "\nfn   badly( ) {  }\n")
    assert check.rustfmt(crates) != []


def test_clippy_finds_a_warning(crates: Path) -> None:
    assert check.clippy(crates) == []
    append(crates / "rust/tokenizer/src/lib.rs", "\n/// Planted.\npub fn planted(x: u32) -> u32 {\n    return x;\n}\n")
    assert any("needless_return" in line for line in check.clippy(crates))


@pytest.mark.parametrize("crate", ["inference", "tokenizer"])
@pytest.mark.parametrize(
    "violation",
    [
        'extern crate std;\n/// Planted.\npub fn planted() { let _ = std::fs::read("x"); }\n',
        "/// Planted.\npub fn planted() { let _ = std::thread::spawn(|| ()); }\n",
    ],
)
def test_wall_finds_std(crates: Path, crate: str, violation: str) -> None:
    assert check.wall(crates) == []
    append(crates / f"rust/{crate}/src/lib.rs", "\n" + violation)
    problems = check.wall(crates)
    assert any("std" in line for line in problems), problems


def test_wall_finds_what_does_not_compile_for_aarch64(crates: Path) -> None:
    sysroot = tools.output_of("rustc", "--print", "sysroot")
    if sysroot is None or not (Path(sysroot) / "lib/rustlib" / check.AARCH64 / "lib").is_dir():
        pytest.skip(f"Rust has no library for {check.AARCH64}")
    append(crates / "rust/inference/src/cpu/neon.rs", "\nconst PLANTED: u8 = 256;\n")
    assert any("256" in line for line in check.wall(crates))


def test_tsc_finds_a_wrong_type(tmp_path: Path) -> None:
    copy_web(tmp_path)
    assert check.tsc(tmp_path) == []
    (tmp_path / "web/src/planted.ts").write_text('export const planted: number = "text";\n')
    assert any("planted.ts" in line for line in check.tsc(tmp_path))


def test_biome_finds_bad_code(tmp_path: Path) -> None:
    copy_web(tmp_path)
    assert check.biome(tmp_path) == []
    (tmp_path / "web/src/planted.ts").write_text("export function planted(x: any) { var y = x; return y == 1 }\n")
    assert any("planted.ts" in line for line in check.biome(tmp_path))


def test_a_check_leaves_the_page_that_is_tested_meanwhile() -> None:
    with check.web_copy(paths.ROOT) as tested:
        with check.web_copy(paths.ROOT) as checked:
            assert (checked / "package.json").read_bytes() == (tested / "package.json").read_bytes()
        assert not checked.exists()
        assert (tested.parent / "tests" / "e2e" / "playwright.config.ts").is_file()
        assert (tested / "node_modules").is_symlink()
    assert not tested.parent.exists()
    assert paths.NODE_MODULES.is_dir()  # behind the link


def copy_web(root: Path) -> None:
    shutil.copytree(paths.WEB, root / "web", ignore=shutil.ignore_patterns("node_modules", "dist"))
    for name in ("e2e", "vectors"):
        shutil.copytree(paths.ROOT / "tests" / name, root / "tests" / name)


def test_locks_finds_a_host_a_missing_hash_and_a_stale_pin(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "Cargo.toml"):
        shutil.copy(paths.ROOT / name, tmp_path)
    shutil.copytree(paths.LOCKS, tmp_path / "locks")
    (tmp_path / "web").mkdir()
    shutil.copy(paths.WEB / "package-lock.json", tmp_path / "web")
    assert check.locks(tmp_path) == []
    manifest = (tmp_path / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(manifest.replace("doit==0.37.0", "doit==0.36.0"))
    assert check.locks(tmp_path) == ["locks/test.txt does not pin doit==0.36.0 of pyproject.toml"]
    (tmp_path / "pyproject.toml").write_text(manifest)
    append(tmp_path / "locks/base.txt", "--find-links https://example.invalid/simple\nplanted==1.0\n")
    assert len(check.locks(tmp_path)) == 2


def test_committed_lock_is_as_the_command_writes_it(tmp_path: Path) -> None:
    """artifacts.lock after a merge by hand: readable, and in the one order that keeps its diffs small."""
    shutil.copy(paths.ROOT / "artifacts.lock", tmp_path)
    assert not ArtifactsLock(str(tmp_path)).save()


def test_workflows_finds_a_misspelt_key(tmp_path: Path) -> None:
    assert check.workflows(tmp_path) == ["there are no workflows in .github/workflows"]
    shutil.copytree(paths.ROOT / ".github", tmp_path / ".github")
    assert check.workflows(tmp_path) == []
    workflow = tmp_path / ".github" / "workflows" / "ci.yml"
    workflow.write_text(workflow.read_text().replace("runs-on:", "run-on:"))
    assert any("ci.yml" in line for line in check.workflows(tmp_path))


def test_every_check_gets_its_line_and_failures_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def sound(_: Path) -> list[str]:
        """All is well."""
        return []

    def broken(_: Path) -> list[str]:
        """All is not."""
        return [f"wrong {number}" for number in range(70)]

    table = {"rusty": (broken, (tools.CARGO,)), "plain": (sound, ()), "other": (broken, ())}
    monkeypatch.setattr(check, "CHECKS", table)
    assert check.run_checks([]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[:2] for line in lines if "All is" in line) == [
        ["FAIL", "other"],
        ["FAIL", "rusty"],
        ["ok", "plain"],
    ]
    begin = next(number for number, line in enumerate(lines) if "rusty" in line)
    assert lines[begin + 1 : begin + 62] == [*(f"      wrong {n}" for n in range(60)), "      … and 10 lines more"]
    assert check.run_checks(["plain"]) == 0
