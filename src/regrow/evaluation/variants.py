"""Variants: the dense network and the small ones whose speed is compared, pruned at random because speed does not depend on weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from torch import Tensor, nn

from regrow.errors import ConfigError, Fault, PruningError
from regrow.pruning.anything import prune_network

Inputs = Tensor | tuple[Any, ...] | dict[str, Any]
"""What a network is called with: a tensor, positional arguments, or keyword arguments."""

DENSE: Final = "dense"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One network of the comparison."""

    name: str
    network: nn.Module = field(repr=False)

    fraction: float | None = None
    """Share of channels removed; None for a network that somebody else made small."""

    round_to: int = 1
    """Widths were rounded to multiples of this."""

    compared: bool = False
    """Whether it only shows what another rounding would give."""


def pruned_variants(
    network: nn.Module,
    example_inputs: Inputs,
    *,
    fractions: Sequence[float],
    round_to: int,
    roundings: Sequence[int],
    options: Mapping[str, Any],
) -> list[Variant]:
    """The dense network first, then one small network a fraction, then the fraction nearest to 1/2 at each rounding.

    A rounding to compare with is left out where it gives a network that is there already, or none at all. `options` go to
    `regrow.prune` as they are. Raises `ConfigError` for fractions that are none, and what pruning raises.
    """
    _check(fractions, [round_to, *roundings])
    found = [Variant(name=DENSE, network=network, fraction=0.0)]
    asked = [(fraction, round_to, False) for fraction in sorted(set(fractions)) if fraction > 0]
    middle = min((fraction for fraction, _, _ in asked), key=lambda fraction: abs(fraction - 0.5), default=None)
    if middle is not None:
        asked += [(middle, rounding, True) for rounding in roundings if rounding != round_to]
    for fraction, rounding, compared in asked:
        try:
            small, _ = prune_network(
                network,
                example_inputs,
                fraction=fraction,
                round_to=rounding,
                criterion="random",
                verify=False,
                **options,
            )
        except PruningError:
            if not compared:
                raise
            continue  # no width of this network is a multiple of a rounding that nobody asked for by name
        if not (compared and any(_same_shapes(small, other.network) for other in found)):
            name = f"{fraction:g}, to {rounding}" if compared else f"{fraction:g}"
            found.append(Variant(name=name, network=small, fraction=fraction, round_to=rounding, compared=compared))
    return found


def _same_shapes(first: nn.Module, second: nn.Module) -> bool:
    return [tensor.shape for tensor in first.parameters()] == [tensor.shape for tensor in second.parameters()]


def _check(fractions: Sequence[float], roundings: Sequence[int]) -> None:
    faults = [
        Fault(
            where="latency",
            key="fractions",
            rule=f"a fraction is the share of channels to remove and must lie in [0, 1); found {fraction:g}",
            hint=f"Did you mean {fraction / 100:g}?" if 1 < fraction < 100 else "",
        )
        for fraction in fractions
        if not 0 <= fraction < 1
    ]
    faults += [
        Fault(where="latency", key="round_to", rule=f"widths are rounded to multiples of at least 1; found {rounding}")
        for rounding in roundings
        if rounding < 1
    ]
    if faults:
        raise ConfigError(faults=faults)
