"""Other machines to test against, all of them this one: a real sshd on loopback, with keys and settings of its own; a
real Slurm; a real Ray cluster; and a program in the place of ssh, for machines without sshd.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
SLURM = all(map(shutil.which, ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel"))) and os.geteuid() == 0
NO_SLURM = "needs Slurm and root, who alone starts jobs (Debian: apt-get install slurm-wlm munge)"
RAY = shutil.which("ray")
NO_RAY = "needs Ray (`pip install 'ray[default]'`, into any environment whose bin/ is on the PATH)"
NO_SSHD = "sshd is not installed (Debian: apt-get install openssh-server); the same is tested without it"

# Behaves as ssh does where it has to: the last word is a line for the shell there; when it is killed, the program there
# sees its input end.
PIPE = """
import os, sys
if os.path.exists({cut!r}):
    print("ssh: connect to host loop: Connection refused", file=sys.stderr)
    sys.exit(255)
open({pids!r} + str(os.getpid()), "w").close()
os.execvp("/bin/sh", ["/bin/sh", "-c", sys.argv[-1]])
"""


class Other(Protocol):
    """Another machine."""

    base: Path  # the folder there
    on: str  # what messages call it
    kind: str

    def table(self, **options: Any) -> dict[str, Any]:
        """The table of a stage that runs there."""

    def cut(self) -> None:
        """Break every connection, and let no new one be made."""

    def mend(self) -> None:
        """Let connections be made again."""


class Pipe:
    """No ssh: the program there is started by a shell."""

    kind = "ssh"

    def __init__(self, folder: Path) -> None:
        self.base = folder / "there"
        self.on = f"ssh://loop{self.base}"
        self._cut, self._pids, self._ssh = folder / "cut", folder / "pids", folder / "ssh.py"
        self._pids.mkdir()
        self._ssh.write_text(PIPE.format(cut=str(self._cut), pids=f"{self._pids}/"))

    def table(self, **options: Any) -> dict[str, Any]:
        return {"on": self.on, "ssh": [sys.executable, str(self._ssh)], "python": sys.executable, **options}

    def cut(self) -> None:
        self._cut.touch()
        for pid in self._pids.iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pid.name), signal.SIGKILL)
            pid.unlink()

    def mend(self) -> None:
        self._cut.unlink()


class Queue(Pipe):
    """A partition of a Slurm, whose machines see the folder of a host that is reached as above."""

    kind = "slurm"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.on = "slurm:cpu"

    def table(self, **options: Any) -> dict[str, Any]:
        return {**super().table(), "path": f"ssh://loop{self.base}", **options}


class Cluster(Pipe):
    """A Ray cluster, whose machines see the folder of a host that is reached as above."""

    kind = "ray"

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder)
        self.on = f"ray://127.0.0.1:{port}"

    def table(self, **options: Any) -> dict[str, Any]:
        return {**super().table(), "path": f"ssh://loop{self.base}", **options}


class Sshd:
    """A real one, on a free port of loopback."""

    kind = "ssh"

    def __init__(self, folder: Path) -> None:
        self.base, self._folder = folder / "there", folder
        self.on = f"ssh://loop{self.base}"
        self.port = free_port()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nLogLevel ERROR\n"
        )
        (folder / "ssh_config").write_text(
            f"Host loop\nHostName 127.0.0.1\nPort {self.port}\nUser {getpass.getuser()}\nIdentityFile {folder}/user\n"
            f"IdentitiesOnly yes\nUserKnownHostsFile {folder}/known\nStrictHostKeyChecking no\nLogLevel ERROR\n"
        )
        self._daemon: subprocess.Popen[bytes] | None = None
        self.mend()

    def table(self, **options: Any) -> dict[str, Any]:
        ssh = f"ssh -F {shlex.quote(str(self._folder / 'ssh_config'))}"
        return {"on": self.on, "ssh": ssh, "python": sys.executable, **options}

    def mend(self) -> None:
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # where it insists on a folder that nobody else can write
        log = (self._folder / "sshd.log").open("ab")
        argv = [str(SSHD), "-D", "-e", "-f", self._folder / "sshd_config"]
        self._daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._daemon.poll() is None, (self._folder / "sshd.log").read_text()
            time.sleep(0.02)
        raise AssertionError("sshd does not answer")

    def cut(self) -> None:
        assert self._daemon is not None
        for pid in _below(self._daemon.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._daemon.kill()
        self._daemon.wait()
        self._daemon = None

    def close(self) -> None:
        if self._daemon is not None:
            self.cut()


def _below(pid: int) -> list[int]:
    """The sessions of a daemon: its children, and theirs that serve one person (privileges are given up in a child)."""
    found, waiting = [], [pid]
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    while waiting:
        parent = waiting.pop()
        below = [int(row[0]) for row in rows if row[1] == str(parent) and row[2].startswith("sshd")]
        found += below
        waiting += below
    return found


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """One that ends with the test."""
    server = Sshd(folder)
    try:
        yield server
    finally:
        server.close()


SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """A Slurm of one machine, this one; yields its slurm.conf, which the variable SLURM_CONF has to name."""
    conf, key, host = folder / "slurm.conf", folder / "munge.key", socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    values = {"host": host, "controller": free_port(), "node": free_port(), "folder": folder, "cpus": os.cpu_count()}
    conf.write_text(SLURM_CONF.format(**values))
    munge = [
        f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("socket", "pid-file", "log-file", "seed-file")
    ]
    daemons = [
        ["munged", "--foreground", "--force", f"--key-file={key}", *munge],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-f", str(conf)],
    ]
    running = []
    try:
        for argv in daemons:
            log = (folder / f"{argv[0]}.out").open("wb")
            running.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            log.close()
            time.sleep(1)  # each wants the one before it; slurmd asks again
        env = {**os.environ, "SLURM_CONF": str(conf)}
        for _ in range(300):
            said = subprocess.run(["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True).stdout.strip()
            if said == "idle":
                break
            time.sleep(0.2)
        else:
            raise AssertionError("".join((folder / f"{argv[0]}.out").read_text() for argv in daemons))
        yield conf
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()


@contextlib.contextmanager
def ray(folder: Path, token: str) -> Iterator[int]:
    """A Ray cluster of one machine, this one, that answers only who has the token; yields its dashboard's port."""
    port, gcs = free_port(), free_port()
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
    env["RAY_raylet_start_wait_time_s"] = "300"  # 30 on its own: too little beside other work
    where = [f"--port={gcs}", f"--dashboard-port={port}", f"--temp-dir={folder}", "--node-ip-address=127.0.0.1"]
    sizes = ["--num-cpus=4", "--object-store-memory=100000000"]
    with (folder / "ray.out").open("wb") as log:
        argv = [str(RAY), "start", "--head", "--block", "--dashboard-host=127.0.0.1", *where, *sizes]
        head = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        ask = urllib.request.Request(f"http://127.0.0.1:{port}/api/jobs/", b'{"entrypoint": "true"}', headers)
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(ask, timeout=60):
                break
            assert head.poll() is None, (folder / "ray.out").read_text()
            time.sleep(0.2)
        else:
            raise AssertionError((folder / "ray.out").read_text())
        yield port
    finally:
        head.terminate()
        head.wait()


def free_port() -> int:
    """A port that nobody has on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
