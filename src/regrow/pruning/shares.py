"""Shares: from a fraction to the channels that every traced group keeps. Imports no torch.

A plain fraction applies to every group, except that attention heads and groups of convolutions (role "heads") stay, because the
channels inside them are pruned instead. A mapping of patterns gives each group the fraction of the first pattern that matches it;
groups that no pattern matches stay whole. A pattern is a shell pattern (`layer1.*`, `*.conv2`), and it matches a group when it
matches the group's name, or the tensor, the module, or a module around it, of any weight that computes the group's channels.

The arithmetic is decimal and rounds down, see `regrow.pruning.widths`. Groups that the network ties to the same share (the halves
of a `chunk` in unequal layers) get the same share: one of the shares that gives all of them whole channels, the nearest to the
fraction.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from regrow.errors import ConfigError, Fault, did_you_mean
from regrow.networks.groups import Group
from regrow.pruning.widths import kept_of

WHERE = "regrow.prune"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """How many channels every group keeps, and what stood in the way of the fraction."""

    widths: tuple[int, ...]
    """Channels kept per group, in the order of the groups."""

    notes: tuple[str, ...]
    """Why groups keep more or less than was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a person asks for."""

    fraction: float | Mapping[str, float] = 0.5
    """Share of channels to REMOVE, above 0 and below 1; or such a share, 0 allowed, per pattern."""

    ignore: tuple[str, ...] = ()
    """Patterns of modules or tensors whose output channels all stay."""

    round_to: int = 1
    """Kept channels are a multiple of this; groups without a multiple of it stay whole."""

    min_channels: int = 1
    """Kept channels are at least this many, or all of them."""


def shares(groups: Sequence[Group], links: Iterable[Sequence[int]], wish: Wish, names: Collection[str]) -> Shares:
    """The width of every group.

    `links` holds indices of groups that must keep the same share; `names` the names of the network's modules and tensors, which
    `ignore` is checked against. Raises `ConfigError`, with every fault, where the wish is not one or names nothing.
    """
    if faults := [*_number_faults(wish), *_pattern_faults(groups, wish, names)]:
        raise ConfigError(faults=faults)
    fractions = [_fraction(group, wish) for group in groups]
    widths = [group.channels for group in groups]
    notes: list[str] = []
    for bundle in _bundles(len(groups), links):
        note = _share_out([groups[index] for index in bundle], [fractions[index] for index in bundle], wish)
        notes.extend(note.notes)
        for index, width in zip(bundle, note.widths, strict=True):
            widths[index] = width
    return Shares(widths=tuple(widths), notes=tuple(notes))


def addresses(group: Group) -> tuple[str, ...]:
    """Everything that a pattern may match to mean this group.

    >>> from regrow.networks.groups import Slice
    >>> addresses(Group("stem", 8, (Slice("body.stem.weight", 0), Slice("head.weight", 1))))
    ('stem', 'body.stem.weight', 'body.stem', 'body')
    """
    found = {group.name: None}
    for part in group.slices[: group.producers]:
        name = part.tensor
        while name:
            found[name] = None
            name = name.rpartition(".")[0]
    return tuple(found)


def matches(pattern: str, group: Group) -> bool:
    """Whether a pattern means this group."""
    return any(fnmatch.fnmatchcase(address, pattern) for address in addresses(group))


def _fraction(group: Group, wish: Wish) -> float:
    """Share of the group's channels that should go."""
    if any(matches(pattern, group) for pattern in wish.ignore):
        return 0.0
    if isinstance(wish.fraction, Mapping):
        return next((share for pattern, share in wish.fraction.items() if matches(pattern, group)), 0.0)
    return 0.0 if group.role == "heads" else wish.fraction


def _bundles(count: int, links: Iterable[Sequence[int]]) -> list[list[int]]:
    """Groups that must keep one share, joined where links overlap; a group without links is a bundle of its own."""
    bundle_of = {index: [index] for index in range(count)}
    for link in links:
        joined = sorted({member for index in link for member in bundle_of[index]})
        for member in joined:
            bundle_of[member] = joined
    return [bundle for index, bundle in bundle_of.items() if bundle[0] == index]


