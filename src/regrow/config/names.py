"""Rules about names: every name in a study is a row of its table, and no arm or method is named twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from regrow.config.catalog import table
from regrow.config.faults import fault, key_of, twice
from regrow.config.words import show
from regrow.errors import ConfigError, Fault, did_you_mean
from regrow.networks.sources import is_foreign, name_fault
from regrow.pruning.method_sources import foreign_method, is_foreign_method

if TYPE_CHECKING:
    from regrow.config.study import Study


def unknown(key: str, kind: str, name: str, word: str) -> Iterator[Fault]:
    """A fault if `name` is no row of the table of this kind; `word` says what it is."""
    known = table(kind)
    if name not in known:
        yield fault(key, f"no {word} is called {show(name)}", did_you_mean(name, known))


def arm_names(study: Study) -> Iterator[Fault]:
    """Arms are rows of the table, each once, and there are at least two to compare."""
    if len(study.arms) < 2:
        hint = 'For instance arms = ["fine-tune", "retrain", "scratch-b"]; `regrow list arms` shows all.'
        yield fault("arms", f"must name at least two arms; found {show(study.arms)}", hint)
    for name in dict.fromkeys(study.arms):
        yield from unknown("arms", "arms", name, "arm")
    for name in twice(study.arms):
        yield fault("arms", f"every arm may stand once; found {show(name)} twice", "Leave the second one out.")


def contrast_names(study: Study) -> Iterator[Fault]:
    """The contrast names rows of the table of arms."""
    for name in dict.fromkeys(study.contrast):
        yield from unknown("contrast", "arms", name, "arm")


def network_names(study: Study) -> Iterator[Fault]:
    """Networks are rows of the table, or written as those from elsewhere are."""
    for i, network in enumerate(study.network):
        key = key_of("network", i, study.network, "name")
        if not is_foreign(network.name):
            yield from unknown(key, "networks", network.name, "network")
        elif (wrong := name_fault(network.name)) is not None:
            yield fault(key, wrong.rule, wrong.hint)


def data_names(study: Study) -> Iterator[Fault]:
    """Data sets are rows of the table."""
    for i, data in enumerate(study.data):
        yield from unknown(key_of("data", i, study.data, "name"), "data", data.name, "data set or format")


def method_names(study: Study) -> Iterator[Fault]:
    """Methods are rows of the table, each once."""
    for i, prune in enumerate(study.prune):
        key = key_of("prune", i, study.prune, "method")
        for name in dict.fromkeys(prune.methods):
            if is_foreign_method(name):
                yield from _foreign(key, name, study.folder)
            else:
                yield from unknown(key, "methods", name, "pruning method")
        if not prune.methods:
            yield fault(
                key, "must name at least one method; found []", f"Known: {', '.join(sorted(table('methods')))}."
            )


def _foreign(key: str, name: str, folder: Path) -> Iterator[Fault]:
    """A method of somebody else's is there, as far as that can be seen without running it."""
    try:
        foreign_method(name, folder)
    except ConfigError as error:
        told = error.faults or [fault(key, str(error).partition(". ")[0], str(error).partition(". ")[2])]
        yield from (fault(key, one.rule, one.hint) for one in told)


def convention_name(study: Study) -> Iterator[Fault]:
    """The convention, where one is named, is a row of the table."""
    if study.retrain.convention is None:
        return iter(())
    return unknown("retrain.convention", "conventions", study.retrain.convention, "convention")


def published_name(study: Study) -> Iterator[Fault]:
    """The published table, where one is named, is a row of the list."""
    if not study.published:
        return iter(())
    return unknown("published", "published", study.published, "published table")


def analysis_names(study: Study) -> Iterator[Fault]:
    """Analyses are rows of the list, each once."""
    for name in dict.fromkeys(study.analyses):
        yield from unknown("analyses", "analyses", name, "analysis")
    for name in twice(study.analyses):
        yield fault("analyses", f"every analysis may stand once; found {show(name)} twice", "Leave the second one out.")


def barrier_arms(study: Study) -> Iterator[Fault]:
    """A line is drawn between two networks of one architecture: none between the dense network and a pruned one."""
    arms = table("arms")
    kinds = {getattr(arms[name], "network", "") for name in study.contrast}
    if "barrier" in study.analyses and len(kinds) > 1:
        rule = f'"barrier" needs two arms of one architecture; the contrast is {show(list(study.contrast))}'
        yield fault("analyses", rule, "Leave it out, or contrast two arms that train the pruned network.")


def design_names(study: Study) -> Iterator[Fault]:
    """Widths given as a word are a row of the table of designs."""
    for i, prune in enumerate(study.prune):
        if isinstance(prune.widths, str):
            yield from unknown(key_of("prune", i, study.prune, "widths"), "designs", prune.widths, "design")


def between_names(study: Study) -> Iterator[Fault]:
    """Contrasts between comparisons name arms, variants and methods of this study."""
    known = {
        "arm": [*study.arms, "dense"],
        "variant": [one.name for one in study.variant],
        "method": [method for prune in study.prune for method in prune.methods],
    }
    sides = [
        (i, place, getattr(between, place)) for i, between in enumerate(study.between) for place in ("first", "second")
    ]
    for (i, place, side), (field, names) in product(sides, known.items()):
        name = getattr(side, field)
        if name is not None and name not in names:
            key = key_of("between", i, study.between, f"{place}.{field}")
            yield fault(key, f"this study has no {field} {show(name)}", did_you_mean(name, names))
