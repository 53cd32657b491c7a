"""Shapes: what is left of a dense network, as far as budgets need to know it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from regrow.networks.spec import NetworkSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A network that is trained after pruning, and its cost per example."""

    spec: NetworkSpec
    """How it is built; the dense network's own where single weights are masked."""

    macs: int
    """Multiply-accumulates that are executed."""

    params: int
    nominal_macs: int
    """Multiply-accumulates of the weights that are not masked: fewer than are executed, and no speed-up."""

    nominal_params: int

    kept: int | None = None
    """Weights that the mask keeps; None where whole channels or blocks went."""

    @property
    def masked(self) -> bool:
        """Whether single weights are masked."""
        return self.kept is not None


def carved_shape(spec: NetworkSpec, cost: Mapping[str, Any]) -> Shape:
    """Of a network that is physically small."""
    macs, params = int(cost["macs"]), int(cost["params"])
    return Shape(spec=spec, macs=macs, params=params, nominal_macs=macs, nominal_params=params)


def masked_shape(dense: NetworkSpec, cost: Mapping[str, Any], found: Mapping[str, Any]) -> Shape:
    """Of a dense network under a mask; `found` is the result of the stage that made the mask."""
    return Shape(
        spec=dense,
        macs=int(cost["macs"]),
        params=int(cost["params"]),
        nominal_macs=int(found["nominal_macs"]),
        nominal_params=int(found["nominal_params"]),
        kept=int(found["kept"]),
    )


def found_spec(dense: NetworkSpec, found: Mapping[str, Any]) -> NetworkSpec:
    """The small network that a prune stage came to."""
    return replace(dense, widths=tuple(found["widths"]), removed=tuple(found.get("removed", ())))


def supposed_shape(dense: NetworkSpec, cost: Mapping[str, Any], share: float, *, masked: bool) -> Shape:
    """A guess for plans, while no network was scored: `share` of the dense network's MACs and parameters goes."""
    macs, params = int(cost["macs"]), int(cost["params"])
    small_macs, small_params = max(1, round(macs * (1 - share))), max(1, round(params * (1 - share)))
    return Shape(
        spec=dense,
        macs=macs if masked else small_macs,
        params=params if masked else small_params,
        nominal_macs=small_macs,
        nominal_params=small_params,
        kept=small_params if masked else None,
    )
