"""Figures of one architecture: training curves, widths before and after, and the ledger.

Accuracies are in percent, losses in nats, compute in FLOPs summed over seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import plotly.graph_objects as go

from regrow.report.cases import Case, Row, arm_order, by, mean
from regrow.report.drawing import MAX_POINTS, Picture, colour, drawn, plain, rounded, thinned
from regrow.report.drawing import figure as draw
from regrow.report.words import quantity

_ENTRIES: Final = ("dense training", "pruning", "scoring", "training", "tuning", "evaluation")


def case_pictures(case: Case, prefix: str, most: int = MAX_POINTS) -> dict[str, Picture]:
    """The figures of one architecture. Those without any data are left out.

    `most` is the number of points kept of each training curve.
    """
    made = {
        "accuracy": training_curves(case, f"{prefix}-accuracy", "validation_accuracy", most),
        "loss": training_curves(case, f"{prefix}-loss", "train_loss", most),
        "widths": widths(case, f"{prefix}-widths"),
        "scales": scales(case, f"{prefix}-scales"),
        "ledger": ledger(case, f"{prefix}-ledger"),
    }
    return drawn(made)


def training_curves(case: Case, name: str, column: str, most: int = MAX_POINTS) -> Picture:
    """One column of the curves against epochs: the mean of every arm, its seeds faint behind it."""
    points_by_arm = by((row for row in case.curves if row.get(column) is not None), lambda row: row["arm"])
    traces = []
    for arm in sorted(points_by_arm, key=arm_order):
        by_seed = by(points_by_arm[arm], lambda row: row["seed"])
        curves = [sorted(curve, key=lambda row: row["epoch"]) for curve in by_seed.values()]
        traces += [_faint(arm, curves, column, most), _mean_curve(arm, curves, column, most)]
    loss = column.endswith("loss")
    title = "training loss" if loss else "validation accuracy, %"
    figure = draw(traces, x="epoch", y=title, height=340)
    if loss:
        figure.update_yaxes(type="log", dtick="D2", tickformat="~g")
    ends = [f"{arm} {_at_the_end(points_by_arm[arm], column):.4g}" for arm in sorted(points_by_arm, key=arm_order)]
    return Picture(
        name=name,
        title="Training loss" if loss else "Validation accuracy while training",
        caption=f"{'Cross-entropy on training examples, logarithmic axis' if loss else 'Accuracy on the validation examples'}; "
        "bold: mean over seeds, faint: every seed.",
        alt=f"{title}, {case.removed}, at the last epoch: " + ", ".join(ends) + ".",
        figure=figure,
    )


def _at_the_end(curves: Sequence[Row], column: str) -> float:
    last = max(row["epoch"] for row in curves)
    return mean([row[column] for row in curves if row["epoch"] == last]) or 0.0


def _faint(arm: str, curves: Sequence[Sequence[Row]], column: str, most: int) -> go.Scatter:
    """All seeds in one trace, parted by gaps: a tenth of the bytes of one trace a seed."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for curve in curves:
        thin = thinned(curve, most)
        xs += [*(row["epoch"] for row in thin), None]
        ys += [*rounded([row[column] for row in thin]), None]
    line = {"color": colour(arm), "width": 1}
    return go.Scatter(
        x=xs, y=ys, mode="lines", line=line, opacity=0.22, legendgroup=arm, hoverinfo="skip", connectgaps=False
    )


def _mean_curve(arm: str, curves: Sequence[Sequence[Row]], column: str, most: int) -> go.Scatter:
    values: dict[int, list[float]] = {}
    for curve in curves:
        for row in curve:
            values.setdefault(row["epoch"], []).append(row[column])
    epochs = thinned([epoch for epoch in sorted(values) if len(values[epoch]) == len(curves)], most)
    return go.Scatter(
        x=epochs,
        y=rounded([mean(values[epoch]) for epoch in epochs]),
        mode="lines",
        line={"color": colour(arm), "width": 2.5},
        name=arm,
        legendgroup=arm,
        hovertemplate=f"{plain(arm)}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
    )


def widths(case: Case, name: str) -> Picture:
    """Channels of every prunable group before and after."""
    before, after = case.dense_network.get("widths") or [], case.architecture.get("widths") or []
    names = [group["name"] for group in case.dense_network.get("groups") or []]
    names = names if len(names) == len(before) else [str(place + 1) for place in range(len(before))]
    labels = [plain(label) for label in names]
    shown = before and after and not case.masked  # a mask leaves every channel
    traces = [_width_bars(labels, before, "dense", "var(--faint)")] if shown else []
    traces += [_width_bars(labels, after, "pruned", "var(--accent)", _spread(case))] if traces else []
    figure = draw(traces, x="prunable group, in forward order", y="channels", height=300)
    figure.update_layout(barmode="overlay", bargap=0.25, showlegend=True)
    figure.update_xaxes(type="category", showgrid=False)
    kept = ", ".join(f"{a} of {b}" for a, b in zip(after, before, strict=False))
    return Picture(
        name=name,
        title="Widths before and after pruning",
        caption="Channels of each prunable group in the dense network and in the pruned one"
        + ("; mean, and from the least to the most, over seeds." if _spread(case) else "."),
        alt=f"Channels kept, {case.removed}, in forward order: {kept}.",
        figure=figure,
    )


