"""A Debian system with next to nothing on it, in a folder: what the README asks for, and no more.

In: this machine's package sources and registry settings, its Node and its Rust toolchain (Debian 12 has neither in the
versions needed). Out: a folder in which commands are run by chroot, with a home of its own.

Needs root. Mounts are made in a mount namespace of each command and end with it, however it ends; the folder, some
15 GB after a build, goes at the end, or when the next root is made if its maker was killed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages import paths

# What README.md's requirements come to on Debian, beside Node and Rust. Git is what one clones with.
PACKAGES = ("ca-certificates", "git", "python3", "python3-venv")
HOME = "/home/someone"
CHECKOUT = f"{HOME}/pocketlm"
SPACE_GB = 20.0
PREFIX = "pocketlm-bare-root-"

# Where the clients of registries keep their settings; the files that hold passwords are not among them.
SETTINGS = ("/etc/pip.conf", "/etc/npmrc", "/etc/gitconfig", "/etc/hosts", "/etc/resolv.conf")
SETTINGS_AT_HOME = (".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml", ".npmrc", ".cargo/config.toml")
APT = ("/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/keyrings", "/etc/apt/trusted.gpg.d")
CERTIFICATES = ("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")
PASSED = re.compile(
    r"(PIP|UV|CARGO_(REGISTR|SOURCE|HTTP|NET)|RUSTUP_(DIST|UPDATE|AUTO)|NPM_CONFIG|NODE_EXTRA)_?.*|.*_PROXY|"
    r".*(SSL_CERT|CA_BUNDLE|CA_CERT|CAINFO|PIP_CERT).*",
    re.IGNORECASE,
)


def missing() -> str | None:
    """Why no root can be made here, and what would mend it; None where one can."""
    if sys.platform != "linux":
        return "a bare Debian root is made on Linux alone"
    if os.geteuid() != 0:
        return "making a bare Debian root takes root: run this test with sudo"
    programs = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "setpriv": "util-linux", "chroot": "coreutils"}
    absent = {package for program, package in programs.items() if shutil.which(program) is None}
    if absent:
        return f"making a bare Debian root takes {', '.join(absent)}: apt-get install {' '.join(absent)}"
    if not Path("/etc/apt/sources.list.d/debian.sources").is_file():
        return "there is no /etc/apt/sources.list.d/debian.sources here to take Debian's packages from"
    for program in ("node", "npm", "rustc"):
        if shutil.which(program) is None:
            return f"the bare root takes its {program} from this machine, which has none on PATH"
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < SPACE_GB:
        return f"{tempfile.gettempdir()} has {free:.0f} GB free, a bare root and a build in it take {SPACE_GB:.0f}"
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
    return f"no namespaces to be had: {done.stderr.strip()}" if done.returncode != 0 else None


def _sweep() -> None:
    """Remove what killed runs left: folders whose lock nobody holds."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*.lock"):
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)


class BareRoot:
    """A root folder and the environment that a person would have in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}
        self.env.update(
            HOME=HOME,
            USER="root",
            PATH=f"{HOME}/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            TERM="dumb",
        )

    def inside(self, path: str | Path) -> Path:
        """Where a path of the root lies on this machine."""
        return self.folder / str(path).lstrip("/")

    def install(self) -> None:
        """Debian's smallest set of packages, `PACKAGES`, the settings, Node and Rust. Half a minute."""
        words = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        words += ["", str(self.folder), "/etc/apt/sources.list.d/debian.sources"]
        env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, env=env)
        for name in (*SETTINGS, *APT, *CERTIFICATES):
            self.bring(Path(name), name)
        for name in SETTINGS_AT_HOME:
            self.bring(Path.home() / name, f"{HOME}/{name}")
        self._bring_node()
        self._bring_rust()

    def bring(self, source: Path, to: str) -> None:
        """Copy a file or folder of this machine into the root, where this machine has it."""
        target = self.inside(to)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def _bring_node(self) -> None:
        self.bring(Path(_real("node")), "/usr/local/bin/node")
        npm = Path(_real("npm")).parent.parent  # .../npm/bin/npm-cli.js
        self.bring(npm, "/usr/local/lib/node_modules/npm")
        for name in ("npm", "npx"):
            self.inside(f"/usr/local/bin/{name}").symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")

    def _bring_rust(self) -> None:
        """The toolchain in use, under rustup where there is rustup; cargo's programs, none of its downloads."""
        sysroot = Path(
            subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
        )
        toolchain = f"{HOME}/.rustup/toolchains/{sysroot.name}"
        for part in sysroot.resolve().iterdir():
            if part.name != "share":  # 0.7 GB of manuals
                self.bring(part, f"{toolchain}/{part.name}")
        programs = self.inside(f"{HOME}/.cargo/bin")
        programs.mkdir(parents=True)
        if shutil.which("rustup") is None:
            for program in (self.inside(toolchain) / "bin").iterdir():
                (programs / program.name).symlink_to(f"{toolchain}/bin/{program.name}")
            return
        shutil.copy(_real("rustup"), programs / "rustup")
        for name in ("cargo", "cargo-clippy", "cargo-fmt", "clippy-driver", "rustc", "rustdoc", "rustfmt"):
            (programs / name).symlink_to("rustup")
        settings = f'version = "12"\ndefault_toolchain = "{sysroot.name}"\n'
        self.inside(f"{HOME}/.rustup/settings.toml").write_text(settings)

    def clone(self, checkout: Path) -> None:
        """The last commit of a checkout, as `git clone` gives it."""
        words = ["git", "clone", "--quiet", "--no-hardlinks", str(checkout), str(self.inside(CHECKOUT))]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)

    def type(self, command: str, log: Path) -> int:
        """Run one line in the checkout as root of the bare system; its output goes to `log`. Returns its status."""
        mounts = " && ".join(
            (
                "mount --make-rprivate /",
                'mount -t proc proc "$1/proc"',
                'mount --rbind /dev "$1/dev"',
                'mount -t tmpfs tmpfs "$1/dev/shm"',  # Chromium's shared memory
                'mount --rbind /sys "$1/sys"',
                'exec chroot "$1" /bin/sh -c "cd $2 && $3"',
            )
        )
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        words += ["sh", "-c", mounts, "sh", str(self.folder), CHECKOUT, command]
        with log.open("wb") as file:
            return subprocess.run(
                words, env=self.env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            ).returncode


def _real(program: str) -> str:
    found = shutil.which(program)
    assert found is not None  # missing() asked
    return os.path.realpath(found)


@contextmanager
def bare_root() -> Iterator[BareRoot]:
    """A root with a clone of this checkout's last commit; removed at the end. Raises where it cannot be made."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o755)
    lock = Path(f"{folder}.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            root = BareRoot(folder)
            root.install()
            root.clone(paths.ROOT)
            yield root
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
