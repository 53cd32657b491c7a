"""Allocation: from a budget to the width of every group. A fraction of channels, MACs, parameters or milliseconds goes.

Channels go in the order of a ranking (`regrow.pruning.ranking`): with scope "group" every group loses the same share, to one step;
with scope "global" the lowest scores of all groups go first. How far to go down the ranking:

    channels   exactly n = ceil(fraction * channels) of the groups that take part (scope "global"); of every group what
               `regrow.pruning.widths.kept_of` leaves (scope "group")
    zeros      the channels whose score is exactly 0, no others
    macs       \
    params     as many steps as come nearest to the fraction of the dense network's total, found by bisection; removing more never costs
               more. Where the nearest is further than 1 % of that total, one step is too large (linked groups, say, which lose a
               whole share at once): then the ranking is followed to the step before it and on from there, leaving out the steps that
               would overshoot and those below them, until what is removed is within 1 %
    latency    the same by bisection alone, with at most 12 measurements; a network with fewer channels is not always faster, so the
               nearest of all that were measured counts, and what was reached is told

Where 1 % cannot be had, the nearest is taken, and a note says how far it is. A fraction beyond what the floor, `min_channels` and
ignored groups leave to remove is refused with the largest that can be reached.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal

import numpy as np
from torch import Tensor

from regrow.errors import ConfigError, Fault, PruningError
from regrow.networks.groups import Group
from regrow.pruning.costs import CostModel
from regrow.pruning.ranking import Ranking, by_score, by_shape, by_share, floor_of, staircases, zero_steps
from regrow.pruning.shares import WHERE, Wish, addresses, matches, shares

TOLERANCE: Final = 0.01
"""Of the dense network's total: how near to a fraction of MACs or parameters the removed share comes, where steps are small enough."""

MEASUREMENTS: Final = 12
"""Widths whose latency is measured, the dense ones included."""

Target = Literal["channels", "macs", "params", "latency", "zeros"]
Latency = Callable[[Sequence[int]], float]
"""From widths to milliseconds."""

