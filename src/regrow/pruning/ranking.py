"""Ranking: in which order channels go, over all groups, and what is left after the first so many.

Every bundle of groups (one group, or several that must keep the same share) is a staircase: all its channels, then one step down after
the other, each step one channel of a group, or of linked groups the channels of one more share. Multiples of `round_to`, `min_channels`
and the floor leave steps out. A ranking says in which order the steps of all staircases are gone, so any number of steps gives widths
that every rule allows, and more steps never give a wider group.

    by score   the steps whose channels have the smallest mean score first (a step of one channel: its score)
    by share   the steps of the bundles that lost the smallest share so far first: all groups lose the same share, to one step
    by shape   the widths stay in given proportions: with a factor that falls from infinity to 0, each group has min(1, factor * share)
               of its channels, to the nearest, and at least one

Removal goes by rank, never by threshold, so equal scores cannot empty a layer or leave it whole. Ties go by position: groups in
forward order, channels by index. Heads of attention and groups of convolutions (role "heads") stay, as do ignored groups, and groups
that are linked to such.

Shape suffix: C = channels of one group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.pruning.shares import Wish, _bundles, _grid, matches

NO_FLOOR: Final = 0.0


@dataclass(frozen=True, slots=True)
class Stairs:
    """The widths that one bundle can come down to."""

    groups: tuple[int, ...]
    """Its groups, by number."""

    levels: tuple[int, ...]
    """Parts of the whole that stay after 0, 1, 2, ... steps; of one group alone a part is a channel."""

    each: tuple[int, ...]
    """Channels of one part, of every group."""

    def widths(self, steps: int) -> tuple[int, ...]:
        """Channels left of every group after so many steps."""
        return tuple(each * self.levels[steps] for each in self.each)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The order in which channels go."""

    channels: tuple[int, ...]
    """Of every group of the dense network."""

    stairs: tuple[Stairs, ...]
    """Of the bundles that may lose channels."""

    order: NDArray[np.intp]
    """Which staircase each step goes down."""

    def __len__(self) -> int:
        return len(self.order)

    def widths(self, steps: int) -> tuple[int, ...]:
        """Channels left of every group after the first so many steps."""
        return self.after(np.bincount(self.order[:steps], minlength=len(self.stairs)).tolist())

    def after(self, steps: Sequence[int]) -> tuple[int, ...]:
        """Channels left of every group after so many steps down each staircase."""
        left = list(self.channels)
        for one, number in zip(self.stairs, steps, strict=True):
            for group, width in zip(one.groups, one.widths(number), strict=True):
                left[group] = width
        return tuple(left)