def _share_out(groups: Sequence[Group], fractions: Sequence[float], wish: Wish) -> Shares:
    """Widths of groups that keep one share. The most careful of their fractions counts: an ignored one keeps all whole."""
    channels = [group.channels for group in groups]
    fraction = min(fractions)
    notes = []
    if fraction != max(fractions):
        notes.append(f"{_names(groups)} must keep the same share of their channels: {fraction:g} is removed from each")
    if fraction == 0:
        return Shares(widths=tuple(channels), notes=tuple(notes))
    step, lowest, parts = _grid(groups, wish)
    wanted = kept_of(parts, fraction)
    allowed = [part for part in range(step, parts + 1, step) if part >= lowest]
    if not allowed:
        notes.append(
            f"{_names(groups)} left whole: no share of {_numbers(channels)} channels is a multiple of "
            f"round_to = {wish.round_to}" + (f" and at least {wish.min_channels}" if wish.min_channels > 1 else "")
        )
        return Shares(widths=tuple(channels), notes=tuple(notes))
    part = min(allowed, key=lambda part: (abs(part - wanted), -part))
    return Shares(widths=tuple(count // parts * part for count in channels), notes=tuple(notes))


def _grid(groups: Sequence[Group], wish: Wish) -> tuple[int, int, int]:
    """Shares that give every group whole channels are 1/parts, 2/parts, ...; those that also round are every `step`-th.

    Returns the step, the lowest number of parts that leaves `min_channels` of each group, and the parts of the whole.
    """
    parts = math.gcd(*(group.channels for group in groups))
    steps, lowest = [1], 1
    for group in groups:
        each = group.channels // parts
        if group.role == "channels":  # a head is a block of channels, and the channels in it are rounded
            steps.append(wish.round_to // math.gcd(wish.round_to, each))
        lowest = max(lowest, math.ceil(min(wish.min_channels, group.channels) / each))
    return math.lcm(*steps), lowest, parts


def _names(groups: Sequence[Group]) -> str:
    names = [group.name for group in groups]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _numbers(channels: Sequence[int]) -> str:
    return " and ".join(str(count) for count in dict.fromkeys(channels))


def _number_faults(wish: Wish) -> list[Fault]:
    if isinstance(wish.fraction, Mapping):
        pairs = [(f"fraction[{pattern!r}]", share) for pattern, share in wish.fraction.items()]
        faults = [fault for key, share in pairs for fault in _share_faults(key, share, zero=True)]
    else:
        faults = _share_faults("fraction", wish.fraction, zero=False)
    for key in ("round_to", "min_channels"):
        number = getattr(wish, key)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            faults.append(_fault(key, f"a whole number from 1 on; found {number!r}", "1 changes nothing."))
    return faults


def _share_faults(key: str, share: object, *, zero: bool) -> list[Fault]:
    """A share that is not one; 30 was probably meant as 30 %."""
    number = float(share) if isinstance(share, (int, float)) and not isinstance(share, bool) else math.nan
    if 0 < number < 1 or (zero and number == 0):
        return []
    least = "at least" if zero else "above"
    hint = f"Did you mean {number / 100:g}?" if 1 < number < 100 else "0.3 removes 30 %."
    return [_fault(key, f"the share of channels to remove, {least} 0 and below 1; found {share!r}", hint)]


def _pattern_faults(groups: Sequence[Group], wish: Wish, names: Collection[str]) -> list[Fault]:
    faults = []
    for pattern in wish.fraction if isinstance(wish.fraction, Mapping) else ():
        if not any(matches(pattern, group) for group in groups):
            hint = _closest(pattern, [address for group in groups for address in addresses(group)])
            faults.append(_fault(f"fraction[{pattern!r}]", "matches no prunable group", hint))
    for pattern in wish.ignore:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            rule = f"{pattern!r} matches no module and no tensor of the network"
            faults.append(_fault("ignore", rule, _closest(pattern, names)))
    return faults


def _closest(pattern: str, names: Collection[str]) -> str:
    """The nearest name; a network has hundreds, too many to list all of them."""
    return did_you_mean(pattern, names).partition("Known: ")[0].strip() if names else "No group is prunable."


def _fault(key: str, rule: str, hint: str) -> Fault:
    return Fault(where=WHERE, key=key, rule=rule, hint=hint)
