"""Variants: each is checked as [train] and [retrain] would be with its values in place, and told where it is written. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from regrow.config.faults import fault, key_of, overlaps, twice
from regrow.config.fields import read_part
from regrow.config.words import show
from regrow.errors import Fault

if TYPE_CHECKING:
    from regrow.config.study import Study

RECIPE: Final = ("train", "retrain")
"""The tables that a variant may change."""


def variant_faults(study: Study, tables: Mapping[str, Any], wrong: Collection[str]) -> list[Fault]:
    """What is wrong with the values of a study's variants, each by itself. `study` may lack what `wrong` names."""
    if any(overlaps(name, key) for name in ("variant", *RECIPE) for key in wrong):
        return []
    found = [*_names(study)]
    for index, variant in enumerate(study.variant):
        for section in RECIPE:
            found += _section_faults(section, tables.get(section, {}), getattr(variant, section), index, study.variant)
    return found


def _names(study: Study) -> Iterator[Fault]:
    for name in twice(one.name for one in study.variant):
        yield fault("variant", f"every variant has a name of its own; found {show(name)} twice", "Rename one of them.")


def _section_faults(
    section: str, written: Mapping[str, Any], changed: Mapping[str, Any], index: int, variants: Sequence[Any]
) -> Iterator[Fault]:
    """The faults of one table with a variant's values in it, at the keys of the variant."""
    if not isinstance(written, Mapping):
        return
    for one in read_part(section, {**written, **changed}).faults:
        yield dataclasses.replace(one, key=key_of("variant", index, variants, one.key))
