"""Cases: a results dict taken apart into what tables, figures and page show, one case per network x data x method x fraction.

Results are data: nothing here is computed but means over runs, their t-intervals, sums and ratios of what stands in the rows.
Accuracies are in percent, differences in percentage points, durations in seconds, MACs are of one forward of one example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regrow.retraining.arms import ARMS, Arm

Row = Mapping[str, Any]
Results = Mapping[str, Any]
Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSummary:
    """The runs of one arm, one a seed, put together."""

    arm: str
    runs: tuple[Row, ...]
    """Sorted by seed."""

    @property
    def n(self) -> int:
        """Number of runs."""
        return len(self.runs)

    @property
    def summary(self) -> str:
        """One line of help, from the table of arms."""
        row = arm_row(self.arm)
        return "the large network that is pruned" if self.arm == "dense" else row.summary if row else ""

    @property
    def control(self) -> bool:
        """Whether this arm is reported beside the others and never pooled with them."""
        return is_control(self.arm)

    @property
    def accuracy(self) -> float | None:
        """Mean test accuracy in percent."""
        return self.mean("test_accuracy")

    @property
    def interval(self) -> Interval | None:
        """95 % t-interval of the mean test accuracy in percent; None with fewer than two runs."""
        values = self.values("test_accuracy")
        return interval(values) if len(values) == self.n else None

    def values(self, key: str) -> list[float]:
        """The known values of a column, in seed order."""
        return [run[key] for run in self.runs if run.get(key) is not None]

    def mean(self, key: str) -> float | None:
        """Mean of a column over the runs; None where no run has it."""
        return mean(self.values(key))

    def only(self, key: str) -> Any:
        """A column that all runs of an arm share: epochs, lr, MACs, parameters. Where every seed has its own, their mean."""
        return shared([run.get(key) for run in self.runs])


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One pruned architecture: a network, on one data set, pruned by one method by one fraction (or to one design)."""

    network: str
    data: str
    variant: str
    """Which of the study's recipes; empty where it has one."""

    method: str
    fraction: float | None
    architecture: Row
    """What is left; where every seed has its own widths, the means over seeds."""

    architectures: tuple[Row, ...]
    """One row, or one for every seed."""

    dense_network: Row
    dataset: Row
    arms: tuple[ArmSummary, ...]
    """dense, then the arms, then the controls, in the order of the table of arms."""

    verdict: Row | None
    pairs: tuple[Row, ...]
    pruned: tuple[Row, ...]
    prunings: tuple[Row, ...]
    """What the method found, by seed: the distribution of scales, how well it could fit."""

    tuning: tuple[Row, ...]
    ledger: tuple[Row, ...]
    curves: tuple[Row, ...]

    @property
    def design(self) -> str:
        """What was removed: `50 %`, `50 % of macs global`, `vgg16-a`, ..."""
        share = "predefined widths" if self.fraction is None else f"{self.fraction * 100:.4g} %"
        return str(self.architecture.get("design") or share)

    @property
    def masked(self) -> bool:
        """Whether single weights are masked, so that the network executes as many MACs as the dense one."""
        return self.architecture.get("kept_weights") is not None

    @property
    def removed(self) -> str:
        """What was removed, as part of a sentence."""
        what = "weights" if self.masked else "blocks" if self.architecture.get("removed") else "channels"
        if self.fraction is None:
            found = self.masked or self.design.startswith("zeros")
            return f"{what} removed, {self.design}" if found else f"pruned to {self.design}"
        share, _, more = self.design.partition(" %")
        if more.startswith(" of "):
            return f"{self.design} removed"
        return f"{share} % of {what} removed" + (f" ({more.strip()})" if more else "")

    @property
    def dense(self) -> ArmSummary | None:
        """The dense network's runs."""
        return self.find("dense")

    @property
    def ranked(self) -> tuple[ArmSummary, ...]:
        """The arms without controls and without the dense network."""
        return tuple(arm for arm in self.arms if not arm.control and arm.arm != "dense")

    @property
    def controls(self) -> tuple[ArmSummary, ...]:
        """The controls."""
        return tuple(arm for arm in self.arms if arm.control)

    def find(self, name: str) -> ArmSummary | None:
        """The arm of that name, if it was run."""
        return next((arm for arm in self.arms if arm.arm == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The cases of one network, data set and method: one section of the page."""

    network: str
    data: str
    variant: str
    method: str
    cases: tuple[Case, ...]

    @property
    def title(self) -> str:
        """A heading."""
        recipe = f", {self.variant}" if self.variant else ""
        return f"{self.network} on {self.data}, {self.method} pruning{recipe}"

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Every arm that occurs, in table order."""
        names = {arm.arm for case in self.cases for arm in case.arms}
        return tuple(sorted(names, key=arm_order))


def families(results: Results) -> tuple[Family, ...]:
    """All cases, grouped, in the order network, data, variant, method, fraction."""
    found: dict[tuple[str, str, str, str], list[Case]] = {}
    for case in cases(results):
        found.setdefault((case.network, case.data, case.variant, case.method), []).append(case)
    return tuple(
        Family(network=network, data=data, variant=variant, method=method, cases=tuple(group))
        for (network, data, variant, method), group in found.items()
    )


def cases(results: Results) -> Iterator[Case]:
    """Every network x data x recipe x method x fraction that the results know, sorted; recipes in the order of the study file."""
    keys = {
        _key(row) for name in ("architectures", "verdicts", "runs") for row in rows(results, name) if row.get("method")
    }
    tables = {
        name: _grouped(rows(results, name))
        for name in ("runs", "pairs", "pruned", "prunings", "tuning", "ledger", "curves")
    }
    settings = (results.get("study") or {}).get("settings") or {}
    recipes = {str(one["name"]): place for place, one in enumerate(settings.get("variant") or ())}
    for key in sorted(keys, key=lambda key: _sortable(key, recipes)):
        yield _case(results, key, tables)


def _case(results: Results, key: tuple[Any, ...], tables: Mapping[str, Mapping[tuple[Any, ...], list[Row]]]) -> Case:
    network, data, variant, method, fraction, _ = key
    shared = (network, data, variant, "", None, "")

    architectures = tuple(row for row in rows(results, "architectures") if _key(row) == key)

    def own(name: str) -> tuple[Row, ...]:
        return (*tables[name].get(shared, []), *tables[name].get(key, []))

    return Case(
        network=network,
        data=data,
        variant=variant,
        method=method,
        fraction=fraction,
        architecture=means_of(architectures),
        architectures=architectures,
        dense_network=next((r for r in rows(results, "networks") if (r["network"], r["data"]) == (network, data)), {}),
        dataset=next((r for r in rows(results, "data") if r["data"] == data), {}),
        arms=arm_summaries(own("runs")),
        verdict=_first(rows(results, "verdicts"), key) or None,
        pairs=own("pairs"),
        pruned=own("pruned"),
        prunings=own("prunings"),
        tuning=own("tuning"),
        ledger=own("ledger"),
        curves=own("curves"),
    )


def arm_summaries(runs: Iterable[Row]) -> tuple[ArmSummary, ...]:
    """Runs put together by arm: dense first, then in the order of the table of arms, controls last."""
    by_arm: dict[str, list[Row]] = {}
    for run in runs:
        by_arm.setdefault(run["arm"], []).append(run)
    ordered = sorted(by_arm, key=arm_order)
    return tuple(ArmSummary(arm=arm, runs=tuple(sorted(by_arm[arm], key=lambda run: run["seed"]))) for arm in ordered)


def rows(results: Results, name: str) -> Sequence[Row]:
    """A list of the results; empty where it is missing."""
    return results.get(name) or []


def arm_order(name: str) -> tuple[bool, int, str]:
    """Sort key of arms: dense, then as in the table, controls after arms, unknown names last."""
    order = ["dense", *ARMS]
    return (is_control(name), order.index(name) if name in order else len(order), name)


def arm_row(name: str) -> Arm | None:
    """The arm's row in the table of arms; None for `dense` and for names that a newer version wrote."""
    return ARMS.get(name)


def is_control(name: str) -> bool:
    """Whether the table of arms calls this arm a control."""
    row = arm_row(name)
    return row is not None and row.control


def is_dense(name: str) -> bool:
    """Whether this arm trains the dense network."""
    row = arm_row(name)
    return name == "dense" or (row is not None and row.network == "dense")


def inherits(name: str) -> bool:
    """Whether this arm starts from the dense run, at its end or rewound, and therefore owes all that came before the pruning."""
    row = arm_row(name)
    return row is not None and row.weights != "fresh"


def shared(values: Sequence[Any]) -> Any:
    """The value that all share, or else the mean of numbers, whole where they are; the first of anything else; None of nothing.

    >>> shared([3, 3]), shared([3, 4, 6]), shared(["a", "b"]), shared([])
    (3, 4, 'a', None)
    """
    if all(value == values[0] for value in values):
        return values[0] if values else None
    if not all(isinstance(value, int | float) for value in values):
        return values[0]
    middle = sum(values) / len(values)
    return round(middle) if all(isinstance(value, int) for value in values) else middle


def means_of(architectures: Sequence[Row]) -> Row:
    """One row for all seeds: what they share, and the means of what they do not, widths by group; empty of none."""
    if len(architectures) < 2:
        return dict(architectures[0]) if architectures else {}
    row = {key: shared([one.get(key) for one in architectures]) for key in architectures[0]}
    widths = [one["widths"] for one in architectures]
    row["widths"] = [shared(list(group)) for group in zip(*widths, strict=True)]
    names = architectures[0]["scratch_epochs"]
    row["scratch_epochs"] = {name: shared([one["scratch_epochs"][name] for one in architectures]) for name in names}
    return row | {"seed": None}


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing.

    >>> mean([1.0, 2.0])
    1.5
    """
    return sum(values) / len(values) if values else None


def interval(values: Sequence[float]) -> Interval | None:
    """95 % t-interval of the mean; None of fewer than two values."""
    if len(values) < 2:
        return None
    from regrow.evaluation.statistics import mean_interval

    low, high = mean_interval(values)
    return float(low), float(high)


def by(items: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Rows grouped by a key, in order of first appearance."""
    groups: dict[Any, list[Row]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _key(row: Row) -> tuple[Any, ...]:
    """A row's comparison; rows that were written before there were variants have none."""
    variant = row.get("variant") or ""
    return (row["network"], row["data"], variant, row["method"], row.get("fraction"), row.get("design") or "")


def _sortable(key: tuple[Any, ...], recipes: Mapping[str, int]) -> tuple[Any, ...]:
    network, data, variant, method, fraction, design = key
    return (network, data, recipes.get(variant, -1), variant, method, fraction is not None, fraction or 0.0, design)


def _grouped(items: Iterable[Row]) -> dict[tuple[Any, ...], list[Row]]:
    return by(items, _key)


def _first(items: Iterable[Row], key: tuple[Any, ...]) -> Row:
    return next((row for row in items if _key(row) == key), {})
