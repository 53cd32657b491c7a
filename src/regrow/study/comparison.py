"""Comparisons: a study taken apart into network x data x variant x method x fraction. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from regrow.config.study import Study
from regrow.data.datasets import Facts, facts
from regrow.data.settings import DataSettings
from regrow.errors import ConfigError, Fault
from regrow.files import canonical_json, digest
from regrow.networks.prunable import Prunable, prunable_of_zoo
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import Access, dense_network, is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.pruning.wanted import Wanted, wanted
from regrow.pruning.widths import skipped_groups, target_widths

Traces = Callable[[NetworkSpec, Access], "Prunable | None"]
"""What of a network from elsewhere can be pruned; None while it was not traced."""

NO_METHOD: dict[str, str | None] = {"method": "", "fraction": None, "design": ""}
"""Columns of rows about the dense network, which all methods share."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One network, on one data set, pruned by one method and one amount."""

    data: DataSettings
    facts: Facts
    dense: NetworkSpec
    pruned: NetworkSpec | None
    """The small network, where the study itself names its widths; None where a stage has to find them."""

    prunable: Prunable
    """The dense network's groups."""

    access: Access
    """Where the networks' code lies, if they come from elsewhere; part of no stage's key."""

    wanted: Wanted
    """The method, and what is asked of it."""

    design: str
    """For people: `50 %`, `vgg16-a`, ..."""

    variant: str = ""
    """Which of the study's recipes; empty where it has one."""

    @property
    def method(self) -> str:
        """The method's name."""
        return self.wanted.method

    @property
    def fraction(self) -> float | None:
        """Share removed; None where stages, widths, rounds or zeros say how much."""
        return self.wanted.fraction

    @property
    def local(self) -> dict[str, str]:
        """Where code that is not regrow's lies on this machine; part of no stage's key."""
        return self.access.to_local() | ({"method_place": self.wanted.place} if self.wanted.place else {})

    @property
    def skip(self) -> tuple[str, ...]:
        """What stays whole, where the widths do not say so already: names of groups, or patterns of tensors where weights go."""
        if self.wanted.masked:
            return tuple(map(str, self.wanted.prune.skip))
        if self.wanted.named_widths:
            return ()
        return tuple(sorted(skipped_groups(self.wanted.prune.skip, self.dense, self.prunable.groups)))

    @property
    def label(self) -> str:
        """For people: network, method, design and recipe, e.g. `vgg11 l1 50 %`."""
        return " ".join(filter(None, (self.dense.name, self.method, self.design, self.variant)))

    @property
    def columns(self) -> dict[str, str | float | None]:
        """The key columns that every row of the results starts with."""
        return {
            "network": network_name(self.dense),
            "data": self.facts.label,
            "variant": self.variant,
            "method": self.method,
            "fraction": self.fraction,
            "design": self.design,
        }


def network_name(dense: NetworkSpec) -> str:
    """How results call a dense network: its name, its width where that is not 1, and its options where it has some."""
    options = [f"{key}={_option(value)}" for key, value in dense.arguments.items()]
    return " ".join([dense.name, *([] if dense.width == 1 else [f"x{dense.width:g}"]), *options])


