"""Widths: from what a study says about pruning to the channels that every group keeps. Imports no torch.

The arithmetic is decimal and exact: a group of C channels that loses the fraction f keeps floor(C * (1 - f)), at least 1, where f is
the decimal number that was written. (In binary, 10 * (1 - 0.9) is 0.99..., and a channel would be lost to rounding.)
"""

from __future__ import annotations

import difflib
import fnmatch
import glob
from collections.abc import Iterable, Sequence
from decimal import ROUND_FLOOR, Decimal

from regrow.errors import ConfigError, Fault
from regrow.networks.groups import Group
from regrow.networks.layouts import GroupInfo, scaled
from regrow.networks.prunable import Prunable, prunable_of_zoo
from regrow.networks.sources import is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.pruning.designs import DESIGNS, Design
from regrow.pruning.methods import METHODS
from regrow.pruning.settings import PruneSettings

_WHERE = "study"


def kept_of(channels: int, fraction: float) -> int:
    """Channels left of `channels` after the share `fraction` is removed: rounded down, at least 1.

    >>> kept_of(64, 0.1), kept_of(16, 0.6), kept_of(10, 0.9), kept_of(3, 0.8)
    (57, 6, 1, 1)
    """
    exact = Decimal(channels) * (1 - Decimal(repr(float(fraction))))
    return max(1, int(exact.to_integral_value(rounding=ROUND_FLOOR)))


def target_widths(
    settings: PruneSettings, dense: NetworkSpec, fraction: float | None, prunable: Prunable | None = None
) -> tuple[int, ...]:
    """Channels to keep per group of the dense network, in forward order.

    `fraction` is one of `settings.fractions`, or None where the settings give stages or widths. `prunable` is what a network from
    elsewhere was found to have; networks of the zoo declare it. Raises `ConfigError` (with `where` set to "study") where the
    settings do not fit the network or would remove nothing.
    """
    prunable = prunable or prunable_of_zoo(dense)
    groups = prunable.groups
    if faults := foreign_faults(settings, dense):
        raise ConfigError(faults=faults)
    if isinstance(settings.widths, str):
        widths, key = _by_design(settings.widths, dense, groups), "prune.widths"
    elif settings.widths is not None:
        widths, key = _given(settings.widths, dense, groups), "prune.widths"
    elif settings.stages is not None:
        skipped = skipped_groups(settings.skip, dense, groups)
        widths, key = _by_stage(settings.stages, skipped, dense, groups), "prune.stages"
    else:
        skipped, share = skipped_groups(settings.skip, dense, groups), _single(settings, fraction)
        widths, key = _by_share(share, skipped, prunable), "prune.fraction"
    if widths == dense.widths:
        raise _wrong(
            key, f"leaves {dense.name} as it is: nothing would be removed", "Remove more, or skip fewer groups."
        )
    return widths


def foreign_faults(settings: PruneSettings, dense: NetworkSpec) -> list[Fault]:
    """What can be said of a network from elsewhere only by those who know its stages: faults, where the study says it."""
    if not is_foreign(dense.name):
        return []
    if isinstance(settings.widths, str):
        return [*design_faults(settings.widths, dense), *_misused_blocks(settings)]
    if settings.guide is not None:
        rule = f"networks from elsewhere have no stages, and a guide has shares of stages; found one for {dense.name}"
        return [_fault("prune.guide", rule, "Use a network of `regrow list networks`, or another method.")]
    if settings.stages is not None:
        rule = f"networks from elsewhere have no stages; found some for {dense.name}"
        return [_fault("prune.stages", rule, "Use prune.fraction, with prune.skip for what shall stay whole.")]
    return []


def _by_share(share: float, skipped: frozenset[str], prunable: Prunable) -> tuple[int, ...]:
    """The same share of every group; attention heads stay, and groups that must keep one share are cut on their common grid."""
    if not prunable.links:
        return tuple(_kept(group, share, skipped | prunable.heads) for group in prunable.groups)
    from regrow.pruning.shares import Wish, shares  # takes its arithmetic from here

    groups = [
        Group(group.name, group.channels, (), role="heads" if group.name in prunable.heads else "channels")
        for group in prunable.groups
    ]
    wish = Wish(fraction=share, ignore=tuple(glob.escape(name) for name in skipped))
    return shares(groups, prunable.links, wish, [group.name for group in groups]).widths


def _single(settings: PruneSettings, fraction: float | None) -> float:
    if fraction is not None:
        return fraction
    if len(settings.fractions) == 1:
        return settings.fractions[0]
    raise AssertionError(f"say which of the fractions {settings.fractions} is meant")


def design_faults(name: str, dense: NetworkSpec) -> list[Fault]:
    """A fault where a design is for another network; asked before a network from elsewhere is built. `UnknownNameError` for no design."""
    design = DESIGNS[name]
    if dense.name in design.networks:
        return []
    fitting = ", ".join(known for known, row in DESIGNS.items() if dense.name in row.networks)
    hint = (
        f"Designs for {dense.name}: {fitting}." if fitting else f"There are none for {dense.name}: use prune.fraction."
    )
    rule = f"the design {name!r} is for {' or '.join(design.networks)}, not for {dense.name}"
    return [_fault("prune.widths", rule, hint)]


def _misused_blocks(settings: PruneSettings) -> list[Fault]:
    """A design that names blocks, for a method that removes channels."""
    blocks = blocks_of_design(settings)
    wrong = [name for name in settings.methods if name in METHODS and METHODS[name].removes[0] != "blocks"]
    if not blocks or not wrong or settings.remove == "blocks":
        return []
    rule = f"the design {settings.widths!r} removes whole blocks, and {wrong[0]} removes {METHODS[wrong[0]].removes[0]}"
    return [_fault("prune.widths", rule, 'Write method = "sss".')]


