"""What a study shows across its comparisons: over recipes (`[[variant]]`) and over data sizes (`data.share`).

Comparisons that are equal in all but the variant are one *recipe family*; comparisons that are equal in all but the data set, where the
data sets of the study differ in nothing but `share`, are one *data-size family*. Accuracies in percent, differences in percentage points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

from regrow.evaluation.savings import UNITS, Saving, paired_change, saving
from regrow.report.cases import ArmSummary, Case, Interval, Results, Row, arm_order, arm_row, by, cases, inherits

LENGTH: Final = "retrain.epochs"
"""The setting whose values are lengths of one retraining, so that compute can be read off between them. With `train.epochs` the dense
network changes too, and what is inherited from it is another start."""

DECADE: Final = 10.0
"""An axis is logarithmic where its largest value is more than so many times its smallest."""

FEWEST: Final = 3
"""Paired seeds below which nothing is said of a change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """Over what a family is drawn."""

    title: str
    """`retrain.epochs`, `recipe`, `share of training images`."""

    values: tuple[float, ...]
    """One for each comparison; empty where recipes have only their names."""

    log: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """What one arm saves against another, in every unit that is known."""

    inheriting: str
    fresh: str
    units: Mapping[str, Saving]
    """By `UNITS`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The gap between the arms of the primary contrast at the smallest share of images, minus that at the largest. Points."""

    a: str
    b: str
    small: str
    """Name of the data set with the smallest share."""

    large: str
    gaps: tuple[float, float]
    """Mean gap at the smallest and at the largest share, over the paired seeds."""

    mean: float
    interval: Interval | None
    """95 %, paired by seed."""

    n: int
    margin: float | None
    """Points within which two arms count as equivalent in this study; None where it is not known."""

    @property
    def word(self) -> Literal["changes", "no change seen", "cannot tell"]:
        """changes: the interval excludes 0; no change seen: it lies within the margin; else nothing can be told."""
        if self.n < FEWEST or self.interval is None:
            return "cannot tell"
        low, high = self.interval
        if low > 0 or high < 0:
            return "changes"
        return "no change seen" if self.small_at_most else "cannot tell"

    @property
    def small_at_most(self) -> bool:
        """Whether the whole interval lies within the margin."""
        if self.interval is None or self.margin is None:
            return False
        return -self.margin < self.interval[0] and self.interval[1] < self.margin


@dataclass(frozen=True, kw_only=True, slots=True)
class Across:
    """One family: comparisons that differ in one thing."""

    kind: Literal["recipes", "data"]
    cases: tuple[Case, ...]
    """In the order of the axis: recipes as the study lists them, or by their number where they have one; rising shares."""

    names: tuple[str, ...]
    """What the comparisons are called: variants or data sets."""

    axis: Axis
    savings: tuple[Saved, ...] = ()
    """Only where the recipes are lengths of one retraining."""

    change: Change | None = None
    """Only over data sizes."""

    @property
    def title(self) -> str:
        """A heading."""
        first = self.cases[0]
        where = f"{first.network} on {first.data}" if self.kind == "recipes" else first.network
        recipe = f", {first.variant}" if self.kind == "data" and first.variant else ""
        return (
            f"{'Recipes' if self.kind == 'recipes' else 'Data sizes'}: {where}, {first.method}, {first.removed}{recipe}"
        )

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Every arm that occurs, in table order."""
        return tuple(sorted({arm.arm for case in self.cases for arm in case.arms}, key=arm_order))

    @property
    def contrast(self) -> str:
        """The primary contrast, `a − b`; empty where no comparison has a verdict."""
        verdict = next((case.verdict for case in self.cases if case.verdict), None)
        return f"{verdict['a']} − {verdict['b']}" if verdict else ""

    def of(self, arm: str) -> list[tuple[int, ArmSummary]]:
        """An arm's place and summary in every comparison that has it."""
        found = [(place, case.find(arm)) for place, case in enumerate(self.cases)]
        return [(place, one) for place, one in found if one is not None and one.accuracy is not None]


def across(results: Results) -> list[Across]:
    """Every family of two or more comparisons, recipes before data sizes; empty where a study has one recipe and one size."""
    settings = (results.get("study") or {}).get("settings") or {}
    found = list(cases(results))
    return [*_recipe_families(found, settings), *_data_families(found, settings)]


def _recipe_families(found: Sequence[Case], settings: Mapping[str, Any]) -> list[Across]:
    variants = {str(one["name"]): one for one in settings.get("variant") or ()}
    listed = [case for case in found if case.variant in variants]
    groups = _grouped(listed, lambda case: (case.network, case.data, case.method, case.fraction, case.design))
    return [_recipes(group, variants, settings) for group in groups if len(group) > 1]


def _recipes(group: Sequence[Case], variants: Mapping[str, Row], settings: Mapping[str, Any]) -> Across:
    order = list(variants)
    ordered = sorted(group, key=lambda case: order.index(case.variant))
    key, values = varied([variants[case.variant] for case in ordered], settings)
    if values:
        places = sorted(range(len(values)), key=values.__getitem__)
        ordered, values = [ordered[place] for place in places], [values[place] for place in places]
    log = bool(values) and values[0] > 0 and values[-1] > DECADE * values[0]
    return Across(
        kind="recipes",
        cases=tuple(ordered),
        names=tuple(case.variant for case in ordered),
        axis=Axis(title=key or "recipe", values=tuple(values), log=log),
        savings=tuple(_savings(ordered)) if key == LENGTH else (),
    )