def staircases(
    groups: Sequence[Group], links: Iterable[Sequence[int]], wish: Wish, floor: float = NO_FLOOR
) -> tuple[Stairs, ...]:
    """The staircases of all bundles that may lose channels, in forward order; of `wish` all but the fraction counts.

    At least max(1, ceil(floor * channels)) channels of every group stay, and `min_channels` of them, or all.
    """
    found = []
    for bundle in _bundles(len(groups), links):
        members = [groups[index] for index in bundle]
        if any(_stays(group, wish) for group in members):
            continue
        step, lowest, parts = _grid(members, wish)
        lowest = max(lowest, *(_lowest(group, parts, floor) for group in members))
        levels = (parts, *(part for part in range(parts - 1, lowest - 1, -1) if part % step == 0))
        each = tuple(group.channels // parts for group in members)
        found.append(Stairs(groups=tuple(bundle), levels=levels, each=each))
    return tuple(found)


def floor_of(channels: int, floor: float) -> int:
    """Channels of a group that always stay: the share `floor` of them rounded up, and at least one; decimal, as written.

    >>> floor_of(64, 0.1), floor_of(10, 0.3), floor_of(5, 0.0)
    (7, 3, 1)
    """
    exact = Decimal(channels) * Decimal(repr(float(floor)))
    return max(1, int(exact.to_integral_value(rounding=ROUND_CEILING)))


def by_share(groups: Sequence[Group], stairs: Sequence[Stairs]) -> Ranking:
    """Every bundle loses the same share: next comes the one that lost the smallest so far, the first of them where several did."""
    lost = [np.array([(one.levels[0] - level) / one.levels[0] for level in one.levels[:-1]]) for one in stairs]
    return _ranked(groups, stairs, lost)


def by_shape(groups: Sequence[Group], stairs: Sequence[Stairs], kept: Mapping[str, float]) -> Ranking:
    """Widths in the proportions of `kept`, a positive share per group name; of linked groups the mean of theirs counts.

    A step from k to k - 1 of C channels is gone when the factor comes below (k - 1/2) / (C * share).
    """
    keys = []
    for one in stairs:
        share = float(np.mean([kept[groups[index].name] for index in one.groups]))
        between = (np.array(one.levels[:-1]) + np.array(one.levels[1:])) / 2
        keys.append(-between / (one.levels[0] * share))
    return _ranked(groups, stairs, keys)


def by_score(groups: Sequence[Group], stairs: Sequence[Stairs], scores: Mapping[str, Tensor]) -> Ranking:
    """The lowest scores of all groups go first; `scores` has scores_C per group name, comparable between groups.

    Raises `PruningError` where a group that may lose channels has no score for each of its channels, or one that is not a number.
    """
    priorities = []
    for one in stairs:
        sorted_C = [np.sort(_scores(groups[index], scores)) for index in one.groups]
        means = [_mean_between(sorted_C, one, step) for step in range(len(one.levels) - 1)]
        priorities.append(
            np.maximum.accumulate(np.array(means, dtype=np.float64))
        )  # rounding must not turn steps round
    return _ranked(groups, stairs, priorities)


def zero_steps(groups: Sequence[Group], stairs: Sequence[Stairs], scores: Mapping[str, Tensor]) -> tuple[int, ...]:
    """How many steps down each staircase remove nothing but channels whose score is exactly 0 (a score below 0 is a mistake)."""
    found = []
    for one in stairs:
        zeros = []
        for index in one.groups:
            scores_C = _scores(groups[index], scores)
            if (scores_C < 0).any():
                raise PruningError(
                    f"{groups[index].name}: what is exactly zero can be removed by absolute scores only; the smallest score is "
                    f"{scores_C.min():.3g}"
                )
            zeros.append(int((scores_C == 0).sum()))
        fits = [
            all(
                groups[index].channels - width <= zero
                for index, width, zero in zip(one.groups, widths, zeros, strict=True)
            )
            for widths in (one.widths(step) for step in range(len(one.levels)))
        ]
        found.append(fits.index(False) - 1 if False in fits else len(fits) - 1)
    return tuple(found)


def _ranked(groups: Sequence[Group], stairs: Sequence[Stairs], keys: Sequence[NDArray[np.float64]]) -> Ranking:
    """Steps by key; ties by staircase, and in one staircase downwards."""
    number = np.repeat(np.arange(len(stairs)), [len(key) for key in keys])
    steps = np.argsort(np.concatenate(keys), kind="stable") if keys else np.empty(0, dtype=np.intp)
    return Ranking(tuple(group.channels for group in groups), tuple(stairs), number[steps])


def _stays(group: Group, wish: Wish) -> bool:
    return group.role == "heads" or any(matches(pattern, group) for pattern in wish.ignore)


def _lowest(group: Group, parts: int, floor: float) -> int:
    """Parts that leave the floor of a group."""
    return -(-floor_of(group.channels, floor) * parts // group.channels)


def _scores(group: Group, scores: Mapping[str, Tensor]) -> NDArray[np.float64]:
    scores_C = scores.get(group.name)
    if scores_C is None or tuple(scores_C.shape) != (group.channels,):
        found = "none" if scores_C is None else f"a tensor of shape {tuple(scores_C.shape)}"
        raise PruningError(f"{group.name} needs one score for each of its {group.channels} channels; found {found}")
    values = scores_C.detach().double().cpu().numpy()
    if unknown := int(np.isnan(values).sum()):
        raise PruningError(
            f"{group.name}: the scores of {unknown} of {group.channels} channels are not a number (NaN), so they have no rank. "
            "The weights or statistics they come from are NaN: look for a diverged training."
        )
    return values


def _mean_between(sorted_C: Sequence[NDArray[np.float64]], one: Stairs, step: int) -> float:
    """Mean score of the channels that one step removes, over all groups of the bundle."""
    taken = [
        values[len(values) - each * one.levels[step] : len(values) - each * one.levels[step + 1]]
        for values, each in zip(sorted_C, one.each, strict=True)
    ]
    return float(np.concatenate(taken).mean()) if len(taken) > 1 or len(taken[0]) > 1 else float(taken[0][0])
