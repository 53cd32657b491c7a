"""Sections and figures across comparisons: accuracy over recipes or data sizes, accuracy against compute, and the primary contrast.

Accuracies are in percent, differences in percentage points, compute in FLOPs of training one network after the dense one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from regrow.report.cases import ArmSummary, Results, Row, is_dense
from regrow.report.drawing import Picture, colour, drawn, error_bars, plain, rounded, symbol
from regrow.report.drawing import figure as draw
from regrow.report.recipes import Across, across
from regrow.report.recipes_text import note, saving_cells, sentences
from regrow.report.words import percent, points, points_span, quantity, span

MOST_TICKS: Final = 8
"""Values up to which each has its own tick."""


def across_sections(results: Results) -> list[dict[str, Any]]:
    """What the template needs of every family."""
    return [
        {
            "id": f"across{place}",
            "family": family,
            "pictures": family_pictures(family, f"across{place}"),
            "said": sentences(family),
            "savings": [saving_cells(saved) for saved in family.savings],
            "note": note(family),
        }
        for place, family in enumerate(across(results))
    ]


def family_pictures(family: Across, prefix: str) -> dict[str, Picture]:
    """The figures of a family; those without any data are left out. Over data sizes all compute is equal, so it has no figure."""
    made = {"accuracy": accuracy_over(family, f"{prefix}-accuracy")}
    if family.kind == "recipes":
        made["compute"] = accuracy_against_compute(family, f"{prefix}-compute")
    made["difference"] = difference_over(family, f"{prefix}-difference")
    return drawn(made)


def accuracy_over(family: Across, name: str) -> Picture:
    """Mean test accuracy and its 95 % interval of every arm, over the axis of the family; the dense network is dotted."""
    traces = []
    for arm in family.arm_names:
        held = family.of(arm)
        tips = [_tip(arm, family.names[place], one) for place, one in held]
        traces.append(_line(arm, _places(family, [place for place, _ in held]), [one for _, one in held], tips))
    figure = draw(traces, x=_title(family), y="test accuracy, %", height=380)
    _set_axis(figure, family)
    what = "recipes" if family.kind == "recipes" else "data sizes"
    return Picture(
        name=name,
        title=f"Accuracy over {what}",
        caption="Means over seeds with 95 % intervals, a line for each arm; the dense network is dotted."
        + (" Every recipe is a column." if not family.axis.values else ""),
        alt=accuracies_in_words(family),
        figure=figure,
    )


def accuracy_against_compute(family: Across, name: str) -> Picture:
    """Mean test accuracy against training FLOPs after the dense network, which is free here; one line an arm, logarithmic."""
    traces = []
    for arm in family.arm_names:
        held = sorted(_costs(family, arm), key=lambda one: one[0])
        tips = [f"{_tip(arm, names, one)}, {quantity(flops)} FLOPs" for flops, names, one in held]
        traces.append(_line(arm, [flops for flops, _, _ in held], [one for _, _, one in held], tips))
    figure = draw(traces, x="training FLOPs after the dense network", y="test accuracy, %", height=380)
    figure.update_xaxes(type="log")
    spent = [float(x) for trace in figure.data for x in trace.x]
    if spent:
        ticks = decade_ticks(min(spent), max(spent))
        figure.update_xaxes(tickvals=ticks, ticktext=[quantity(tick) for tick in ticks])
    return Picture(
        name=name,
        title="Accuracy against compute after the dense network",
        caption="Training FLOPs of one network by recipe, means over seeds with 95 % intervals. The dense network, the pruning "
        "and the choice of learning rates are not counted; a recipe that does not change an arm's training adds no point.",
        alt=accuracies_in_words(family),
        figure=figure,
    )


def decade_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis that has room for few: 1, 2 and 5 of a decade over less than two, else powers of ten.

    >>> decade_ticks(3.0, 40.0), decade_ticks(1.0, 2000.0)
    ([2.0, 5.0, 10.0, 20.0, 50.0], [1.0, 10.0, 100.0, 1000.0, 10000.0])
    """
    steps = (1, 2, 5) if high < 100 * low else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [float(f"{step}e{decade}") for decade in decades for step in steps]
    below, above = max(t for t in every if t <= low), min(t for t in every if t >= high)
    return [tick for tick in every if below <= tick <= above]


def _costs(family: Across, arm: str) -> list[tuple[float, str, ArmSummary]]:
    """FLOPs, recipes and runs of every training of an arm, each once; nothing of the dense network, which owes nothing."""
    found: dict[tuple[Any, ...], tuple[float, str, ArmSummary]] = {}
    for place, one in family.of(arm) if arm != "dense" else ():
        flops = one.mean("training_flops")
        same = tuple((run["seed"], run.get("training_flops"), run["test_accuracy"]) for run in one.runs)
        if flops:
            before = f"{found[same][1]}, " if same in found else ""
            found[same] = (flops, before + family.names[place], one)
    return list(found.values())