_UNITS: Final = {"macs": "MACs", "params": "parameters", "channels": "channels", "latency": "latency"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """How much goes, and what must stay."""

    fraction: float | None = 0.5
    """Share to REMOVE of what `of` names, above 0 and below 1; not read where `of` is zeros."""

    of: str = "channels"
    """channels, macs, params, latency or zeros."""

    scope: str = "group"
    """group: every group the same share; global: one ranking over all of them."""

    floor: float = 0.0
    """Share of every group that always stays; one channel stays in any case."""

    ignore: tuple[str, ...] = ()
    """Patterns of groups, or of modules or tensors that compute them, that stay whole."""

    round_to: int = 1
    """Kept channels are a multiple of this, or all of them."""

    min_channels: int = 1
    """Kept channels are at least this many, or all of them."""

    @property
    def wish(self) -> Wish:
        """The same without what it is a share of."""
        fraction = 0.5 if self.fraction is None or self.of == "zeros" else self.fraction
        return Wish(fraction=fraction, ignore=self.ignore, round_to=self.round_to, min_channels=self.min_channels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Allocation:
    """The width of every group, and what that comes to."""

    widths: tuple[int, ...]
    """Channels kept per group, in the order of the groups."""

    reached: dict[str, float] = field(default_factory=dict)
    """Share removed: of `channels`, and where they were counted of `macs`, `params` and `latency`."""

    notes: tuple[str, ...] = ()
    """What stood in the way."""


def allocate(
    groups: Sequence[Group],
    links: Iterable[Sequence[int]],
    want: Want,
    *,
    scores: Mapping[str, Tensor] | None = None,
    model: CostModel | None = None,
    latency: Latency | None = None,
    kept: Mapping[str, float] | None = None,
) -> Allocation:
    """The widths that a budget leads to.

    Args:
        groups: declared or traced, in forward order.
        links: indices of groups that must keep the same share.
        want: the budget.
        scores: scores_C per group name, comparable between groups; for scope "global" and for zeros.
        model: what the network costs; for MACs and parameters.
        latency: milliseconds at widths; for latency.
        kept: a positive share per group name: with scope "group", widths stay in these proportions instead of all losing the same.

    Raises `ConfigError` where the budget is not one, and `PruningError` where it cannot be reached, where nothing would be removed, and
    where scores, model or latency are missing.
    """
    links = [tuple(link) for link in links]
    _check(want, scores, model, latency)
    if want.of == "channels" and want.scope == "group" and kept is None:
        widths, notes = _same_share(groups, links, want)
    else:
        stairs = staircases(groups, links, want.wish, want.floor)
        if want.of == "zeros":
            widths, notes = _zeros(groups, Ranking(_channels(groups), stairs, np.empty(0, dtype=np.intp)), scores or {})
        else:
            alike = by_share(groups, stairs) if kept is None else by_shape(groups, stairs, kept)
            order = alike if want.scope == "group" else by_score(groups, stairs, scores or {})
            if want.of == "latency" and latency is not None:
                return _timed(_Goal(groups, order, want), latency, model)
            widths, notes = _budget(_Goal(groups, order, want), model)
    if widths == _channels(groups):
        raise PruningError(
            "\n    ".join([f"nothing would be removed from the {len(groups)} groups: {_asked(want)}", *notes])
        )
    return Allocation(widths=widths, reached=_reached(groups, widths, model), notes=notes)


def _channels(groups: Sequence[Group]) -> tuple[int, ...]:
    return tuple(group.channels for group in groups)


def _reached(groups: Sequence[Group], widths: Sequence[int], model: CostModel | None) -> dict[str, float]:
    dense = _channels(groups)
    found = {"channels": 1 - sum(widths) / sum(dense)}
    if model is not None:
        found["macs"] = 1 - model.macs(widths) / model.macs(dense)
        found["params"] = 1 - model.params(widths) / model.params(dense)
    return found


def _asked(want: Want) -> str:
    amount = "" if want.of == "zeros" else f"fraction = {want.fraction:g}, "
    return (
        f'{amount}of = "{want.of}", scope = "{want.scope}", floor = {want.floor:g}, ignore = {list(want.ignore)}, '
        f"round_to = {want.round_to}, min_channels = {want.min_channels}"
    )


def _check(want: Want, scores: object, model: object, latency: object) -> None:
    """Refuse a budget that is none, and one for which something is missing."""
    shares((), (), Wish(fraction=want.wish.fraction, round_to=want.round_to, min_channels=want.min_channels), ())
    rules = {
        "fraction": want.of == "zeros" or want.fraction is not None,
        "of": want.of in ("channels", "macs", "params", "latency", "zeros"),
        "scope": want.scope in ("group", "global"),
        "floor": 0 <= want.floor < 1,
    }
    expected = {
        "fraction": "the share to remove",
        "of": "one of channels, macs, params, latency and zeros",
        "scope": "group or global",
        "floor": "the share of every group that always stays, at least 0 and below 1",
    }
    faults = [
        Fault(where=WHERE, key=key, rule=f"{expected[key]}; found {getattr(want, key)!r}")
        for key, holds in rules.items()
        if not holds
    ]
    if faults:
        raise ConfigError(faults=faults)
    if scores is None and (want.of == "zeros" or want.scope == "global"):
        raise PruningError(
            f'one ranking over all groups needs scores ({_asked(want)}). Pass scores=, or scope = "group".'
        )
    if model is None and want.of in ("macs", "params"):
        raise PruningError(
            f"a share of {_UNITS[want.of]} needs to know what the network costs. Pass model=cost_model(...)."
        )
    if latency is None and want.of == "latency":
        raise PruningError("a share of latency needs a function from widths to milliseconds. Pass latency=.")


def _same_share(
    groups: Sequence[Group], links: Sequence[Sequence[int]], want: Want
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Every group loses the fraction, and keeps its floor."""
    ignore = tuple(pattern for pattern in want.ignore if any(matches(pattern, group) for group in groups))
    wish = Wish(fraction=want.wish.fraction, ignore=ignore, round_to=want.round_to, min_channels=want.min_channels)
    found = shares(groups, links, wish, [name for group in groups for name in addresses(group)])
    widths, notes = list(found.widths), list(found.notes)
    for one in staircases(groups, links, want.wish, want.floor):
        lowest = one.widths(len(one.levels) - 1)
        if widths[one.groups[0]] < lowest[0]:
            names = " and ".join(groups[index].name for index in one.groups)
            notes.append(f"{names}: the floor keeps {' and '.join(map(str, lowest))} channels")
            for index, width in zip(one.groups, lowest, strict=True):
                widths[index] = width
    return tuple(widths), tuple(notes)


def _zeros(
    groups: Sequence[Group], ranking: Ranking, scores: Mapping[str, Tensor]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Down every staircase as far as only zeros go."""
    widths = ranking.after(zero_steps(groups, ranking.stairs, scores))
    notes = []
    for one in ranking.stairs:
        for index in one.groups:
            zeros = int((scores[groups[index].name] == 0).sum())
            if (held := zeros - (groups[index].channels - widths[index])) > 0:
                notes.append(
                    f"{groups[index].name}: {held} of {zeros} channels at zero stay, for the floor or for linked groups"
                )
    if widths == ranking.channels:
        smallest = min((float(scores[groups[i].name].min()) for one in ranking.stairs for i in one.groups), default=0.0)
        notes.append(f"no channel that may go has the score 0; the smallest score is {smallest:.3g}")
    return widths, tuple(notes)


@dataclass(frozen=True, slots=True)
class _Goal:
    """A ranking to go down, and how much of what."""

    groups: Sequence[Group]
    ranking: Ranking
    want: Want

    @property
    def fraction(self) -> float:
        return self.want.fraction or 0.0

    def amount(self, model: CostModel | None) -> tuple[Callable[[Sequence[int]], int], int, int]:
        """What widths come to, of which total, and how much of it must go."""
        if model is not None and self.want.of in ("macs", "params"):
            count = model.macs if self.want.of == "macs" else model.params
            total = count(self.ranking.channels)
            return count, total, round(self.fraction * total)
        part = [index for one in self.ranking.stairs for index in one.groups]
        total = sum(self.ranking.channels[index] for index in part)
        exact = Decimal(total) * Decimal(repr(self.fraction))
        return (
            lambda widths: sum(widths[index] for index in part),
            total,
            int(exact.to_integral_value(rounding=ROUND_CEILING)),
        )


def _budget(goal: _Goal, model: CostModel | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """As far down the ranking as comes nearest to the amount."""
    count, total, wanted = goal.amount(model)
    ranking = goal.ranking

    def removed(steps: int) -> int:
        return total - count(ranking.widths(steps))

    most = removed(len(ranking))
    slack = 0 if goal.want.of == "channels" else TOLERANCE * total
    if most < wanted - slack:
        raise _unreachable(goal, most / total if total else 0.0)
    steps = min(len(ranking), bisect.bisect_left(range(len(ranking)), wanted, key=removed))
    before = max(0, steps - 1)
    nearest = min((before, steps), key=lambda number: (abs(removed(number) - wanted), number))
    widths = ranking.widths(nearest)
    if abs(removed(nearest) - wanted) > slack:
        widths = _skipping(ranking, before, lambda left: total - count(left), wanted, slack, widths)
    share = (total - count(widths)) / total
    if abs(share * total - wanted) <= max(slack, 0.5):
        return widths, ()
    return widths, (
        f"{goal.fraction:.2%} of the {_UNITS[goal.want.of]} were to go, and {share:.2%} go: one step less or more is further away",
    )


def _skipping(
    ranking: Ranking,
    start: int,
    removed: Callable[[Sequence[int]], int],
    wanted: int,
    slack: float,
    otherwise: tuple[int, ...],
) -> tuple[int, ...]:
    """Down the ranking from `start` without the steps that overshoot and those below them; the nearest of all that were seen."""
    done = np.bincount(ranking.order[:start], minlength=len(ranking.stairs)).tolist()
    stopped: set[int] = set()
    best = otherwise
    for number in ranking.order[start:].tolist():
        if number in stopped:
            continue
        done[number] += 1
        widths = ranking.after(done)
        over = removed(widths) - wanted
        if abs(over) < abs(removed(best) - wanted):
            best = widths
        if abs(over) <= slack:
            break
        if over > 0:
            done[number] -= 1
            stopped.add(number)
    return best


def _unreachable(goal: _Goal, most: float) -> PruningError:
    want = goal.want
    whole = len(goal.groups) - sum(len(one.groups) for one in goal.ranking.stairs)
    least = max((floor_of(channels, want.floor) for channels in goal.ranking.channels), default=1)
    return PruningError(
        f"{goal.fraction:.2%} of the {_UNITS[want.of]} cannot be removed: floor = {want.floor:g} keeps up to {least} channels of a group, "
        f"and {whole} of {len(goal.groups)} groups stay whole. The largest fraction that can be reached is "
        f"{math.floor(most * 10000 + 1e-6) / 10000:g}; lower the fraction or the floor, or ignore less."
    )


def _timed(goal: _Goal, latency: Latency, model: CostModel | None) -> Allocation:
    """Bisection along the ranking with few measurements; the nearest that was measured."""
    ranking = goal.ranking
    dense = latency(ranking.channels)
    if not dense > 0:
        raise PruningError(f"the dense network's latency is {dense:g} ms, so no share of it can be removed")
    seen = {0: 0.0}

    def removed(steps: int) -> float:
        if steps not in seen:
            seen[steps] = 1 - latency(ranking.widths(steps)) / dense
        return seen[steps]

    low, high = 0, len(ranking)
    if removed(high) < goal.fraction - TOLERANCE:
        raise _unreachable(goal, max(0.0, removed(high)))
    while (
        high - low > 1
        and len(seen) < MEASUREMENTS
        and all(abs(one - goal.fraction) > TOLERANCE for one in seen.values())
    ):
        middle = (low + high) // 2
        low, high = (middle, high) if removed(middle) < goal.fraction else (low, middle)
    steps = min((number for number in seen if number), key=lambda number: (abs(seen[number] - goal.fraction), number))
    widths = ranking.widths(steps)
    notes = []
    if abs(seen[steps] - goal.fraction) > TOLERANCE:
        notes.append(
            f"{goal.fraction:.1%} of the latency were to go, and {seen[steps]:.1%} go: the nearest of {len(seen)} measurements"
        )
    reached = {**_reached(goal.groups, widths, model), "latency": seen[steps], "dense_latency_seconds": dense / 1000}
    return Allocation(widths=widths, reached=reached, notes=tuple(notes))
