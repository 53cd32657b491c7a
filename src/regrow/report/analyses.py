"""Analyses on the page: what a study measured of its trained networks besides accuracy, one section a comparison.

Rows come from `results["analyses"]`; nothing is computed here but means over seeds. Losses are in nats.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go

from regrow.evaluation.weights_histogram import densities
from regrow.report.cases import Results, Row, arm_order, by, mean, rows
from regrow.report.drawing import Picture, colour, drawn, plain, rounded, symbol
from regrow.report.drawing import figure as draw
from regrow.report.words import DASH

CENTRE: Final = 0.99
"""Share of the weights that a histogram shows, at least; the few outside would make it too wide to read."""

_SHARED: Final = ("network", "data", "variant")
_KEYS: Final = (*_SHARED, "method", "fraction", "design")
_LINES: Final = {
    "before": ("channels as they are", "var(--arm-fine-tune)", "dash"),
    "after": ("channels matched", "var(--accent)", "solid"),
}
"""Words, colour and line of the two barriers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysed:
    """What was found of one comparison, the dense network's part included."""

    title: str
    rows: tuple[Row, ...]
    runs: tuple[Row, ...]
    """The rows of `results["runs"]` of the same networks."""

    def of(self, analysis: str) -> dict[str, list[Row]]:
        """The rows of one analysis by arm, in the order of the table of arms."""
        held = by((row for row in self.rows if row["analysis"] == analysis), lambda row: row["arm"])
        return {arm: held[arm] for arm in sorted(held, key=arm_order)}

    def test_loss(self, row: Row) -> float | None:
        """The test loss of the network that a row is about, nats."""
        found = next((run for run in self.runs if (run["arm"], run["seed"]) == (row["arm"], row["seed"])), {})
        return found.get("test_loss")


def analysed(results: Results) -> list[dict[str, Any]]:
    """What the template needs of every comparison that was analysed; empty where none was."""
    found = list(_comparisons(results))
    return [_section(one, f"a{place}") for place, one in enumerate(found)]


def _comparisons(results: Results) -> Iterable[Analysed]:
    every, runs = rows(results, "analyses"), rows(results, "runs")
    for group in by((row for row in every if row["method"]), _key).values():
        first = group[0]
        shared = [one for one in every if not one["method"] and _shared(one) == _shared(first)]
        recipe = f", {first['variant']}" if first["variant"] else ""
        yield Analysed(
            title=f"{first['network']} on {first['data']}, {first['method']}, {_removed(first)}{recipe}",
            rows=(*shared, *group),
            runs=tuple(run for run in runs if _key(run) == _key(first) or _is_dense_of(run, first)),
        )


def _removed(row: Row) -> str:
    return f"pruned to {row['design']}" if row["fraction"] is None else f"{row['design']} removed"


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in _KEYS)


def _shared(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in _SHARED)


def _is_dense_of(run: Row, row: Row) -> bool:
    return not run["method"] and _shared(run) == _shared(row)


def _section(one: Analysed, prefix: str) -> dict[str, Any]:
    made = {
        "losses": losses(one, f"{prefix}-losses"),
        "barrier": barriers(one, f"{prefix}-barrier"),
        "weights": weights(one, f"{prefix}-weights"),
    }
    return {
        "id": prefix,
        "title": one.title,
        "pictures": drawn(made),
        "losses": [_loss_row(one, arm, found) for arm, found in one.of("losses").items()],
        "barriers": [row for found in one.of("barrier").values() for row in found],
        "weights": [_weight_row(arm, found) for arm, found in one.of("weights").items()],
        "masked": any(row["found"]["all"]["masked"] for found in one.of("weights").values() for row in found),
    }


# ---- losses


