"""Figures of a family: all fractions of one network, data set and method together.

Accuracies are in percent, differences in percentage points, compute in FLOPs of training one network.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import plotly.graph_objects as go

from regrow.report.cases import ArmSummary, Case, Family, Row, inherits, is_dense
from regrow.report.drawing import Picture, colour, drawn, error_bars, plain, rounded, symbol
from regrow.report.drawing import figure as draw
from regrow.report.sentences import whole_cost
from regrow.report.words import percent, points, points_span, quantity, span

SPREAD: Final = 0.02
"""Sideways distance of two arms of one architecture, at most, as a share of the dense network's MACs."""


def family_pictures(family: Family, prefix: str) -> dict[str, Picture]:
    """The figures that show all fractions of a family together. Those without any data are left out."""
    made = {
        "macs": accuracy_against_macs(family, f"{prefix}-macs"),
        "compute": accuracy_against_compute(family, f"{prefix}-compute"),
        "differences": paired_differences(family, f"{prefix}-differences"),
    }
    return drawn(made)


def accuracy_against_macs(family: Family, name: str) -> Picture:
    """Mean test accuracy and its 95 % interval against MACs; one mark an arm and fraction, the dense network at the right."""
    step = _sideways(family)
    traces = []
    for arms in _by_size(family):
        for place, arm in enumerate(arms):
            held = family.cases[:1] if is_dense(arm) else family.cases
            marks = [(c, s) for c in held if (s := c.find(arm)) and s.accuracy is not None and s.only("macs")]
            xs = [s.only("macs") + step * (place - (len(arms) - 1) / 2) for _, s in marks]
            notes = [f"{'' if is_dense(arm) else c.removed + ', '}{quantity(s.only('macs'))} MACs" for c, s in marks]
            traces.append(_marks(arm, xs, [s for _, s in marks], notes, line=not is_dense(arm)))
    figure = draw(traces, x="MACs of one example, forward", y="test accuracy, %", height=380)
    figure.update_xaxes(rangemode="tozero", tickformat="~s")
    _reference(figure, family.cases[0].dense)
    return Picture(
        name=name,
        title="Accuracy against MACs",
        caption="Means over seeds with 95 % intervals; the dotted line is the dense network's mean. Arms of one architecture have "
        "exactly the same MACs and are set a little apart so that they can be told from each other.",
        alt=_accuracies_in_words(family),
        figure=figure,
    )


def _by_size(family: Family) -> list[list[str]]:
    """Arms that train the pruned network, and arms that train the dense one."""
    return [[arm for arm in family.arm_names if is_dense(arm) == dense] for dense in (False, True)]


def _sideways(family: Family) -> float:
    """MACs between two arms of one architecture: small enough that those of different fractions do not mix."""
    large = family.cases[0].dense_network.get("macs") or 0
    known = sorted({0, large, *(case.architecture.get("macs") or 0 for case in family.cases)})
    gaps = [after - before for before, after in pairwise(known)]
    arms = max(len(_by_size(family)[0]), 1)
    return min([SPREAD * large, *(0.7 * gap / arms for gap in gaps)])


def accuracy_against_compute(family: Family, name: str) -> Picture:
    """Mean test accuracy against all training FLOPs that one network owes, the dense run included where it was inherited."""
    traces = []
    for arm in family.arm_names:
        held = family.cases[:1] if arm == "dense" else family.cases
        marks = [
            (c, s, cost[0])
            for c in held
            if (s := c.find(arm)) and s.accuracy is not None and (cost := whole_cost(c, arm))
        ]
        notes = [f"{'' if arm == 'dense' else c.removed + ', '}{quantity(flops)} FLOPs" for c, _, flops in marks]
        traces.append(
            _marks(arm, [flops for _, _, flops in marks], [s for _, s, _ in marks], notes, line=not is_dense(arm))
        )
    figure = draw(traces, x="training FLOPs for one network", y="test accuracy, %", height=380)
    figure.update_xaxes(rangemode="tozero", tickformat="~s")
    _reference(figure, family.cases[0].dense)
    owing = ", ".join(arm for arm in family.arm_names if inherits(arm))
    return Picture(
        name=name,
        title="Accuracy against total compute",
        caption="Training FLOPs of one network"
        + (f"; for {owing} those of the dense run they inherit from are counted too" if owing else "")
        + ". The choice of learning rates is in the ledger, not here.",
        alt=_accuracies_in_words(family),
        figure=figure,
    )


def paired_differences(family: Family, name: str) -> Picture:
    """One dot a seed: a minus b in percentage points; below them the mean with its 90 and 95 % intervals, and the margin as a band."""
    held = [case for case in family.cases if case.verdict]
    contrast = f"{held[0].verdict['a']} minus {held[0].verdict['b']}" if held and held[0].verdict else ""
    figure = draw([], x=f"{plain(contrast)}, percentage points", y="", height=90 + 90 * len(held))
    words = []
    for place, case in enumerate(held):
        if case.verdict:
            figure.add_traces(_difference_traces(case, case.verdict, float(-place)))
            words.append(
                f"{case.removed}: mean {points(case.verdict['mean'])}, 95 % interval {points_span(case.verdict['ci95'])}"
            )
    figure.update_yaxes(
        tickvals=[-place for place in range(len(held))],
        ticktext=[plain(case.design) for case in held],
        range=[-len(held) + 0.4, 0.55],
        showgrid=False,
        zeroline=False,
    )
    if held and held[0].verdict:
        _margin_band(figure, held[0].verdict["margin"])
        figure.update_xaxes(range=_symmetric(figure, held[0].verdict["margin"]))
    return Picture(
        name=name,
        title=f"Paired differences: {contrast}",
        caption="One dot a seed. The thin bar is the 95 % interval of the mean (superiority), the thick one the 90 % interval "
        "(equivalence); the band is the margin. Right of zero the first arm is better.",
        alt=f"{contrast}. " + "; ".join(words) + ".",
        figure=figure,
    )


