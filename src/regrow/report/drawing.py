"""What all figures share: colours that the page resolves, axes, marks, and numbers no longer than a screen can show.

Colours are CSS variables of the page (`var(--arm-retrain)`), resolved by its script, so one figure serves light, dark and print.
Every trace carries its arm as `legendgroup`; the page's own legend shows and hides arms by it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go

from regrow.retraining.arms import ARMS

MAX_POINTS: Final = 60
"""Points of one training curve; longer runs are thinned evenly, first and last epoch kept."""

_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")
_LOOKALIKES: Final = {"<": "‹", ">": "›", "&": "＆"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure with the words that go with it."""

    name: str
    """Its id on the page."""

    title: str
    """A heading."""

    caption: str
    """What the axes and marks are, in a sentence or two."""

    alt: str
    """What a reader who cannot see it should know: the main numbers."""

    figure: go.Figure
    """The figure itself, without a template of its own."""


def drawn(pictures: dict[str, Picture]) -> dict[str, Picture]:
    """Only those pictures that have something to show."""
    return {key: picture for key, picture in pictures.items() if picture.figure.data}


def colour(arm: str) -> str:
    """The CSS variable of an arm's colour; arms that the table does not know share one.

    >>> colour("scratch-b")
    'var(--arm-scratch-b)'
    """
    return f"var(--arm-{arm})" if arm == "dense" or arm in ARMS else "var(--arm-other)"


def symbol(arm: str) -> str:
    """The mark of an arm, so that arms can be told apart without colour."""
    order = ["dense", *ARMS]
    return _SYMBOLS[order.index(arm) % len(_SYMBOLS)] if arm in order else "hexagon"


def figure(traces: Sequence[Any], *, x: str, y: str, height: int) -> go.Figure:
    """A figure of these traces with titled axes; empty traces are left out."""
    shared = {"zeroline": False, "automargin": True}
    held = [trace for trace in traces if trace.x is not None and len(trace.x)]
    layout = {"template": "none", "height": height, "showlegend": False, "xaxis": {"title": {"text": x}, **shared}}
    return go.Figure(held, layout={**layout, "yaxis": {"title": {"text": y}, **shared}})


def thinned(items: Sequence[Any], most: int = MAX_POINTS) -> list[Any]:
    """At most `most` items, evenly spaced, first and last among them.

    >>> thinned(list(range(100)), most=4)
    [0, 33, 66, 99]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def plain(text: str) -> str:
    """Plotly reads a little HTML and %-templates in its texts; names from a file are to be shown as they are.

    >>> plain("<b>net</b>")
    '‹b›net‹/b›'
    """
    return re.sub(r"[<>&{}]", lambda found: _LOOKALIKES.get(found.group(), " "), str(text))


def rounded(values: Iterable[float | None]) -> list[float | None]:
    """Five significant digits: what a screen can show, at half the bytes. What is not finite becomes a gap."""
    return [None if value is None or not math.isfinite(value) else float(f"{value:.5g}") for value in values]


def error_bars(ys: Sequence[float], intervals: Sequence[tuple[float, float] | None], shade: str) -> dict[str, Any]:
    """From the lower to the upper end of each interval around `ys`; of no length where there is none."""
    ends = [interval or (y, y) for y, interval in zip(ys, intervals, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": rounded([high - y for (_, high), y in zip(ends, ys, strict=True)]),
        "arrayminus": rounded([y - low for (low, _), y in zip(ends, ys, strict=True)]),
        "thickness": 1.5,
        "width": 4,
        "color": shade,
    }
