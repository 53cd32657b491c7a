"""The figure of a case beside the published numbers: two marks an arm, theirs above ours, each with its standard deviation.

Published numbers that were read are filled, recalled ones are hollow and say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from regrow.report.drawing import Picture, colour, plain, rounded
from regrow.report.drawing import figure as draw
from regrow.report.published_text import MARKED, certainty, in_brackets, mean_and_spread

Row = Mapping[str, Any]

APART: Final = 0.17
"""Half the distance between the two marks of an arm, in rows."""


def published_picture(row: Row, name: str) -> Picture:
    """The picture of one comparison row (`regrow.report.published`)."""
    arms = [one for one in row["arms"] if one["theirs"]["kind"] == row["unit"]]
    change = row["unit"] == "change"
    reach = _reach(arms)
    traces = [trace for place, one in enumerate(arms) for trace in _traces(one, float(-place), row["unit"], reach)]
    axis = "change against the unpruned network, percentage points" if change else "test accuracy, %"
    figure = draw(traces, x=axis, y="", height=110 + 62 * len(arms))
    figure.update_yaxes(
        tickvals=[-place for place in range(len(arms))],
        ticktext=[plain(one["arm"]) for one in arms],
        range=[0.6 - len(arms), 0.6],
        showgrid=False,
    )
    figure.update_xaxes(range=list(reach))
    return Picture(
        name=name,
        title=f"{row['design']}: {'change' if change else 'accuracy'} of every arm, published and ours",
        caption="Of each arm the published mean above (diamond) and ours below (circle), with one standard deviation over runs to each "
        "side. Hollow diamonds are recalled, filled ones were read; the protocols differ as the list says.",
        alt=f"{row['title']}: " + "; ".join(_in_words(one, row["unit"]) for one in arms) + ".",
        figure=figure,
    )


def _traces(one: Row, level: float, unit: str, reach: tuple[float, float]) -> list[go.Scatter]:
    theirs, ours = one["theirs"], one["ours"]
    hollow = theirs["mark"] != "read"
    said = certainty(theirs)
    tip = f"published, {one['arm']}: {mean_and_spread(theirs, unit, unit)}{in_brackets(said)}, n = {theirs['n']}"
    traces = [
        _mark(one["arm"], theirs, level + APART, tip, symbol="diamond-open" if hollow else "diamond")
        | {
            "text": [in_brackets(said).strip()],
            "textposition": f"top {_side(theirs['mean'], reach)}",
            "textfont": {"size": 11, "color": "var(--muted)"},
            "mode": "markers+text",
        }
    ]
    if ours is not None:
        tip = f"ours, {ours['arm']}: {mean_and_spread(ours, unit, unit)}, n = {ours['n']}"
        traces.append(_mark(one["arm"], ours, level - APART, tip, symbol="circle"))
    return [go.Scatter(trace) for trace in traces]


def _mark(arm: str, side: Row, level: float, tip: str, *, symbol: str) -> dict[str, Any]:
    spread = {"type": "data", "array": rounded([side["std"]]), "thickness": 1.5, "width": 4, "color": colour(arm)}
    return {
        "x": rounded([side["mean"]]),
        "y": [level],
        "error_x": None if side["std"] is None else spread,
        "mode": "markers",
        "marker": {"color": colour(arm), "size": 11, "symbol": symbol, "line": {"color": colour(arm), "width": 2}},
        "customdata": [plain(tip)],
        "hovertemplate": "%{customdata}<extra></extra>",
        "legendgroup": arm,
        "showlegend": False,
    }


def _side(mean: float, reach: tuple[float, float]) -> str:
    """Where words above a mark stand, so that they stay within the figure."""
    share = (mean - reach[0]) / (reach[1] - reach[0])
    return "left" if share > 0.7 else "right" if share < 0.3 else "center"


def _reach(arms: Sequence[Row]) -> tuple[float, float]:
    """From the least to the most that any bar reaches, and some room beside."""
    sides = [side for one in arms for side in (one["theirs"], one["ours"]) if side is not None]
    ends = [side["mean"] + sign * (side["std"] or 0.0) for side in sides for sign in (-1, 1)]
    room = max(0.08 * (max(ends) - min(ends)), 0.1)
    return min(ends) - room, max(ends) + room


def _in_words(one: Row, unit: str) -> str:
    theirs, ours = one["theirs"], one["ours"]
    published = f"{mean_and_spread(theirs, unit, unit)}{in_brackets(MARKED[theirs['mark']])}"
    return f"{one['arm']} published {published}, ours {mean_and_spread(ours, unit, unit)}"
