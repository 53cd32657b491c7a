"""Our numbers beside the published ones: which published rows belong to a case, and what can be said of the two.

A study names its table (`published = "table1"`). A case is laid beside the rows of that table for the same network, method and
amount; the data set may be another one, which is said. Nothing is shown where nothing matches.

Accuracies are in percent, differences in percentage points. Everything here is a pure function of a results dict.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from regrow.evaluation.published import (
    Estimate,
    agreement,
    distance,
    own_difference,
    published_difference,
    ratio_too_low,
)
from regrow.published.numbers import Kind, Number, of_table
from regrow.published.tables import TABLES, Protocol
from regrow.report.cases import Case, Results, cases
from regrow.report.published_protocol import Ours, Settings, base_name, differences, is_data_set, part

ORDER: Final = ("dense", "pruned", "ticket", "fine-tune", "scratch-e", "scratch-b")
"""Of published arms."""

DIFFERENCES: Final = ("pruned", "ticket", "fine-tune", "scratch-b", "scratch-e")
"""A difference is the earlier minus the later of two of these; the first one is what its table is about."""

STAND_INS: Final[Mapping[str, tuple[str, ...]]] = {
    "scratch-b": ("scratch-b", "scratch-b0", "scratch-b0-cap", "scratch-b1", "scratch-b-scaled"),
    "scratch-e": ("scratch-e", "scratch-e-scaled"),
}
"""Our arms that a published one is laid beside: the first that has its budget convention, else the first that was run."""

_BUDGETS: Final = {"scratch-b0": "B0", "scratch-b0-cap": "B0-cap", "scratch-b1": "B1"}

_PLAIN: Final = re.compile(r"[\d.]+ %( from (scratch|dense))?( strength \S+)?")
"""Designs that remove the plain fraction: how it was found may differ, what it is a share of may not."""

Theirs = Mapping[str, Mapping[Kind, Number]]
"""Published numbers by arm and kind."""


def comparison_rows(results: Results) -> list[dict[str, Any]]:
    """One row for each case that the study's published table knows; as JSON would hold it. Keys:

    table, title, source                          of the published table
    network, data, method, fraction, design       of our case; `published_data`: the data set of the table
    unit                                          accuracy, or change against the unpruned network
    arms             arm; `theirs`: mean, std, n, mark, std_mark, source, note, epochs; `ours`: arm, mean, std, n, epochs
    differences      a, b; `theirs`, `ours`, `distance` (ours - theirs): mean, ci95, n, mark; `word`, `reasons`
    protocol         what, theirs, ours: how the two were made, where it differs
    remarks          what a reader of the published numbers has to know
    """
    return [row for case in cases(results) if (row := comparison_row(results, case)) is not None]


def comparison_row(results: Results, case: Case) -> dict[str, Any] | None:
    """The row of one case; None where the study names no table, or the table does not know the case."""
    name = table_of(results)
    found = matching(of_table(name), case)
    if not found:
        return None
    data, network = found[0].data, found[0].network
    table, theirs = TABLES[name], _by_arm(found)
    protocol = table.protocol(data, network)
    ours = _ours(results, case, theirs, protocol)
    if any(ours.train.get(key) != getattr(protocol, key) for key in table.only):
        return None
    unit = _unit(theirs)
    return {
        "table": name,
        "title": table.title,
        "source": table.source,
        **{key: getattr(case, key) for key in ("network", "data", "variant", "method", "fraction", "design")},
        "published_data": data,
        "unit": unit,
        "arms": [_arm_row(arm, theirs, unit, ours) for arm in theirs],
        "differences": _difference_rows(theirs, ours, data),
        "protocol": differences(protocol, data, ours),
        "remarks": list(table.remarks_on(data, network)),
    }


def table_of(results: Results) -> str:
    """The published table that the study names; empty where it names none, or one that is not known."""
    name = part(part(results, "study"), "settings").get("published")
    return name if isinstance(name, str) and name in TABLES else ""


def matching(numbers: Iterable[Number], case: Case) -> list[Number]:
    """The published numbers of this case and of its dense network, on one data set; none without a pruned network among them."""
    name = base_name(case.network)
    own = [
        one
        for one in numbers
        if one.target and one.metric == "top-1" and (one.network, one.method) == (name, case.method)
    ]
    pruned = [one for one in own if one.arm != "dense" and same_amount(one, case)]
    if not pruned:
        return []
    data = _data_set(list(dict.fromkeys(one.data for one in pruned)), case)
    return [one for one in own if one.data == data and (one.arm == "dense" or one in pruned)]


def same_amount(number: Number, case: Case) -> bool:
    """Whether a published network and ours lost the same."""
    if number.design and number.design == case.design:
        return True
    same = number.fraction is not None and case.fraction is not None and abs(number.fraction - case.fraction) < 1e-9
    return same and _PLAIN.fullmatch(case.design) is not None


def _data_set(known: Sequence[str], case: Case) -> str:
    """Of the published data sets ours itself, else one with as many classes, else the first."""
    same = [name for name in known if is_data_set(case.data, name)]
    classes = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
    alike = [name for name in known if classes.get(name) == case.dataset.get("classes", 0)]
    return [*same, *alike, *known][0]


def _by_arm(found: Sequence[Number]) -> Theirs:
    held = {arm: {one.kind: one for one in found if one.arm == arm} for arm in ORDER}
    return {arm: kinds for arm, kinds in held.items() if kinds}


def _ours(results: Results, case: Case, theirs: Theirs, protocol: Protocol) -> Ours:
    arms = {arm: own for arm in theirs if (own := _stand_in(arm, case, protocol))}
    known = {"dense": protocol.epochs, "ticket": protocol.epochs, "scratch-e": protocol.epochs}
    known |= {"fine-tune": protocol.fine_tune_epochs} if protocol.fine_tune_epochs else {}
    known |= {arm: one.epochs for arm, kinds in theirs.items() for one in kinds.values() if one.epochs is not None}
    return Ours(
        case=case,
        settings=settings_of(results, case.variant),
        arms=arms,
        scratch=_budget(arms["scratch-b"], case) if "scratch-b" in arms else None,
        lengths={arm: known[arm] for arm in theirs if arm in known},
    )


def settings_of(results: Results, variant: str = "") -> Settings:
    """The study's settings, with the values of one of its recipes in place."""
    settings = part(part(results, "study"), "settings")
    recipes = settings.get("variant")
    for recipe in recipes if isinstance(recipes, list) and variant else ():
        if isinstance(recipe, Mapping) and recipe.get("name") == variant:
            return {**settings, **{key: {**part(settings, key), **part(recipe, key)} for key in ("train", "retrain")}}
    return settings


