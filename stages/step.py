"""How a stage runs a step of `training`: `python -m training.X`, with an argument for each input, of the same name."""

from __future__ import annotations


def step(module: str, *inputs: str, params: bool = True, root: bool = False) -> tuple[str, ...]:
    """A stage's `run`. inputs: by the names that they have in the stage. root: whether the step is told where the
    project is."""
    words = ["{python}", "-m", f"training.{module}"]
    if params:
        words += ["--params", "{params}"]
    for name in inputs:
        words += [f"--{name}", f"{{in.{name}}}"]
    if root:
        words += ["--root", "{root}"]
    return (*words, "--out", "{out}")