def blocks_of_design(settings: PruneSettings) -> tuple[str, ...]:
    """The residual blocks that a study's design removes; empty where its design is one of widths, or it names none."""
    named = isinstance(settings.widths, str) and settings.widths in DESIGNS
    return DESIGNS[str(settings.widths)].blocks if named else ()


def _by_design(name: str, dense: NetworkSpec, groups: Sequence[GroupInfo]) -> tuple[int, ...]:
    if faults := design_faults(name, dense):
        raise ConfigError(faults=faults)
    design = DESIGNS[name]
    if design.named:
        return _by_name(name, design, dense, groups)
    if design.like:
        pairs = zip(_by_design(design.like, dense, groups), groups, strict=True)
        # A group that is narrower than that keeps its last channel, as every group does.
        return tuple(
            width if width == group.channels else max(1, group.channels - design.fewer) for width, group in pairs
        )
    if design.widths:
        return _scaled_design(design, dense, groups)
    return _by_stage(design.stages, skipped_groups(design.skip, dense, groups), dense, groups)


def _by_name(name: str, design: Design, dense: NetworkSpec, groups: Sequence[GroupInfo]) -> tuple[int, ...]:
    """Of a network from elsewhere, whose code may be another version's than the one that the design was written for."""
    channels, named = {group.name: group.channels for group in groups}, dict(design.named)
    strange = [group for group, width in named.items() if not width <= channels.get(group, 0)]
    if strange:
        first = strange[0]
        rule = f"the design {name!r} keeps {named[first]} channels of {first}, which has {channels.get(first, 'none')} in {dense.name}"
        hint = "Leave network.options out, or write prune.widths as one number for each group that `regrow plan --json` shows."
        raise _wrong("prune.widths", rule, hint)
    return tuple(named.get(group.name, group.channels) for group in groups)


def _scaled_design(design: Design, dense: NetworkSpec, groups: Sequence[GroupInfo]) -> tuple[int, ...]:
    pairs = zip(design.widths, groups, strict=True)
    return tuple(min(group.channels, scaled(width, dense.width)) for width, group in pairs)


def _given(widths: tuple[int, ...], dense: NetworkSpec, groups: Sequence[GroupInfo]) -> tuple[int, ...]:
    if len(widths) != len(groups):
        rule = f"{dense.name} has {len(groups)} prunable groups and needs one width for each; found {len(widths)}"
        raise _wrong("prune.widths", rule, f"The dense network has {list(dense.widths)}.")
    faults = [
        Fault(
            where=_WHERE,
            key="prune.widths",
            rule=f"number {index} is for {group.name}, which has {group.channels} channels; found {width}",
            hint=f"Write a number from 1 to {group.channels}.",
        )
        for index, (width, group) in enumerate(zip(widths, groups, strict=True), start=1)
        if not 1 <= width <= group.channels
    ]
    if faults:
        raise ConfigError(faults=faults)
    return widths


def _by_stage(
    stages: Sequence[float], skipped: frozenset[str], dense: NetworkSpec, groups: Sequence[GroupInfo]
) -> tuple[int, ...]:
    expected = 1 + max(group.stage for group in groups)
    if len(stages) != expected:
        rule = f"{dense.name} has {expected} stages and needs one fraction for each; found {len(stages)}"
        raise _wrong("prune.stages", rule, "0 leaves a stage whole.")
    return tuple(_kept(group, stages[group.stage], skipped) for group in groups)


def _kept(group: GroupInfo, fraction: float, skipped: frozenset[str]) -> int:
    return group.channels if group.name in skipped or fraction == 0 else kept_of(group.channels, fraction)


def skipped_groups(skip: Iterable[int | str], dense: NetworkSpec, groups: Sequence[GroupInfo]) -> frozenset[str]:
    """Names of the skipped groups, given by name, by a pattern of names (`blocks.0.*`) or by position."""
    found: set[str] = set()
    faults: list[Fault] = []
    for entry in skip:
        meant = {group.name for group in groups if _is_meant(entry, group)}
        found |= meant
        if not meant:
            rule = f"{dense.name} has no prunable group {entry!r}"
            faults.append(_fault("prune.skip", rule, _closest(entry, dense, groups)))
    if faults:
        raise ConfigError(faults=faults)
    return frozenset(found)


def _is_meant(entry: int | str, group: GroupInfo) -> bool:
    return entry == group.position if isinstance(entry, int) else fnmatch.fnmatchcase(group.name, entry)


def _closest(entry: int | str, dense: NetworkSpec, groups: Sequence[GroupInfo]) -> str:
    """What may have been meant; a network has up to a hundred groups, too many to list in an error."""
    if not groups:
        return "It has none at all."
    if isinstance(entry, int):
        nearest = sorted(groups, key=lambda group: abs(group.position - entry))[:2]
        return "The nearest are " + " and ".join(f"{group.position} ({group.name})" for group in nearest) + "."
    names = [group.name for group in groups]
    close = [name for name in names if entry in name][:2] or difflib.get_close_matches(entry, names, n=2, cutoff=0)
    listed = "`regrow plan --json`" if is_foreign(dense.name) else "`regrow list networks --json`"
    return f"The closest are {' and '.join(close)}; {listed} shows all."


def _wrong(key: str, rule: str, hint: str) -> ConfigError:
    return ConfigError(faults=[_fault(key, rule, hint)])


def _fault(key: str, rule: str, hint: str) -> Fault:
    return Fault(where=_WHERE, key=key, rule=rule, hint=hint)