def losses(one: Analysed, name: str) -> Picture:
    """Training loss against test loss, a mark for each seed."""
    held = one.of("losses")
    traces = [_marks(one, arm, found) for arm, found in held.items()]
    known = [value for trace in traces for value in trace.x]
    if known:
        ends = [min(known), max(known)]
        traces.append(_diagonal(ends))
    figure = draw(traces, x="loss on training images, nats", y="test loss, nats", height=380)
    figure.update_layout(showlegend=True)
    table = [_loss_row(one, arm, found) for arm, found in held.items()]
    return Picture(
        name=name,
        title="Training loss and test loss",
        caption="One mark a seed. Training images are seen without augmentation and in evaluation mode, as test images are. On the dotted "
        "line both losses are equal; the further above it, the worse what was fitted carries over.",
        alt="; ".join(
            f"{row['arm']}: {nats(row['train'])} on training images, {nats(row['test'])} on test images"
            for row in table
        )
        + ".",
        figure=figure,
    )


def _marks(one: Analysed, arm: str, found: Sequence[Row]) -> go.Scatter:
    pairs = [(row["seed"], row["found"]["loss"], one.test_loss(row)) for row in found]
    known = [(seed, train, test) for seed, train, test in pairs if train is not None and test is not None]
    return go.Scatter(
        x=rounded([train for _, train, _ in known]),
        y=rounded([test for _, _, test in known]),
        text=[f"{plain(arm)}, seed {seed}" for seed, _, _ in known],
        mode="markers",
        marker={"color": colour(arm), "size": 10, "symbol": symbol(arm), "line": {"color": "var(--panel)", "width": 1}},
        name=plain(arm),
        legendgroup=arm,
        hovertemplate="%{text}: training %{x:.4g}, test %{y:.4g}<extra></extra>",
    )


def _diagonal(ends: Sequence[float]) -> go.Scatter:
    line = {"color": "var(--faint)", "width": 1.5, "dash": "dot"}
    return go.Scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", showlegend=False)


def _loss_row(one: Analysed, arm: str, found: Sequence[Row]) -> dict[str, Any]:
    train = [row["found"]["loss"] for row in found if row["found"]["loss"] is not None]
    test = [loss for row in found if (loss := one.test_loss(row)) is not None]
    accuracy = mean([row["found"]["accuracy"] for row in found])
    return {"arm": arm, "n": len(found), "train": mean(train), "test": mean(test), "accuracy": accuracy}


def nats(value: float | None) -> str:
    """A loss, or another small number, in four significant digits.

    >>> nats(0.123456), nats(0.0), nats(None)
    ('0.1235', '0', '–')
    """
    return DASH if value is None else f"{value:.4g}"


# ---- barriers


def barriers(one: Analysed, name: str) -> Picture:
    """Loss on the line between the two arms of the contrast, mean over seeds, and faintly every seed."""
    found = [row for arm in one.of("barrier").values() for row in arm]
    traces = [trace for when in _LINES for trace in _curves(found, when)]
    pair = f"{found[0]['arm']} to {found[0]['second']}" if found else ""
    figure = draw(traces, x=f"share of the way from {plain(pair)}", y="loss on training images, nats", height=380)
    figure.update_layout(showlegend=True)
    said = [
        f"{words}: {nats(mean([v for row in found if (v := row['found'][f'barrier_{when}']) is not None]))}"
        for when, (words, _, _) in _LINES.items()
    ]
    return Picture(
        name=name,
        title=f"On the straight line from {pair}",
        caption="Mean over seeds, and faintly every seed. Weights are averaged between the two networks and norm statistics estimated "
        "anew at every point; then once more after the second network's channels were put into the order that resembles the first most. "
        "A loss that does not rise says that both lie in one basin.",
        alt=f"Mean barrier in nats, {'; '.join(said)}.",
        figure=figure,
    )