def difference_over(family: Across, name: str) -> Picture:
    """Difference of the primary contrast with its 95 % interval over the axis, and the margin as a band."""
    held = [(place, case.verdict) for place, case in enumerate(family.cases) if case.verdict]
    figure = draw(
        [_differences(family, held)] if held else [],
        x=_title(family),
        y=f"{plain(family.contrast)}, points",
        height=280,
    )
    _set_axis(figure, family)
    for _, verdict in held[:1]:
        _margin_band(figure, verdict.get("margin"))
    said = [f"{family.names[place]}: {points(row['mean'])} ({points_span(row['ci95'])})" for place, row in held]
    return Picture(
        name=name,
        title=f"Primary contrast: {family.contrast}",
        caption="Mean paired difference with its 95 % interval; above zero the first arm is better. The band is the margin.",
        alt=f"{family.contrast}. {'; '.join(said)}.",
        figure=figure,
    )


def _differences(family: Across, held: Sequence[tuple[int, Row]]) -> go.Scatter:
    means = [float(row["mean"]) for _, row in held]
    tips = [
        f"{family.names[place]}: {points(row['mean'])} points, 95 % {points_span(row['ci95'])}, n = {row['n']}"
        for place, row in held
    ]
    return go.Scatter(
        x=_places(family, [place for place, _ in held]),
        y=rounded(means),
        error_y=error_bars(means, [row["ci95"] for _, row in held], "var(--accent)"),
        mode="lines+markers" if len(held) > 1 and family.axis.values else "markers",
        line={"color": "var(--accent)", "width": 1.5},
        marker={"color": "var(--accent)", "size": 11, "symbol": "diamond", "line": _EDGE},
        text=[plain(tip) for tip in tips],
        hovertemplate="%{text}<extra></extra>",
        name=plain(family.contrast),
    )


_EDGE: Final = {"color": "var(--panel)", "width": 1.5}


def _line(arm: str, xs: Sequence[Any], summaries: Sequence[ArmSummary], tips: Sequence[str]) -> go.Scatter:
    ys = [summary.accuracy or 0.0 for summary in summaries]
    return go.Scatter(
        x=rounded(xs) if all(isinstance(x, float) for x in xs) else list(xs),
        y=rounded(ys),
        error_y=error_bars(ys, [summary.interval for summary in summaries], colour(arm)),
        mode="lines+markers" if len(xs) > 1 else "markers",
        line={"color": colour(arm), "width": 1.5, "dash": "dot" if is_dense(arm) else "solid"},
        marker={"color": colour(arm), "size": 9, "symbol": symbol(arm), "line": _EDGE},
        text=[plain(tip) for tip in tips],
        hovertemplate="%{text}<extra></extra>",
        name=plain(arm),
        legendgroup=arm,
    )


def _tip(arm: str, name: str, one: ArmSummary) -> str:
    return f"{arm}, {name}: {percent(one.accuracy)}, 95 % {span(one.interval)}, n = {one.n}"


def _places(family: Across, places: Sequence[int]) -> list[Any]:
    """Where comparisons stand on the axis: at their value, or under their name."""
    values = family.axis.values
    return [values[place] if values else plain(family.names[place]) for place in places]


def _title(family: Across) -> str:
    return plain(family.axis.title)


def _set_axis(figure: go.Figure, family: Across) -> None:
    values = family.axis.values
    if not values:
        figure.update_xaxes(type="category", categoryarray=[plain(name) for name in family.names])
        return
    figure.update_xaxes(type="log" if family.axis.log else "linear")
    if len(values) <= MOST_TICKS:
        texts = [f"{100 * value:g} %" if family.kind == "data" else f"{value:g}" for value in values]
        figure.update_xaxes(tickvals=list(values), ticktext=texts)


def _margin_band(figure: go.Figure, margin: float | None) -> None:
    paper = {"xref": "paper", "yref": "y", "x0": 0, "x1": 1, "layer": "below"}
    if margin:
        figure.add_shape(type="rect", y0=-margin, y1=margin, line={"width": 0}, fillcolor="var(--band)", **paper)
    figure.add_shape(type="line", y0=0, y1=0, line={"color": "var(--muted)", "width": 1}, **paper)


def accuracies_in_words(family: Across) -> str:
    """Every mean, for who cannot see the figure."""
    said = []
    for name, case in zip(family.names, family.cases, strict=True):
        means = ", ".join(f"{arm.arm} {percent(arm.accuracy)}" for arm in case.arms)
        said.append(f"{name}: {means}")
    return "; ".join(said) + "."
