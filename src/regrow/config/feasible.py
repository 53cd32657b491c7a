"""Rules about what can be built: every data set's facts are known and every network can be pruned as asked.

They ask the modules that will do it, so a study is refused in the words of the code that would have failed. Nothing is
opened and no torch is imported: data sets and networks say their shapes in their tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from regrow.config.faults import fault, key_of, twice
from regrow.config.words import show
from regrow.errors import ConfigError, Fault, RegrowError, did_you_mean

if TYPE_CHECKING:
    from regrow.config.study import Study
    from regrow.data.datasets import Facts
    from regrow.networks.spec import NetworkSpec
    from regrow.pruning.guide import Guide


def facts_are_declared(study: Study) -> Iterator[Fault]:
    """Formats declare what cannot be known unopened; splits leave examples to train on."""
    from regrow.data.datasets import facts

    for i, data in enumerate(study.data):
        try:
            facts(data)
        except RegrowError as error:
            yield from reworded(error, key_of("data", i, study.data))


def labels_differ(study: Study) -> Iterator[Fault]:
    """Reports tell data sets apart by their label."""
    for label in twice(facts.label for _, facts in _all_facts(study)):
        yield fault(
            "data", f"two data sets are called {show(label)} in the report", "Give each [[data]] its own label."
        )


def networks_exist(study: Study) -> Iterator[Fault]:
    """Every network can be built for every data set."""
    for i, facts in _all_facts(study):
        for j in range(len(study.network)):
            try:
                _spec(study, j, facts)
            except RegrowError as error:
                where = f" on data #{i + 1}" if len(study.data) > 1 else ""
                yield from (
                    fault(one.key, one.rule + where, one.hint)
                    for one in reworded(error, key_of("network", j, study.network))
                )


def prunings_are_meant_for_something(study: Study) -> Iterator[Fault]:
    """What a [[prune]] is kept to are networks and data sets of the study, and every network is pruned somehow."""
    labels = [facts.label for _, facts in _all_facts(study)]
    known = {"networks": [one.name for one in study.network], "datasets": labels}
    kept = [(i, field, name) for i, one in enumerate(study.prune) for field in known for name in getattr(one, field)]
    for i, field, name in kept:
        if name not in known[field]:
            rule, hint = f"the study has none called {show(name)}", did_you_mean(name, known[field])
            yield fault(key_of("prune", i, study.prune, field), rule, hint)
    for (j, network), label in product(enumerate(study.network), labels):
        if not any(prune.meant_for(network.name, label) for prune in study.prune):
            hint = "Add a [[prune]] for it, or leave the network out."
            yield fault(key_of("network", j, study.network), f"no [[prune]] is meant for it on {label}", hint)


def prunings_exist(study: Study) -> Iterator[Fault]:
    """Every network can be pruned by every amount; a fault that several networks share is told once."""
    told: dict[str, Fault] = {}
    for _, facts in _all_facts(study):
        for j in range(len(study.network)):
            for one in _pruning_faults(study, _spec(study, j, facts), facts.label):
                told.setdefault(str(one), one)
    return iter(told.values())


def _pruning_faults(study: Study, dense: NetworkSpec, data: str) -> Iterator[Fault]:
    from regrow.networks.prunable import prunable_of_zoo
    from regrow.networks.sources import is_foreign
    from regrow.pruning.wanted import wanted
    from regrow.pruning.widths import design_faults, foreign_faults, skipped_groups, target_widths

    prunings = [(i, prune) for i, prune in enumerate(study.prune) if prune.meant_for(dense.name, data)]
    if is_foreign(dense.name):  # its groups are known when it was traced; that takes torch
        for i, prune in prunings:
            for one in foreign_faults(prune, dense):
                yield from reworded(ConfigError(faults=[one]), key_of("prune", i, study.prune))
        return
    asked = [
        (i, wanted(prune, method, fraction, study.folder))
        for i, prune in prunings
        for method in prune.methods
        for fraction in prune.fractions or (None,)
    ]
    for i, wish in asked:
        if wish.guide is not None and (wrong := _misfit(wish.guide, dense)):
            yield fault(key_of("prune", i, study.prune, "guide"), wrong, "Use a guide of the same family of networks.")
        try:
            if wish.named_widths:
                target_widths(wish.prune, dense, wish.fraction)
            elif wish.named_blocks and (faults := design_faults(str(wish.prune.widths), dense)):
                raise ConfigError(faults=faults)
            elif not wish.masked:
                skipped_groups(wish.prune.skip, dense, prunable_of_zoo(dense).groups)
        except RegrowError as error:
            yield from reworded(error, key_of("prune", i, study.prune))


def _misfit(guide: Guide, dense: NetworkSpec) -> str:
    from regrow.networks.prunable import prunable_of_zoo
    from regrow.pruning.guide import misfit

    return misfit(guide, dense.name, 1 + max(group.stage for group in prunable_of_zoo(dense).groups))


def _all_facts(study: Study) -> list[tuple[int, Facts]]:
    from regrow.data.datasets import facts

    return [(i, facts(data)) for i, data in enumerate(study.data)]


def _spec(study: Study, index: int, facts: Facts) -> NetworkSpec:
    from regrow.networks.sources import dense_network

    return dense_network(study.network[index], classes=facts.classes, shape=facts.shape, folder=study.folder)[0]


def reworded(error: RegrowError, key: str) -> Iterator[Fault]:
    """An error of the code below as faults at a table's key (`data`, `prune #2`): its own faults where it has them.

    >>> from regrow.errors import ConfigError
    >>> one = Fault(where="study", key="data.shape", rule="must be declared")
    >>> [fault.key for fault in reworded(ConfigError(faults=[one]), "data #2")]
    ['data #2.shape']
    """
    if not isinstance(error, ConfigError) or not error.faults:
        rule, _, hint = str(error).partition(". ")
        yield fault(key, rule, hint)
        return
    section = key.partition(" #")[0]
    for one in error.faults:
        field = one.key.removeprefix(f"{section}.") if one.key.startswith(f"{section}.") else ""
        yield fault(f"{key}.{field}" if field else key, one.rule, one.hint)