def _curves(found: Sequence[Row], when: str) -> list[go.Scatter]:
    """Every seed in one faint trace, parted by gaps, and their mean; seeds with a loss that is not finite are left out."""
    words, shade, dash = _LINES[when]
    curves = [row["found"][when] for row in found if None not in row["found"][when]]
    if not curves:
        return []
    positions = found[0]["found"]["positions"]
    faint = go.Scatter(
        x=[position for _ in curves for position in (*positions, None)],
        y=[loss for curve in curves for loss in (*rounded(curve), None)],
        mode="lines",
        line={"color": shade, "width": 1, "dash": dash},
        opacity=0.3,
        hoverinfo="skip",
        connectgaps=False,
        showlegend=False,
    )
    middle = go.Scatter(
        x=positions,
        y=rounded([mean(point) for point in zip(*curves, strict=True)]),
        mode="lines+markers",
        line={"color": shade, "width": 2.5, "dash": dash},
        name=words,
        hovertemplate=f"{words}, %{{x}}: %{{y:.4g}}<extra></extra>",
    )
    return [faint, middle] if len(curves) > 1 else [middle]


# ---- weights


def weights(one: Analysed, name: str) -> Picture:
    """The distribution of every arm's weights, mean over seeds, as overlaid steps."""
    held = {arm: known for arm, found in one.of("weights").items() if (known := _with_weights(found))}
    traces = [_steps(arm, found) for arm, found in held.items()]
    figure = draw(traces, x="weight", y="density", height=380)
    figure.update_layout(showlegend=True)
    if held:
        reach = max(_reach(found) for found in held.values())
        figure.update_xaxes(range=[-reach, reach])
    table = [_weight_row(arm, found) for arm, found in held.items()]
    return Picture(
        name=name,
        title="Distribution of the weights",
        caption="All convolutions, and linear layers but the classifier's; mean over seeds, the same bins for every network, narrow around "
        "zero. Weights that a mask removes are left out.",
        alt="; ".join(
            f"{row['arm']}: standard deviation {row['std']:.3g}, {100 * row['near']:.2f} % near zero" for row in table
        )
        + ".",
        figure=figure,
    )


def _with_weights(found: Sequence[Row]) -> list[Row]:
    return [row for row in found if row["found"]["all"]["weights"]]


def _mean_shares(found: Sequence[Row]) -> list[float]:
    every = [row["found"]["all"]["shares"] for row in found]
    return [sum(shares) / len(every) for shares in zip(*every, strict=True)]


def _steps(arm: str, found: Sequence[Row]) -> go.Scatter:
    return go.Scatter(
        x=found[0]["found"]["edges"],
        y=[*rounded(densities(_mean_shares(found))), 0],
        mode="lines",
        line={"color": colour(arm), "width": 2, "shape": "hv"},
        name=plain(arm),
        legendgroup=arm,
        hovertemplate=f"{plain(arm)}, from %{{x}}: %{{y:.3g}}<extra></extra>",
    )


def _reach(found: Sequence[Row]) -> float:
    """The nearest edge of a bin within which lie `CENTRE` of the weights."""
    edges, shares = found[0]["found"]["edges"], _mean_shares(found)
    for edge in (edge for edge in edges if edge > 0):
        inside = sum(share for low, share in zip(edges[:-1], shares, strict=True) if -edge <= low < edge)
        if inside >= CENTRE:
            return float(edge)
    return float(edges[-1])


def _weight_row(arm: str, found: Sequence[Row]) -> dict[str, Any]:
    """Means over seeds: of the whole network, and the share near zero of every stage."""
    whole = [row["found"]["all"] for row in found]
    stages = found[0]["found"]["stages"]
    return {
        "arm": arm,
        "n": len(found),
        "weights": mean([one["weights"] for one in whole]),
        "masked": mean([one["masked"] for one in whole]),
        "std": mean([one["std"] for one in whole if one["std"] is not None]),
        "near": mean([one["near_zero"] for one in whole if one["near_zero"] is not None]),
        "stages": {stage: _near_of(found, stage) for stage in stages},
    }


def _near_of(found: Sequence[Row], stage: str) -> float | None:
    values = [row["found"]["stages"][stage]["near_zero"] for row in found]
    return mean([value for value in values if value is not None])
