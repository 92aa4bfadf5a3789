"""Queues that start a command's runner in their own time: Slurm by its programs, Ray by the HTTP interface of its job
server (https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html). A folder's `job.sh` in; a
job's name out: Slurm's number, or the address of Ray's job.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import subprocess
import urllib.error
import urllib.request
from typing import Any

from .talk import Refused

ANSWER_S = 60.0
NOT_ENDED = ("PENDING", "RUNNING")
TROUBLE = (OSError, ValueError, KeyError, http.client.HTTPException)  # no server, or none of Ray's


def wanted(spec: dict[str, Any]) -> bool:
    """Whether a command is for a queue."""
    return bool(spec["slurm"] or spec["ray"])


def submit(folder: str, spec: dict[str, Any]) -> str:
    """Hand job.sh over; returns the job's name."""
    if spec["ray"]:
        jobs = f"{spec['ray']['address']}/api/jobs/"
        entrypoint = f"exec /bin/sh {shlex.quote(folder)}/job.sh 2>>{shlex.quote(folder)}/trouble"
        try:
            return jobs + str(_ask(jobs, {**spec["ray"]["job"], "entrypoint": entrypoint})["submission_id"])
        except TROUBLE as error:
            raise Refused(f"{jobs} took no job: {_said(error)}") from error
    slurm = spec["slurm"]
    words = ["sbatch", "--parsable", f"--output={folder}/trouble", "--open-mode=append", f"--chdir={folder}", *slurm]
    done = subprocess.run([*words, f"{folder}/job.sh"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"`{' '.join(words[:1] + slurm)}` ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip().partition(";")[0]


def holds(job: str) -> bool:
    """Whether it waits or runs. A server that does not answer says so another time."""
    if _is_ray(job):
        try:
            return _ask(job)["status"] in NOT_ENDED
        except urllib.error.HTTPError as error:
            return error.code != 404
        except TROUBLE:
            return True
    done = _squeue(job)
    return bool(done.stdout.strip()) if done.returncode == 0 else "Invalid job id" not in done.stderr


def end(job: str, hurry: bool) -> None:
    """Ask a job to end; hurry: it gets no more time. A job of Ray that runs sees the file `stopped` itself."""
    if _is_ray(job):
        try:
            if hurry or _ask(job)["status"] != "RUNNING":
                _ask(f"{job}/stop", {})
        except TROUBLE:
            pass  # gone, or it is asked once more
        return
    gently = ["--batch", "--signal=TERM"] if _squeue(job).stdout.strip() == "RUNNING" and not hurry else []
    subprocess.run(["scancel", *gently, job], capture_output=True)


def _squeue(job: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True)


def _is_ray(job: str) -> bool:
    return job.startswith("http")


def _ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A request to Ray's job server. Raises TROUBLE."""
    headers = {"Content-Type": "application/json"}
    if token := _token():
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=ANSWER_S) as response:
        found: dict[str, Any] = json.load(response)
        return found


def _token() -> str:
    """Where Ray's own client looks for it."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token.strip()
    try:
        path = os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.expanduser("~/.ray/auth_token")
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _said(error: Exception) -> str:
    """What a server said, on one line."""
    if isinstance(error, urllib.error.HTTPError):
        text = error.read().decode("utf-8", "replace").strip().splitlines()
        return f"{error}: {text[-1]}" if text else str(error)
    return f"no {error} in its answer" if isinstance(error, KeyError) else str(error)
