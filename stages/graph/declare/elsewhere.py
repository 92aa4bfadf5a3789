"""What a project says of stages that do not run here (site.py has what a person says)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .site import Environment
    from .stage import Stage


class Elsewhere:
    """A plain class: making a dataclass would be a part of every start."""

    def __init__(
        self,
        tables: Callable[[], Mapping[str, Mapping[str, Any]]],
        environment: Callable[[Stage], Environment | None] = lambda stage: None,
        packages: Callable[[Stage], Sequence[str]] = lambda stage: (),
    ) -> None:
        """`tables`: the tables of options, by the stage's name; asked when the first command is about to run.
        `environment`: what a stage needs there; None: nothing but the system's own. Raises GraphError where that cannot
        be made. `packages`: which of a stage's tools are Python packages: there they must be as the key says.
        """
        self.tables, self.environment, self.packages = tables, environment, packages