def _stand_in(arm: str, case: Case, protocol: Protocol) -> str | None:
    """Our arm for a published one."""
    run = [name for name in STAND_INS.get(arm, (arm,)) if case.find(name) is not None]
    if arm == "pruned" and case.pruned:
        return arm
    exact = [name for name in run if arm == "scratch-b" and _budget(name, case) == protocol.convention]
    return next(iter([*exact, *run]), None)


def _budget(arm: str, case: Case) -> str | None:
    """The budget convention of one of our arms that stand in for Scratch-B."""
    if arm in _BUDGETS:
        return _BUDGETS[arm]
    rows = [row for row in (case.verdict, *case.pairs) if row is not None and arm in (row["a"], row["b"])]
    return next((str(row["convention"]) for row in rows if row.get("convention")), None)


def _unit(theirs: Theirs) -> Kind:
    """Accuracy, where every pruned network has one; else change."""
    return "accuracy" if all("accuracy" in kinds for kinds in theirs.values()) else "change"


def _arm_row(arm: str, theirs: Theirs, unit: Kind, ours: Ours) -> dict[str, Any]:
    number = theirs[arm].get(unit) or next(iter(theirs[arm].values()))
    keys = ("kind", "mean", "std", "n", "mark", "std_mark", "source", "note")
    published = {key: getattr(number, key) for key in keys} | {"epochs": ours.lengths.get(arm)}
    return {"arm": arm, "theirs": published, "ours": _own_arm(arm, number.kind, ours)}


