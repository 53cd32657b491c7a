"""The published tables: what each is about, and the protocol by which its numbers were made, so that differences can be named.

Protocols use the words of a study file, so that they can be compared with a study's settings one by one. What is not established
is None. Imports no torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from regrow.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How the numbers of one table were made, for one network and data set."""

    epochs: int
    """Of the dense network, of Scratch-E and of lottery tickets."""

    fine_tune_epochs: int | None = None
    fine_tune_lr: float | None = None
    """Constant."""

    lr: float
    """Peak, of every training but fine-tuning."""

    schedule: str
    """As in a study file where it has a word for it."""

    optimizer: str
    momentum: float
    nesterov: bool
    weight_decay: float
    batch: int
    augment: str
    train_images: int
    """All of them: nothing was held out for choices."""

    width: float
    runs: int
    precision: str
    tuned: bool
    """Whether every arm's learning rate was chosen."""

    reported: str
    """Which epoch's accuracy."""

    convention: str | None = None
    """A row of `regrow list conventions`: how long Scratch-B was trained."""

    floor: float | None = None
    """Share of every layer that always stays; None where the widths are predefined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One table."""

    title: str
    source: str
    protocols: tuple[Mapping[str, Any], ...]
    remarks: tuple[Mapping[str, Any], ...]
    only: tuple[str, ...] = ()
    """Keys of [train] in which a study must be as the protocol to be laid beside the table."""

    @property
    def summary(self) -> str:
        """One line of help."""
        return self.title

    def protocol(self, data: str, network: str) -> Protocol:
        """How this table's numbers of one network and data set were made."""
        merged: dict[str, Any] = {}
        for entry in self.protocols:
            if _holds(entry, data, network):
                merged |= {**_RECIPES.get(entry.get("like", ""), {}), **_without_conditions(entry)}
        return Protocol(**merged)

    def remarks_on(self, data: str, network: str) -> tuple[str, ...]:
        """What a reader of these numbers has to know."""
        return tuple(str(entry["text"]) for entry in self.remarks if _holds(entry, data, network))


def _holds(entry: Mapping[str, Any], data: str, network: str) -> bool:
    return data in entry.get("data", [data]) and network in entry.get("networks", [network])


def _without_conditions(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("data", "networks", "like")}


def _read() -> dict[str, Any]:
    return tomllib.loads(resources.files("regrow").joinpath("published", "tables.toml").read_text(encoding="utf-8"))


_FILE: Final = _read()
_RECIPES: Final[Mapping[str, Mapping[str, Any]]] = _FILE["recipes"]

TABLES: Final[Table[Published]] = Table(
    "published table",
    {
        name: Published(
            title=entry["title"],
            source=entry["source"],
            protocols=tuple(entry["protocols"]),
            remarks=tuple(entry.get("remarks", ())),
            only=tuple(entry.get("only", ())),
        )
        for name, entry in _FILE["tables"].items()
    },
)
