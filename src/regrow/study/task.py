"""A task: one stage on a worker's desk, with all that doing it needs. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrow.networks.sources import Access
from regrow.networks.spec import NetworkSpec
from regrow.study.stage import Stage
from regrow.study.store import Store
from regrow.training.recipe import Recipe

Tell = Callable[[dict[str, Any]], None]
"""Takes progress: `epoch` and `loss` after an epoch, `share` of all steps now and then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What every function of `work.py` is given."""

    stage: Stage
    store: Store
    folder: Path
    """The stage's partial folder: what is left there becomes part of the artifact."""

    tell: Tell

    @property
    def spec(self) -> NetworkSpec:
        """The network that the stage is about."""
        return NetworkSpec.from_json(self.stage.settings["network"])

    @property
    def access(self) -> Access:
        """Where its code lies on this machine, and whether it may run."""
        return Access.from_local(self.stage.local)

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        return Recipe.from_json(self.stage.settings["recipe"])

    def input_folder(self, role: str) -> Path:
        """The artifact that plays a role, e.g. `data`."""
        return self.store.folder(self.stage.inputs[role])

    def input_file(self, role: str, name: str) -> Path:
        """A file of the artifact that plays a role, its checksum verified."""
        return self.store.file(self.stage.inputs[role], name)
