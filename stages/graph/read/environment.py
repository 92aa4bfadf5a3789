"""The environment of a command: what the stage declares, constants that make runs alike, and what says where things
are.

In: os.environ and a stage's `env` and `set_env`. Out: the child's whole environment. No other variable reaches a
command, so no result can depend on one unnoticed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

ALWAYS = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    # 1980-01-01, the first day that a zip file can name; the time of the commit would make everything stale
    "SOURCE_DATE_EPOCH": "315532800",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",  # .pyc files are matched by whole seconds: a quick edit could run old bytecode
    "PYTHONUNBUFFERED": "1",
}

# Where programs, devices, homes, proxies, certificates and registries are. Versions and lock files pin what is found
# there.
PASSED = (
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TERM|COLORTERM|COLUMNS|LINES|NO_COLOR|XDG_\w+"
    r"|LD_LIBRARY_PATH|DYLD_\w+|SDKROOT|DEVELOPER_DIR|CUDA_VISIBLE_DEVICES|HIP_VISIBLE_DEVICES"
    r"|(?:https?|ftp|all|no)_proxy|(?:HTTPS?|FTP|ALL|NO)_PROXY"
    r"|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS"
    r"|PIP_\w+|UV_\w+|(?i:npm_config)_\w+"
    r"|CARGO_HOME|CARGO_(?:REGISTRIES|REGISTRY|SOURCE|HTTP|NET)_\w+|CARGO_BUILD_JOBS|RUSTUP_\w+"
)


def child_environment(
    env: Sequence[str], set_env: Mapping[str, str], path: Sequence[str], pythonpath: Sequence[str] = ()
) -> dict[str, str]:
    """The environment of one command. `path` goes before PATH; `set_env` overrides the rest."""
    passed = {name: value for name, value in os.environ.items() if re.fullmatch(PASSED, name)}
    passed["PATH"] = os.pathsep.join([*path, passed.get("PATH", os.defpath)])
    return {**passed, **declared([name for name in env if name != "PATH"], set_env, pythonpath)}


def declared(env: Sequence[str], set_env: Mapping[str, str], pythonpath: Sequence[str] = ()) -> dict[str, str]:
    """The part of it that is the same on every machine."""
    found = {name: os.environ[name] for name in env if name in os.environ}
    found.update(ALWAYS)
    if pythonpath:
        found["PYTHONPATH"] = os.pathsep.join(pythonpath)
    return {**found, **set_env}
