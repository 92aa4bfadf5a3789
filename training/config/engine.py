"""Of [data]: what counts words and writes shards. It decides no result, so it is in no key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from training.config.section import Section, build, check


class Engine(Section, frozen=True, kw_only=True):
    """What counts words and writes shards."""

    NAME: ClassVar[str] = "data"
    RUNTIME: ClassVar[frozenset[str]] = frozenset({"engine", "ray_address"})

    engine: Literal["local", "ray"] = "local"  # "ray": Ray Data, on many machines (not for chats): the same bytes
    ray_address: str = ""  # HOST:PORT of a Ray cluster that is there; "": one of this machine alone, while it is needed

    def __post_init__(self) -> None:
        host, _, port = self.ray_address.rpartition(":")
        check(
            not self.ray_address or (bool(host) and "/" not in host and port.isdecimal() and int(port) < 1 << 16),
            f"data.ray_address={self.ray_address!r} is not HOST:PORT, such as 10.0.0.1:6379, nor empty",
        )


def engine_of(params: Mapping[str, Any]) -> Engine:
    """That of a parameter file (training/command.py), which may hold the rest of [data] too.

    Raises ValueError for a value that is none.
    """
    return build(Engine, params["runtime"].get(Engine.NAME, {}))