def _own_arm(arm: str, kind: Kind, ours: Ours) -> dict[str, Any] | None:
    name = ours.arms.get(arm)
    if name is None:
        return None
    found = ours.case.find(name)
    values = [row["test_accuracy_stale"] for row in ours.case.pruned if row.get("test_accuracy_stale") is not None]
    values = found.values("test_accuracy") if found else values
    change, dense = kind == "change", ours.case.dense
    zero = 0.0 if not change else dense.accuracy if dense else None
    if not values or zero is None:
        return None
    return {
        "arm": name,
        "mean": statistics.fmean(values) - zero,
        "std": statistics.stdev(values) if len(values) > 1 and not change else None,
        "n": len(values),
        "epochs": found.only("epochs") if found else None,
    }


def _difference_rows(theirs: Theirs, ours: Ours, data: str) -> list[dict[str, Any]]:
    """Every pair of pruned arms that was published and that we compared too."""
    rows = []
    for a, b in combinations([arm for arm in DIFFERENCES if arm in theirs], 2):
        published, own = _published_pair(theirs[a], theirs[b]), _own_pair(ours.arms.get(a), ours.arms.get(b), ours.case)
        if published is not None and own is not None:
            word, reasons = agreement(own, published, [*_smaller(a, b, ours, data), *_unsure(published)])
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "theirs": _estimate(published),
                    "ours": {key: value for key, value in _estimate(own).items() if key != "mark"},
                    "distance": _estimate(distance(own, published)),
                    "word": word,
                    "reasons": reasons,
                }
            )
    return rows


def _published_pair(a: Mapping[Kind, Number], b: Mapping[Kind, Number]) -> Estimate | None:
    """In accuracies where both have one, else in changes."""
    kinds: tuple[Kind, ...] = ("accuracy", "change")
    return next((published_difference(a[kind], b[kind]) for kind in kinds if kind in a and kind in b), None)


def _own_pair(a: str | None, b: str | None, case: Case) -> Estimate | None:
    """Our difference of two arms, whichever way round it was taken."""
    for row in (case.verdict, *case.pairs):
        if row is not None and (row["a"], row["b"]) == (a, b):
            return own_difference(row)
        if row is not None and (row["a"], row["b"]) == (b, a):
            found = row.get("ci95")
            flipped = None if found is None else [-found[1], -found[0]]
            return own_difference({**row, "mean": -row["mean"], "ci95": flipped})
    return None


def _smaller(a: str, b: str, ours: Ours, data: str) -> list[str]:
    """In what our study is too small, or too different, to agree or disagree."""
    reasons = [] if is_data_set(ours.case.data, data) else [f"another data set ({ours.case.data})"]
    reasons += [f"reduced width ({ours.width:g})"] if ours.width < 1 else []
    short = [words for arm in ("dense", a, b) if (words := _short(arm, ours))]
    return [*reasons, f"reduced epochs ({', '.join(short)})"] if short else reasons


def _short(arm: str, ours: Ours) -> str:
    """Our epochs of the published ones, where they are fewer than half."""
    found = ours.case.find(ours.arms.get(arm, ""))
    epochs = found.only("epochs") if found else None
    return f"{arm} {epochs:g} of {ours.lengths[arm]}" if ratio_too_low(epochs, ours.lengths.get(arm)) else ""


def _unsure(published: Estimate) -> list[str]:
    return ["the published numbers are recalled with little certainty"] if published.mark == "recalled-unsure" else []


def _estimate(one: Estimate) -> dict[str, Any]:
    interval = one.interval
    return {"mean": one.mean, "ci95": None if interval is None else list(interval), "n": one.n, "mark": one.mark}
