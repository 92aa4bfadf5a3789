"""The plan: stages in; checked, in order, out. Pure data: no file is read."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from .names import OWN_FOLDERS, RECEIPT, within
from .stage import NO_PARTS, Setup, Stage


class Plan:
    """A checked set of stages over one project (`root`) and one build folder (`build`)."""

    def __init__(
        self,
        stages: Sequence[Stage],
        setups: Sequence[Setup] = (),
        *,
        root: os.PathLike[str] | str,
        build: os.PathLike[str] | str,
        path: Sequence[str] = (),
    ) -> None:
        """`path`: folders before PATH for commands and tools.

        Raises ValueError for stages or inputs that do not fit together.
        """
        self.root = os.path.abspath(root)
        self.build = os.path.abspath(build)
        self.path = tuple(path)
        self.stages: dict[str, Stage] = {}
        self.setups: dict[str, Setup] = {setup.name: setup for setup in setups}
        for stage in stages:
            if stage.name in self.stages:
                raise ValueError(f"two stages are called {stage.name}")
            self.stages[stage.name] = stage
            for setup in stage.needs:
                self.setups.setdefault(setup.name, setup)
        for stage in stages:
            for name, output in stage.inputs.items():
                source = self.stages.get(output.stage)
                if source is not None and output.path in _usable(source, stage):
                    continue
                what = f"input {name} is {output.path or 'all'} of {output.stage}"
                kinds = ["no such stage"] if source is None else [f"makes {source.compared}"]
                if source is not None and source.volatile:
                    only = "" if stage.volatile else ", but of stages with volatile outputs"
                    kinds.append(f"{list(source.volatile)} differ from run to run and are no input{only}")
                raise ValueError(f"stage {stage.name}: {what}: {'; '.join(kinds)}")
        _check_places(self.stages.values())
        self.order = _in_order(self.stages)

    def needed(self, names: Collection[str]) -> set[str]:
        """The named stages and all that they are made from."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [output.stage for output in self.stages[name].inputs.values()]
        return found

    def behind(self, name: str) -> set[str]:
        """A stage and all that is made from it."""
        found = {name}
        for each in self.order:
            if any(output.stage in found for output in self.stages[each].inputs.values()):
                found.add(each)
        return found

    def in_no_key(self, stage: Stage) -> set[str]:
        """The names of a stage's inputs that are volatile outputs: no compared output may depend on them."""
        return {name for name, output in stage.inputs.items() if output.path in self.stages[output.stage].volatile}

    def chain(self, names: Collection[str]) -> list[str]:
        """`needed` in graph order; every stage if none is named."""
        wanted = self.needed(names) if names else self.stages
        return [name for name in self.order if name in wanted]


def _usable(source: Stage, stage: Stage) -> list[str]:
    """What `stage` may name of a stage as an input. A folder with a volatile file in it is none: the key would not
    cover all of it.
    """
    whole = [name for name in source.compared if not within(name, source.outputs)]
    together = [""] if whole and len(whole) == len(source.compared) else []
    return [*whole, RECEIPT, *together, *(source.volatile if stage.volatile else ())]


def _check_places(stages: Iterable[Stage]) -> None:
    """Raises ValueError where two stages make one link, or a link or scope collides with the engine's own folders."""
    makers: dict[str, str] = {}
    fits = re.compile(r"[A-Za-z0-9_][\w.-]*").fullmatch
    for stage in stages:
        if stage.scope in OWN_FOLDERS or not fits(stage.scope):
            raise ValueError(
                f"stage {stage.name}: its links cannot live in build/{stage.scope}/; a scope is one plain name, and "
                f"none of {', '.join(OWN_FOLDERS)}, which hold the engine's own files"
            )
        for name in stage.links:
            parts = name.rstrip("/").split("/")
            if not NO_PARTS.isdisjoint(parts) or parts[0] == ".current":
                raise ValueError(f"stage {stage.name}: link {name!r} is not a plain relative name")
            place = f"{stage.scope}/{'/'.join(parts)}"
            other = makers.setdefault(place, stage.name)
            if other != stage.name:
                raise ValueError(
                    f"stages {other} and {stage.name} both make the link build/{place}; rename one of them"
                )
    for place, name in makers.items():
        folder = place
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if folder in makers:
                raise ValueError(
                    f"stage {name} makes the link build/{place}, below build/{folder}, a link of {makers[folder]}"
                )


def _in_order(stages: Mapping[str, Stage]) -> list[str]:
    """The names with each stage after its inputs, otherwise as given. Raises ValueError for a cycle."""
    order: dict[str, None] = {}
    for start in stages:
        path = {start: iter(stages[start].inputs.values())}  # the stages being visited; no recursion: chains are long
        while path:
            name = next(reversed(path))
            for output in path[name]:
                if output.stage in path:
                    raise ValueError(f"stages form a cycle: {' -> '.join([*path, output.stage])}")
                if output.stage not in order:
                    path[output.stage] = iter(stages[output.stage].inputs.values())
                    break
            else:
                order[name] = None
                del path[name]
    return list(order)
