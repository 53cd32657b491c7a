"""What one comparison asks of its pruning method, every default filled in. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from regrow.pruning.guide import Guide, read_guide
from regrow.pruning.method_sources import foreign_method
from regrow.pruning.methods import METHODS, Method, Removed, Scope
from regrow.pruning.settings import PruneSettings
from regrow.pruning.widths import blocks_of_design

Of = Literal["channels", "blocks", "weights", "macs", "params", "latency", "zeros"]

_AS_WRITTEN = {"reduce": "sum", "normalise": None, "pattern": ""}
"""Settings that stay out of a stage's identity while they say nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One method of a study's `[prune]` table, at one fraction."""

    method: str
    row: Method
    prune: PruneSettings

    fraction: float | None
    """One of `prune.fractions`; None where widths, stages, rounds or zeros say how much."""

    origin: str = ""
    """Which code a method of somebody else's is: the hash of its file, or a library and its version."""

    place: str = ""
    """Where on this machine it lies; part of no identity."""

    guide: Guide | None = None
    """What the design follows; None for methods that follow none."""

    @property
    def removes(self) -> Removed:
        """What goes."""
        return self.prune.remove or self.row.removes[0]

    @property
    def of(self) -> Of:
        """What the fraction is a share of."""
        return self.prune.of or self.removes

    @property
    def scope(self) -> Scope:
        """Each group alike, or one ranking over all."""
        return self.prune.scope or self.row.scope

    @property
    def masked(self) -> bool:
        """Whether single weights go, so that every tensor keeps its shape."""
        return self.removes == "weights"

    @property
    def named_widths(self) -> bool:
        """Whether the study itself says how many channels every group keeps."""
        share_of_each = self.scope == "group" and self.of == "channels" and self.row.kind not in ("whole", "design")
        return self.removes == "channels" and (
            share_of_each or self.prune.widths is not None or bool(self.prune.stages)
        )

    @property
    def named_blocks(self) -> tuple[str, ...]:
        """The residual blocks that the study's design removes."""
        return blocks_of_design(self.prune) if self.removes == "blocks" else ()

    @property
    def computed_widths(self) -> bool:
        """Whether the widths follow from the dense network's shape alone, before anything is trained."""
        alike = (
            self.scope == "group"
            and self.of in ("macs", "params", "latency")
            and self.row.kind not in ("whole", "design")
        )
        return self.removes == "channels" and not self.named_widths and (alike or self.guide is not None)

    @property
    def automatic(self) -> bool:
        """Whether the widths are the method's own finding, or drawn by chance, so that every seed has its own."""
        return not (self.masked or self.named_widths or self.computed_widths)

    @property
    def start(self) -> Literal["scratch", "dense"]:
        """Where the method's own training begins."""
        return self.prune.start or ("dense" if self.row.kind == "schedule" else "scratch")

    @property
    def replaces_dense(self) -> bool:
        """Whether the method's own training stands in the place of dense training."""
        return self.row.while_training and self.start == "scratch"

    @property
    def supposed_share(self) -> float:
        """A guess at the share of MACs that will go, for plans and progress; nothing rests on it."""
        prune = self.prune
        if prune.per_round is not None:
            return 1 - (1 - prune.per_round) ** prune.rounds
        share = self.fraction if self.fraction is not None else 0.3
        return 1 - (1 - share) ** 2 if self.removes == "channels" and self.of == "channels" else share

    def how(self) -> dict[str, Any]:
        """How scores are made, as far as it differs from the plain way; part of the prune stage's identity."""
        said = {key: getattr(self.prune, key) for key in _AS_WRITTEN}
        return {key: value for key, value in said.items() if value != _AS_WRITTEN[key]}

    @property
    def identity(self) -> dict[str, Any]:
        """What tells code that is not regrow's, and designs by different guides, apart; empty for all other methods."""
        theirs = {"origin": self.origin, "kind": self.row.kind} if self.origin else {}
        return theirs | self.guidance

    @property
    def guidance(self) -> dict[str, Any]:
        """The content of the guide, where there is one; part of the identity of every stage that rests on it."""
        return {"guide": self.guide.to_json()} if self.guide is not None else {}

    @property
    def guide_source(self) -> dict[str, Any] | None:
        """Where the guide's numbers were found, for reports; None where there is no guide."""
        return None if self.guide is None else {**self.guide.to_json()["source"], "digest": self.guide.digest}

    def amount(self) -> dict[str, Any]:
        """How much goes, where the study does not name the widths; part of the prune stage's identity."""
        said: dict[str, Any] = {"remove": self.removes, "of": self.of, "fraction": self.fraction}
        if self.removes == "channels" or self.masked:
            said["scope"] = self.scope
        if blocks := self.named_blocks:
            said["blocks"] = list(blocks)
        if self.scope == "global" and self.removes == "channels":
            said["floor"] = self.prune.floor
        return said


def wanted(prune: PruneSettings, method: str, fraction: float | None, folder: Path | None = None) -> Wanted:
    """What a `[prune]` table asks of one of its methods; `folder` is where guides and functions of a person's own are looked for.

    Raises what `regrow.pruning.method_sources.foreign_method` raises for a method that is not of regrow's table, and what
    `regrow.pruning.guide.read_guide` raises for the guide of a method that follows one.
    """
    if method in METHODS:
        row, place = METHODS[method], folder or Path.cwd()
        guide = read_guide(place / prune.guide) if row.needs_guide and prune.guide is not None else None
        return Wanted(method=method, row=row, prune=prune, fraction=fraction, guide=guide)
    found = foreign_method(method, folder or Path.cwd())
    return Wanted(method=method, row=found.row, prune=prune, fraction=fraction, origin=found.origin, place=found.place)
