"""Pruning as architecture search, as the page shows it: designs of equal cost, the 2 x 2 decomposition, and patterns of masks.

A *design* is a way to come by an architecture: uniform (widths that need no pruning), random, automatic (a method found them, each seed has
its own), guided (a guide of the same network and data) and transferred (a guide of others). They are compared in one arm that trains
from fresh weights, so nothing but the architecture differs. As in Fig. 3, 4 and 6 of Liu et al. 2019, arXiv:1810.05270.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import plotly.graph_objects as go

from regrow.evaluation.decomposition import decompose
from regrow.report.cases import ArmSummary, Case, Results, Row, arm_row, cases, mean
from regrow.report.drawing import Picture, drawn, error_bars, plain, rounded
from regrow.report.drawing import figure as draw
from regrow.report.words import percent, quantity, span

FRESH: Final = ("scratch-e", "scratch-b", "scratch-b0", "scratch-b1", "scratch-b0-cap")
"""Arms from fresh weights, in the order in which one is taken for the comparison of designs."""

DESIGNS: Final[dict[str, tuple[str, str]]] = {
    "uniform": ("var(--arm-scratch-e)", "circle"),
    "random": ("var(--arm-random-pruned)", "x"),
    "automatic": ("var(--arm-retrain)", "square"),
    "guided": ("var(--arm-lr-rewind)", "diamond"),
    "transferred": ("var(--arm-fine-tune)", "triangle-up"),
}
"""Colour and mark of every design."""

_SEARCHED: Final = {"random", "guided", "transferred"}
"""Designs that a study has only if it asks about architectures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One design at one amount."""

    design: str
    """A row of `DESIGNS`."""

    case: Case
    arm: ArmSummary

    label: str
    """The design with the method that found it, and with what was asked for where that differs within the design."""

    def cost(self, what: str) -> float | None:
        """MACs or parameters, those of kept weights where single weights were masked; mean over seeds."""
        name = f"nominal_{what}" if self.case.masked else what
        found: float | None = self.case.architecture.get(name)
        return found


def searches(results: Results) -> list[dict[str, Any]]:
    """What the template needs of every network, data set and recipe of which designs were compared, channels and weights apart."""
    groups: dict[tuple[str, str, str, bool], list[Case]] = {}
    for case in cases(results):
        groups.setdefault((case.network, case.data, case.variant, case.masked), []).append(case)
    found = [_search(results, group) for group in groups.values()]
    return [
        {**one, "id": f"s{place}", "pictures": _pictures(one["points"], f"s{place}", one["arm"])}
        for place, one in enumerate(one for one in found if one)
    ]


def _search(results: Results, group: Sequence[Case]) -> dict[str, Any]:
    """The designs of a group; empty where it compares none."""
    arm = next((name for name in FRESH if sum(case.find(name) is not None for case in group) > 1), "")
    points = _points(group, arm)
    kinds = {point.design for point in points}
    if len(kinds) < 2 or not (kinds & _SEARCHED or {"uniform", "automatic"} <= kinds):
        return {}
    first = group[0]
    recipe = f", {first.variant}" if first.variant else ""
    return {
        "title": f"{'Patterns of weights' if first.masked else 'Architectures'}: {first.network} on {first.data}{recipe}",
        "arm": arm,
        "masked": first.masked,
        "points": points,
        "tables": _decompositions(results, first, points),
        "patterns": [pattern for point in points if (pattern := _pattern(point))],
    }


def design_of(case: Case) -> str:
    """Which row of `DESIGNS` a case is; empty for one that is none: chosen by hand, or drawn otherwise."""
    guide = case.architecture.get("guide")
    if guide:
        own = (guide.get("network"), guide.get("data")) == (case.network, case.data)
        return "guided" if own else "transferred"
    if case.method == "random-widths":
        return "random"
    if case.masked:
        return "uniform" if case.method == "random" else "automatic"
    if case.architecture.get("removed") or case.fraction is None:
        return ""
    return "automatic" if all(row.get("seed") is not None for row in case.architectures) else "uniform"


def _points(group: Sequence[Case], arm: str) -> list[Point]:
    """Every design once: uniform widths do not depend on the method that chose channels, and fresh weights forget it."""
    found, seen = list[Point](), set[str]()
    for case in sorted(
        group, key=lambda case: case.method != "l1"
    ):  # what the 2 x 2 tables call uniform, where there is a choice
        summary, design = case.find(arm), design_of(case)
        widths = str(case.architecture.get("widths")) if design == "uniform" and not case.masked else ""
        if summary is None or summary.accuracy is None or not design or (widths and widths in seen):
            continue
        seen.add(widths)
        found.append(Point(design=design, case=case, arm=summary, label=_label(design, case)))
    order = list(DESIGNS)
    told = _told_apart(found)
    return sorted(told, key=lambda point: (order.index(point.design), point.label, point.case.fraction or 0.0))


def _label(design: str, case: Case) -> str:
    guide = case.architecture.get("guide") or {}
    more = {"automatic": f" ({case.method})", "transferred": f" from {guide.get('network')}, {guide.get('data')}"}
    return design + more.get(design, "")


def _told_apart(points: Sequence[Point]) -> list[Point]:
    """The points; of one design that was asked for in several ways (a share of MACs, of parameters), each way under its own label."""
    ways: dict[str, set[str]] = {}
    for point in points:
        ways.setdefault(point.label, set()).add(_way(point))
    return [
        replace(point, label=f"{point.label}, {_way(point)}") if len(ways[point.label]) > 1 else point
        for point in points
    ]


def _way(point: Point) -> str:
    """What a design says besides its fraction: `of macs`."""
    return point.case.design.partition(" %")[2].strip() or "of channels"


def _pictures(points: Sequence[Point], prefix: str, arm: str) -> dict[str, Picture]:
    made = {what: _accuracy_against(points, what, f"{prefix}-{what}", arm) for what in ("params", "macs")}
    return drawn(made)


def _accuracy_against(points: Sequence[Point], what: str, name: str, arm: str) -> Picture:
    """Mean test accuracy and its 95 % interval against cost, a line for each design."""
    labels = list(dict.fromkeys(point.label for point in points))
    traces = [_line([point for point in points if point.label == label], what) for label in labels]
    masked = any(point.case.masked for point in points)
    unit = {"macs": "MACs of one example", "params": "parameters"}[what] + (", kept weights only" if masked else "")
    figure = draw(traces, x=unit, y="test accuracy, %", height=380)
    figure.update_xaxes(tickformat="~s")
    figure.update_layout(showlegend=True)
    said = "; ".join(f"{point.label}, {point.case.removed}: {percent(point.arm.accuracy)}" for point in points)
    return Picture(
        name=name,
        title=f"Accuracy against {'MACs' if what == 'macs' else 'parameters'}, by design",
        caption=f"Arm {arm}, which trains every architecture from fresh weights: means over seeds with 95 % intervals. Where every seed "
        "has its own architecture, costs are means too.",
        alt=f"{said}.",
        figure=figure,
    )


def _line(points: Sequence[Point], what: str) -> go.Scatter:
    held = sorted((cost, place) for place, point in enumerate(points) if (cost := point.cost(what)))
    chosen = [points[place] for _, place in held]
    ys = [point.arm.accuracy or 0.0 for point in chosen]
    shade, mark = DESIGNS[points[0].design]
    tips = [
        f"{point.label}, {point.case.removed}: {percent(point.arm.accuracy)}, 95 % {span(point.arm.interval)}, "
        f"{quantity(cost)}, n = {point.arm.n}"
        for point, (cost, _) in zip(chosen, held, strict=True)
    ]
    return go.Scatter(
        x=rounded([cost for cost, _ in held]),
        y=rounded(ys),
        error_y=error_bars(ys, [point.arm.interval for point in chosen], shade),
        mode="lines+markers" if len(held) > 1 else "markers",
        line={"color": shade, "width": 1.5},
        marker={"color": shade, "size": 10, "symbol": mark, "line": {"color": "var(--panel)", "width": 1.5}},
        text=[plain(tip) for tip in tips],
        hovertemplate="%{text}<extra></extra>",
        name=plain(points[0].label),
        legendgroup=f"design {plain(points[0].label)}",
    )


def _decompositions(results: Results, case: Case, points: Sequence[Point]) -> list[Row]:
    """The 2 x 2 tables of found against uniform widths that the study's arms allow, for the first arm that inherits weights."""
    names = [arm.arm for arm in case.arms if (row := arm_row(arm.arm)) and row.weights == "carved" and not row.control]
    inherited = "retrain" if "retrain" in names else next(iter(names), "")
    fresh = points[0].arm.arm
    uniform = {point.case.method for point in points if point.design == "uniform"}
    found = {point.case.method for point in points if point.design == "automatic"}
    if case.masked or not inherited:
        return []
    return [
        asdict(table)
        for one in sorted(found)
        for other in sorted(uniform)
        for table in decompose(results, found=one, uniform=other, inherited=inherited, fresh=fresh)
        if (table.network, table.data, table.variant) == (case.network, case.data, case.variant)
    ]


def _pattern(point: Point) -> dict[str, Any]:
    """Mean share kept at every 3x3 kernel position, by stage; empty where a pruning says nothing of it."""
    rows = [row for row in point.case.prunings if row.get("kernels")]
    if not rows:
        return {}
    stages = [
        {
            "stage": stage,
            "share": mean([row["stage_shares"][stage] for row in rows]),
            "kernel": _mean_kernel([row["kernels"][stage] for row in rows if stage in row["kernels"]]),
        }
        for stage in sorted(rows[0]["stage_shares"], key=int)
    ]
    return {"label": point.label, "removed": point.case.removed, "n": len(rows), "stages": stages}


def _mean_kernel(kernels: Sequence[Any]) -> list[list[dict[str, float]]]:
    """Mean share at every position, and how strongly it is shaded, percent of the largest; empty of no kernels."""
    if not kernels:
        return []
    means = [[float(mean([one[row][column] for one in kernels]) or 0.0) for column in range(3)] for row in range(3)]
    most = max(max(row) for row in means) or 1.0
    return [[{"share": share, "shade": round(100 * share / most)} for share in row] for row in means]


def own_pictures(found: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """All figures of the sections."""
    return [picture for one in found for picture in one["pictures"].values()]