def _option(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _untraced(dense: NetworkSpec, access: Access) -> None:
    """Nothing is known of any network from elsewhere."""
    del dense, access


def comparisons(study: Study, traces: Traces = _untraced) -> Iterator[Comparison]:
    """Every comparison of a study, in the order of its file; those of networks from elsewhere only where they were traced."""
    for data, network in product(study.datasets, study.networks):
        dense, access = named_network(study, data, network)
        prunable = traces(dense, access) if is_foreign(dense.name) else prunable_of_zoo(dense)
        if prunable is not None:
            yield from _family(study, data, replace(dense, widths=prunable.widths), prunable, access)


def named_network(study: Study, data: DataSettings, network: NetworkSettings) -> tuple[NetworkSpec, Access]:
    """A study's dense network for one data set, and its code's access; widths are empty for a network from elsewhere."""
    known = facts(data)
    dense, access = dense_network(network, classes=known.classes, shape=known.shape, folder=study.folder)
    return dense, replace(access, trust=study.trusted)


def foreign_networks(study: Study) -> list[tuple[NetworkSpec, Access]]:
    """Every network from elsewhere that has to be traced before the study's comparisons are known."""
    named = [named_network(study, data, network) for data, network in product(study.datasets, study.networks)]
    return [(dense, access) for dense, access in named if is_foreign(dense.name)]


def _family(
    study: Study, data: DataSettings, dense: NetworkSpec, prunable: Prunable, access: Access
) -> Iterator[Comparison]:
    asked = [
        wanted(prune, method, fraction, study.folder)
        for prune in study.prunings
        if prune.meant_for(dense.name, facts(data).label)
        for method in prune.methods
        for fraction in prune.fractions or (None,)
    ]
    recipes = [one.name for one in study.variant] or [""]
    for variant, one in product(recipes, asked):
        _check_norms(one, dense, prunable)
        widths = target_widths(one.prune, dense, one.fraction, prunable) if one.named_widths else None
        yield Comparison(
            data=data,
            facts=facts(data),
            dense=dense,
            pruned=None if widths is None else replace(dense, widths=widths),
            prunable=prunable,
            access=access,
            wanted=one,
            design=_design(one),
            variant=variant,
        )


def _check_norms(one: Wanted, dense: NetworkSpec, prunable: Prunable) -> None:
    """Raise `ConfigError` where a method reads the scales of norm layers that the network does not have."""
    if not one.row.needs_norms or one.removes != "channels":
        return
    skipped = skipped_groups(one.prune.skip, dense, prunable.groups)
    left = [name for name in prunable.normless if name not in skipped]
    if left:
        names = ", ".join(left[:3]) + (" ..." if len(left) > 3 else "")
        rule = f"{one.method} reads the scales of norm layers, and in {dense.name} no norm layer follows {names}"
        hint = "Use a method that reads weights (l1, taylor), one with factors of its own (sss), or prune.skip for these groups."
        raise ConfigError(faults=[Fault(where="study", key="prune.method", rule=rule, hint=hint)])


def _design(one: Wanted) -> str:
    prune = one.prune
    if one.fraction is not None:
        return f"{one.fraction * 100:g} %{_detail(one)}"
    if prune.per_round is not None:
        return f"{prune.rounds} rounds of {prune.per_round * 100:g} %{_detail(one)}"
    if prune.of == "zeros":
        return f"zeros{_detail(one)}"
    if isinstance(prune.widths, str):
        return prune.widths
    if prune.widths is not None:
        return f"widths {digest(prune.widths)[:6]}"
    skipped = f" but {', '.join(map(str, prune.skip))}" if prune.skip else ""
    return "stages " + "/".join(f"{share * 100:g}" for share in prune.stages or ()) + f" %{skipped}"


def _detail(one: Wanted) -> str:
    """What tells a design apart from the plain one of its method; empty for that."""
    said: dict[str, Any] = {
        f" of {one.of}": one.prune.of not in (None, "zeros", one.removes),
        f" {one.removes}": one.prune.remove not in (None, one.row.removes[0]),
        f" {one.scope}": one.prune.scope not in (None, one.row.scope),
        f" {one.prune.pattern}": bool(one.prune.pattern),
        f" in {one.prune.rounds} rounds": one.prune.rounds > 1 and one.fraction is not None,
        f" from {one.start}": one.prune.start is not None and one.row.while_training,
        f" strength {one.prune.strength}": one.prune.strength is not None,
        f" guide {one.guide.digest[:6] if one.guide else ''}": one.guide is not None,
    }
    return "".join(words for words, holds in said.items() if holds)
