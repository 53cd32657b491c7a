"""Rules about pruning: what a method can remove, and which settings mean something beside which. Imports no torch.

A setting that would be ignored is a mistake, and so is one that asks a method for what it cannot do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from regrow.config.faults import fault, key_of
from regrow.config.words import show
from regrow.errors import ConfigError, Fault
from regrow.pruning.guide import MAKE_ONE, read_guide
from regrow.pruning.methods import METHODS
from regrow.pruning.wanted import Wanted, wanted
from regrow.retraining.arms import ARMS

if TYPE_CHECKING:
    from regrow.config.study import Study


def _asked(study: Study) -> Iterator[tuple[str, Wanted]]:
    """Every method of the study with the key of its table."""
    for i, prune in enumerate(study.prune):
        for method in prune.methods:
            yield key_of("prune", i, study.prune), wanted(prune, method, (prune.fractions or (None,))[0], study.folder)


def methods_can(study: Study) -> Iterator[Fault]:
    """Every method removes what it is asked to remove, in a way that it knows."""
    for table, one in _asked(study):
        yield from _wrong_target(table, one)
        yield from _wrong_share(table, one)
        yield from _wrong_mask(table, one)
        yield from _wrong_design(table, one)
        yield from _idle(table, one)


def guides_are_there(study: Study) -> Iterator[Fault]:
    """Methods that follow a guide have one that can be read and says what they need; other methods have none."""
    for i, prune in enumerate(study.prune):
        key = key_of("prune", i, study.prune, "guide")
        for method in prune.methods:
            follows = method in METHODS and METHODS[method].needs_guide
            if follows and prune.guide is not None:
                yield from _unfit_guide(key, study.folder / prune.guide, METHODS[method].removes[0])
            elif follows:
                yield fault(
                    key, f"{method} follows a guide; found none", f'{MAKE_ONE} Then write guide = "guide.json".'
                )
            elif prune.guide is not None:
                hint = f"It is for {' and '.join(_guided())}; leave it out, or write two [[prune]] tables."
                yield fault(key, f"{method} follows no guide", hint)


def _guided() -> list[str]:
    return [name for name, row in METHODS.items() if row.needs_guide]


def _unfit_guide(key: str, path: Path, removes: str) -> Iterator[Fault]:
    """The guide cannot be read, or is of channels where weights go, or of weights where channels go."""
    try:
        guide = read_guide(path)
    except ConfigError as error:
        for one in error.faults:
            yield fault(key, f"{one.where}: {one.key + ': ' if one.key else ''}{one.rule}", one.hint)
        return
    found = "channels" if guide.channels is not None else "weights"
    if found != removes:
        rule = f"{path.name} holds shares of {found}, found by {guide.source.method}; this method removes {removes}"
        hint = {"channels": "guided", "weights": "guided-sparsity"}[found]
        yield fault(key, rule, f"Write method = {show(hint)}, or make a guide from a method that removes {removes}.")


def _wrong_target(table: str, one: Wanted) -> Iterator[Fault]:
    if one.removes not in one.row.removes:
        rule = f"{one.method} removes {' or '.join(one.row.removes)}; found {show(one.removes)}"
        others = ", ".join(name for name, row in METHODS.items() if one.removes in row.removes)
        yield fault(f"{table}.remove", rule, f"Methods that remove {one.removes}: {others}.")
    said = "widths" if one.prune.widths is not None else "stages" if one.prune.stages is not None else ""
    if said and one.removes != "channels" and not one.named_blocks:
        rule = f"says how many channels stay; {one.method} removes {one.removes}"
        yield fault(f"{table}.{said}", rule, "Give a fraction.")


def _wrong_share(table: str, one: Wanted) -> Iterator[Fault]:
    prune = one.prune
    if prune.of == "zeros" and one.row.kind != "sparsifier":
        rule = f'"zeros" needs a method that drives scales to zero; found {show(one.method)}'
        yield fault(f"{table}.of", rule, "Use sss, slimming or soft, or give a fraction.")
    elif prune.of is not None and prune.of != "zeros" and one.removes != "channels":
        rule = f"{one.removes} are counted, so a share of {prune.of} cannot be asked for"
        yield fault(f"{table}.of", rule, "Leave it out.")
    if one.method == "soft" and not (one.named_widths or one.computed_widths):
        rule = (
            "soft zeroes a given number of filters in each group while it trains, so it cannot rank them all at the end"
        )
        yield fault(f"{table}.scope", rule, 'Write scope = "group", and of = "channels", "macs" or "params".')
    if prune.scope == "global" and (prune.widths is not None or prune.stages is not None):
        yield fault(
            f"{table}.scope", "one ranking over all groups finds the widths itself", "Leave widths and stages out."
        )


def _wrong_mask(table: str, one: Wanted) -> Iterator[Fault]:
    prune = one.prune
    if prune.pattern:
        kept, of = (int(number) for number in prune.pattern.split(":"))
        if not one.masked:
            rule = f"{prune.pattern} is a pattern of single weights; {one.method} removes {one.removes}"
            yield fault(f"{table}.pattern", rule, 'Write remove = "weights", or leave the pattern out.')
        if kept >= of:
            yield fault(
                f"{table}.pattern", f"n of m weights stay, n below m; found {show(prune.pattern)}", "Write 2:4."
            )
    if prune.rounds > 1 and not one.masked:
        rule = f"rounds remove single weights; {one.method} removes {one.removes}"
        yield fault(f"{table}.rounds", rule, 'Use a method that removes weights, or remove = "weights".')
    if prune.rounds > 1 and one.row.while_training:
        rule = f"{one.method} has a training of its own, which is not repeated"
        yield fault(f"{table}.rounds", rule, "Leave rounds out, or use magnitude.")


def _wrong_design(table: str, one: Wanted) -> Iterator[Fault]:
    """A design says itself what every group keeps; it is asked for a share that can be counted, once."""
    prune = one.prune
    if one.row.kind != "design":
        return
    for name in ("widths", "stages"):
        if getattr(prune, name) is not None:
            yield fault(f"{table}.{name}", f"{one.method} says itself what every group keeps", "Give a fraction.")
    if prune.of == "latency":
        hint = 'Write of = "macs" or of = "params".'
        yield fault(f"{table}.of", f"{one.method} is scaled to a cost that is counted; found {show(prune.of)}", hint)
    if prune.scope is not None:
        yield fault(f"{table}.scope", f"{one.method} ranks nothing; found {show(prune.scope)}", "Leave it out.")
    if prune.pattern:
        yield fault(f"{table}.pattern", f"{one.method} draws by chance and keeps no pattern", "Leave it out.")
    if prune.rounds > 1:
        yield fault(f"{table}.rounds", f"{one.method} draws once; found {prune.rounds} rounds", "Leave it out.")


def _idle(table: str, one: Wanted) -> Iterator[Fault]:
    """Settings that would be ignored."""
    prune = one.prune
    if prune.strength is not None and one.method not in ("slimming", "sss"):
        yield fault(f"{table}.strength", f"{one.method} has no penalty", "It is for slimming and sss; leave it out.")
    for name in ("start", "own_epochs"):
        if getattr(prune, name) is not None and not one.row.while_training:
            rule = f"{one.method} has no training of its own"
            yield fault(f"{table}.{name}", rule, "It is for soft, slimming, sss and gradual; leave it out.")
    if prune.round_epochs is not None and prune.rounds == 1:
        yield fault(f"{table}.round_epochs", "there is one round only", "Write rounds = 5, or leave it out.")


def rewinding_is_possible(study: Study) -> Iterator[Fault]:
    """What goes back to a step of the dense run needs a dense run; a checkpoint has only its end."""
    if study.dense.checkpoint is None:
        return
    for name in study.arms:
        if name in ARMS and ARMS[name].weights == "rewound":
            rule = f"{name} goes back to the start of dense training, and dense.checkpoint holds its end only"
            yield fault("arms", rule, "Leave the arm out, or dense.checkpoint.")
    for table, one in _asked(study):
        if one.prune.rounds > 1 and one.prune.between != "fine-tune":
            rule = "rounds go back to the start of dense training, and dense.checkpoint holds its end only"
            yield fault(f"{table}.between", rule, 'Write between = "fine-tune", or leave dense.checkpoint out.')


def arms_fit_what_is_removed(study: Study) -> Iterator[Fault]:
    """Some arms are for masks only, some need channels that chance can choose."""
    told: set[str] = set()
    for _, one in _asked(study):
        for name in study.arms:
            arm = ARMS.get(name)
            if arm is None or name in told:
                continue
            if not arm.fits(one.removes):
                told.add(name)
                rule = f"{name} is for methods that remove {arm.needs}; {one.method} removes {one.removes}"
                yield fault("arms", rule, "Leave the arm out, or write two studies.")
            elif one.removes == "blocks" and arm.channels != "chosen":
                told.add(name)
                rule = f"{name} draws channels or weights by chance, and {one.method} removes blocks"
                yield fault("arms", rule, "Leave the arm out, or write two studies.")