def _difference_traces(case: Case, verdict: Row, level: float) -> list[go.Scatter]:
    seeds, differences = _differences(case, verdict["a"], verdict["b"])
    traces = [
        go.Scatter(
            x=rounded(differences),
            y=[round(level + 0.1 + 0.11 * height, 3) for height in _stacked(differences)],
            text=[f"seed {seed}: {points(d)} points" for seed, d in zip(seeds, differences, strict=True)],
            mode="markers",
            marker={"color": "var(--ink)", "size": 8, "opacity": 0.55},
            hovertemplate="%{text}<extra></extra>",
        )
    ]
    for bounds, width, share in ((verdict.get("ci95"), 2, 95), (verdict.get("ci90"), 7, 90)):
        if bounds:
            traces.append(_bar(bounds, level - 0.12, width, f"{share} % interval: {points_span(bounds)}"))
    traces.append(
        go.Scatter(
            x=rounded([verdict["mean"]]),
            y=[level - 0.12],
            mode="markers",
            marker={
                "color": "var(--accent)",
                "size": 13,
                "symbol": "diamond",
                "line": {"color": "var(--panel)", "width": 2},
            },
            hovertemplate=f"mean of {verdict['n']}: {points(verdict['mean'])} points<extra></extra>",
        )
    )
    return traces


def _stacked(values: Sequence[float]) -> list[int]:
    """How many earlier values lie so close to each one that its dot must be put above theirs."""
    near = (max(values) - min(values)) / 30 if values else 0.0
    return [sum(abs(value - other) <= near for other in values[:place]) % 5 for place, value in enumerate(values)]


def _differences(case: Case, a: str, b: str) -> tuple[list[int], list[float]]:
    first, second = case.find(a), case.find(b)
    if first is None or second is None:
        return [], []
    other = {run["seed"]: run["test_accuracy"] for run in second.runs}
    paired = [(run["seed"], run["test_accuracy"] - other[run["seed"]]) for run in first.runs if run["seed"] in other]
    return [seed for seed, _ in paired], [difference for _, difference in paired]


def _bar(bounds: Sequence[float], level: float, width: int, words: str) -> go.Scatter:
    return go.Scatter(
        x=rounded(bounds),
        y=[level, level],
        mode="lines",
        line={"color": "var(--accent)", "width": width},
        hovertemplate=f"{words}<extra></extra>",
    )


def _symmetric(figure: go.Figure, margin: float) -> list[float]:
    reach = 1.1 * max([margin, *(abs(x) for trace in figure.data for x in trace.x)])
    return [-reach, reach]


def _margin_band(figure: go.Figure, margin: float) -> None:
    figure.add_shape(
        type="rect",
        xref="x",
        yref="paper",
        x0=-margin,
        x1=margin,
        y0=0,
        y1=1,
        layer="below",
        line={"width": 0},
        fillcolor="var(--band)",
    )
    figure.add_shape(
        type="line",
        xref="x",
        yref="paper",
        x0=0,
        x1=0,
        y0=0,
        y1=1,
        layer="below",
        line={"color": "var(--muted)", "width": 1},
    )


def _marks(
    arm: str, xs: Sequence[float], summaries: Sequence[ArmSummary], notes: Sequence[str], *, line: bool
) -> go.Scatter:
    ys = [summary.accuracy or 0.0 for summary in summaries]
    tips = [
        f"{arm}, {note}: {percent(s.accuracy)}, 95 % {span(s.interval)}, n = {s.n}"
        for note, s in zip(notes, summaries, strict=True)
    ]
    return go.Scatter(
        x=rounded(xs),
        y=rounded(ys),
        error_y=error_bars(ys, [summary.interval for summary in summaries], colour(arm)),
        mode="lines+markers" if line and len(xs) > 1 else "markers",
        line={"color": colour(arm), "width": 1.5},
        marker={
            "color": colour(arm),
            "size": 10,
            "symbol": symbol(arm),
            "line": {"color": "var(--panel)", "width": 1.5},
        },
        text=[plain(tip) for tip in tips],
        hovertemplate="%{text}<extra></extra>",
        name=arm,
        legendgroup=arm,
    )


def _reference(figure: go.Figure, dense: ArmSummary | None) -> None:
    if dense is None or dense.accuracy is None or not figure.data:
        return
    line = {"color": "var(--arm-dense)", "width": 1.5, "dash": "dot"}
    level = round(dense.accuracy, 3)
    figure.add_shape(type="line", xref="paper", yref="y", x0=0, x1=1, y0=level, y1=level, layer="below", line=line)


def _accuracies_in_words(family: Family) -> str:
    said = []
    for case in family.cases:
        means = ", ".join(f"{arm.arm} {percent(arm.accuracy)}" for arm in case.arms)
        said.append(f"{case.removed}: {means}")
    return "; ".join(said) + "."
