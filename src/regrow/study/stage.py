"""Stages: units of work with an artifact, addressed by everything that determines it. Imports no torch.

A stage's key is the hash of its kind, the version of the code that runs it, its settings and the keys of its inputs, which
hash theirs in turn. Labels and priorities are for people and for the runner; they are not part of the key.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final

from regrow.files import digest
from regrow.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class StageKind:
    """What one kind of stage does."""

    summary: str
    """One line of help."""

    target: str
    """`module:function` that does the work, imported by workers only."""

    code: int
    """Version of the code that determines the result. Raise it when a change could change a result's bits."""

    libraries: tuple[str, ...] = ()
    """Distributions whose version is part of the key as well."""


STAGE_KINDS: Final[Table[StageKind]] = Table(
    "kind of stage",
    {
        "data": StageKind(
            summary="decode and split a data set once", target="regrow.study.groundwork:prepare_data", code=1
        ),
        "trace": StageKind(
            summary="find which channels of a network from elsewhere go together",
            target="regrow.study.groundwork:trace_network",
            code=1,
            libraries=("torch",),
        ),
        "cost": StageKind(
            summary="count MACs, parameters and memory", target="regrow.study.groundwork:count_cost", code=1
        ),
        "target": StageKind(
            summary="find the widths for a share of MACs, parameters or latency",
            target="regrow.study.groundwork:find_widths",
            code=1,
            libraries=("torch",),
        ),
        "trial": StageKind(
            summary="choose device, precision and layout by a short timed trial",
            target="regrow.study.work:run_trial",
            code=1,
        ),
        "probe": StageKind(summary="time a few real steps", target="regrow.study.work:time_steps", code=1),
        "import": StageKind(summary="take over a dense checkpoint", target="regrow.study.work:import_dense", code=1),
        "train": StageKind(
            summary="train one network", target="regrow.study.work:train_network", code=1, libraries=("torch",)
        ),
        "prune": StageKind(
            summary="choose what goes and remove it",
            target="regrow.study.pruning_work:prune_network",
            code=1,
            libraries=("torch",),
        ),
        "evaluate": StageKind(
            summary="measure one network on the test set",
            target="regrow.study.work:evaluate_network",
            code=1,
            libraries=("torch",),
        ),
        "analysis": StageKind(
            summary="measure what else a study asks of its trained networks",
            target="regrow.study.analysis_work:analyse",
            code=1,
            libraries=("torch",),
        ),
    },
)


@functools.cache
def _version(distribution: str) -> str:
    """A library's version, read from its metadata once: that takes longer than all the rest of an expansion."""
    return version(distribution)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One unit of work."""

    kind: str
    """A row of `STAGE_KINDS`."""

    settings: Mapping[str, Any]
    """All that determines the result besides the inputs; JSON values only."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    """Role to key of the stage whose artifact is read."""

    local: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where this machine keeps what the settings name by content (folders, files); not part of the key."""

    label: str = field(default="", compare=False)
    """For people: what this is."""

    priority: int = field(default=0, compare=False)
    """Lower runs earlier among the stages that are ready."""

    work: float = field(default=0.0, compare=False)
    """Training FLOPs, for progress estimates and to start long stages first; 0 where it is little."""

    @cached_property
    def key(self) -> str:
        """The stage's address in the store, e.g. `train-4f1d...`."""
        kind = STAGE_KINDS[self.kind]
        identity = {
            "kind": self.kind,
            "code": kind.code,
            "libraries": {name: _version(name) for name in kind.libraries},
            "settings": self.settings,
            "inputs": self.inputs,
        }
        return f"{self.kind}-{digest(identity)[:24]}"

    def to_json(self) -> dict[str, Any]:
        """The stage as it travels to a worker and as it is kept beside its artifact."""
        return {
            "kind": self.kind,
            "settings": dict(self.settings),
            "inputs": dict(self.inputs),
            "local": dict(self.local),
            "label": self.label,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Stage:
        """The inverse of `to_json`."""
        return cls(**{name: value[name] for name in ("kind", "settings", "inputs", "local", "label")})