def _grouped(found: Iterable[Case], key: Callable[[Case], tuple[Any, ...]]) -> list[list[Case]]:
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for case in found:
        groups.setdefault(key(case), []).append(case)
    return list(groups.values())


def varied(variants: Sequence[Row], settings: Mapping[str, Any]) -> tuple[str, list[float]]:
    """The one number in which recipes differ and its value in each; "" and nothing where they differ in more, or not in a number.

    >>> recipes = [{"retrain": {"epochs": 5}}, {"train": {}}]
    >>> varied(recipes, {"retrain": {"epochs": 40}})
    ('retrain.epochs', [5.0, 40.0])
    """
    found: dict[str, list[Any]] = {}
    for table in ("train", "retrain"):
        written = settings.get(table) or {}
        changed = [one.get(table) or {} for one in variants]
        for key in dict.fromkeys(key for one in changed for key in one):
            found[f"{table}.{key}"] = [one.get(key, written.get(key)) for one in changed]
    differing = {key: values for key, values in found.items() if any(value != values[0] for value in values)}
    if len(differing) != 1:
        return "", []
    key, values = next(iter(differing.items()))
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return (key, numbers) if len(set(numbers)) == len(values) else ("", [])


def _savings(ordered: Sequence[Case]) -> list[Saved]:
    """Every arm that inherits weights against every arm that trains the same architecture from fresh ones; no controls."""
    names = sorted({arm.arm for case in ordered for arm in case.ranked}, key=arm_order)
    known = [name for name in names if arm_row(name) is not None]
    pairs = product([name for name in known if inherits(name)], [name for name in known if not inherits(name)])
    return [saved for ours, theirs in pairs if (saved := _saved(ordered, ours, theirs)).units]


def _saved(ordered: Sequence[Case], ours: str, theirs: str) -> Saved:
    inheriting, fresh = (
        [run for case in ordered if (arm := case.find(name)) for run in arm.runs] for name in (ours, theirs)
    )
    units = {unit: found for unit in UNITS if (found := saving(inheriting, fresh, unit)) is not None}
    return Saved(inheriting=ours, fresh=theirs, units=units)


def _data_families(found: Sequence[Case], settings: Mapping[str, Any]) -> list[Across]:
    made = []
    for shares in data_sizes(settings):
        sized = sorted((case for case in found if case.data in shares), key=lambda case: shares[case.data])
        groups = _grouped(sized, lambda case: (case.network, case.variant, case.method, case.fraction, case.design))
        made += [_sizes(group, shares, settings) for group in groups if len(group) > 1]
    return made


def data_sizes(settings: Mapping[str, Any]) -> list[dict[str, float]]:
    """Share of training images by the data set's name, for every group of data sets that differ in nothing else."""
    listed = settings.get("data") or []
    tables = [listed] if isinstance(listed, Mapping) else list(listed)
    groups = by(tables, lambda one: str(sorted((key, str(one[key])) for key in one if key not in ("label", "share"))))
    shares = [{data_name(one): float(one.get("share") or 1.0) for one in group} for group in groups.values()]
    return [group for group in shares if len(set(group.values())) > 1]


def data_name(table: Mapping[str, Any]) -> str:
    """What results call the data set of a `[data]` table: its label, or else its name or last folder, and the share.

    >>> data_name({"name": "digits", "share": 0.25}), data_name({"name": "hub", "hub": "some/one"}), data_name({"label": "x"})
    ('digits 25 %', 'one', 'x')
    """
    if table.get("label"):
        return str(table["label"])
    name = str(table.get("name") or "")
    place = table.get("hub") if name == "hub" else table.get("root") if name in ("parquet", "folder") else name
    share = table.get("share")
    return str(place or name).rstrip("/").rpartition("/")[2] + ("" if share is None else f" {share * 100:g} %")


def _sizes(group: Sequence[Case], shares: Mapping[str, float], settings: Mapping[str, Any]) -> Across:
    return Across(
        kind="data",
        cases=tuple(group),
        names=tuple(case.data for case in group),
        axis=Axis(title="share of training images", values=tuple(shares[case.data] for case in group), log=True),
        change=_change(group, settings),
    )


def _change(group: Sequence[Case], settings: Mapping[str, Any]) -> Change | None:
    """None where the arms of the primary contrast do not share a seed at both ends."""
    contrast = list(settings.get("contrast") or [])
    if len(contrast) != 2:
        return None
    a, b = str(contrast[0]), str(contrast[1])
    small, large = _gaps(group[0], a, b), _gaps(group[-1], a, b)
    seeds = sorted(small.keys() & large.keys())
    if not seeds:
        return None
    tested = [case.dataset.get("test") for case in (group[0], group[-1])]
    mean, interval, n = paired_change(small, large, max((100 / count for count in tested if count), default=0.0))
    return Change(
        a=a,
        b=b,
        small=group[0].data,
        large=group[-1].data,
        gaps=(sum(small[seed] for seed in seeds) / n, sum(large[seed] for seed in seeds) / n),
        mean=mean,
        interval=interval,
        n=n,
        margin=settings.get("margin"),
    )


def _gaps(case: Case, a: str, b: str) -> dict[int, float]:
    """Test accuracy of one arm minus the other's, by seed."""
    first, second = _by_seed(case, a), _by_seed(case, b)
    return {seed: first[seed] - second[seed] for seed in first.keys() & second.keys()}


def _by_seed(case: Case, name: str) -> dict[int, float]:
    arm = case.find(name)
    return {run["seed"]: float(run["test_accuracy"]) for run in arm.runs} if arm else {}