def _spread(case: Case) -> tuple[list[int], list[int]] | None:
    """How far the most and the least channels of a group lie from their mean, where every seed has its own."""
    found = [row["widths"] for row in case.architectures]
    if len(found) < 2:
        return None
    middle = case.architecture["widths"]
    above = [max(group) - centre for group, centre in zip(zip(*found, strict=True), middle, strict=True)]
    below = [centre - min(group) for group, centre in zip(zip(*found, strict=True), middle, strict=True)]
    return above, below


def scales(case: Case, name: str) -> Picture:
    """How the scales by which channels are normalised, or the factors of a sparsifier, are distributed when the method prunes."""
    found = [row["scales"] for row in case.prunings if row.get("scales")]
    largest = max((row["largest"] for row in found), default=0.0)
    bins = len(found[0]["counts"]) if found else 0
    traces = [] if largest == 0 else [_scale_bars(row, bins, n == 0) for n, row in enumerate(found)]
    figure = draw(traces, x="absolute scale", y="channels", height=260)
    figure.update_layout(barmode="overlay", bargap=0.05)
    channels, zeros, small = (sum(row[key] for row in found) for key in ("channels", "zeros", "small"))
    said = f"{zeros} of {channels} are exactly zero and {small} below a hundredth of the largest"
    return Picture(
        name=name,
        title="Scales when the method prunes",
        caption=f"Norm scales, or a sparsifier's factors, of all prunable channels; every seed on top of the others. {said}.",
        alt=f"Distribution of scales, {case.removed}: {said}.",
        figure=figure,
    )


def _scale_bars(row: Row, bins: int, first: bool) -> go.Bar:
    width = row["largest"] / bins
    return go.Bar(
        x=rounded([width * (place + 0.5) for place in range(bins)]),
        y=list(row["counts"]),
        width=width,
        opacity=0.5,
        showlegend=False,
        marker={"color": "var(--accent)" if first else "var(--faint)", "line": {"width": 0}},
        hovertemplate="about %{x:.3g}: %{y} channels<extra></extra>",
    )


def _width_bars(
    labels: Sequence[str],
    channels: Sequence[int],
    name: str,
    fill: str,
    spread: tuple[list[int], list[int]] | None = None,
) -> go.Bar:
    bars = {"array": spread[0], "arrayminus": spread[1], "color": "var(--muted)"} if spread is not None else None
    template = f"%{{x}}, {name}: %{{y}}<extra></extra>"
    return go.Bar(
        x=list(labels),
        y=list(channels),
        name=name,
        marker={"color": fill, "line": {"width": 0}},
        error_y=bars,
        hovertemplate=template,
    )


def ledger(case: Case, name: str) -> Picture:
    """FLOPs of every arm by what they were spent on, all seeds together."""
    spent = by(case.ledger, lambda row: row["entry"])
    names = sorted({row["arm"] for row in case.ledger}, key=arm_order)
    entries = [*(e for e in _ENTRIES if e in spent), *sorted(set(spent) - set(_ENTRIES))]
    traces = [_ledger_bars(entry, spent[entry], names) for entry in entries]
    figure = draw(traces, x="FLOPs, all seeds together", y="", height=120 + 30 * len(names))
    figure.update_layout(barmode="stack", bargap=0.35, showlegend=True)
    figure.update_xaxes(tickformat="~s")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    totals = {arm: sum(row["flops"] for row in case.ledger if row["arm"] == arm) for arm in names}
    return Picture(
        name=name,
        title="FLOPs by arm and purpose",
        caption="Every FLOP that was spent, by arm and purpose, summed over seeds; the table has the seconds.",
        alt="Total FLOPs: " + ", ".join(f"{arm} {quantity(total)}" for arm, total in totals.items()) + ".",
        figure=figure,
    )


def _entry_colour(entry: str) -> str:
    return f"var(--entry-{entry.replace(' ', '-')})" if entry in _ENTRIES else "var(--entry-other)"


def _ledger_bars(entry: str, spent: Iterable[Row], names: Sequence[str]) -> go.Bar:
    flops = {row["arm"]: row["flops"] for row in spent}
    return go.Bar(
        y=[plain(arm) for arm in names],
        x=rounded([flops.get(arm, 0) for arm in names]),
        orientation="h",
        name=plain(entry),
        marker={"color": _entry_colour(entry), "line": {"width": 0}},
        hovertemplate=f"%{{y}}, {plain(entry)}: %{{x:.4s}} FLOPs<extra></extra>",
    )
