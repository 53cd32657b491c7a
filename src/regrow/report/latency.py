"""The answer of `regrow latency` on a terminal: the numbers in a table, then what they mean in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from regrow.report.words import DASH, plural, quantity, times

_RIGHT: Final = ("MACs", "memory", "time\nms", "middle\nhalf", "MAC\ncut", "speed-\nup", "effi-\nciency")


def print_latency(answer: Mapping[str, Any], console: Console) -> None:
    """Print what `Latency.to_json` gives, with `network`, `shape` and `provenance`. Nothing in it is read as rich markup."""
    console.print(_numbers(answer))
    console.print()
    for sentence in answer["sentences"]:
        console.print(Text(sentence))
    for note in answer["notes"]:
        console.print(Text(f"note: {note}"))
    console.print(Text(_where(answer), style="dim"))


def _numbers(answer: Mapping[str, Any]) -> Table:
    setup = answer["setup"]
    size = "x".join(str(side) for side in answer["shape"])
    layout = ", channels last" if setup["channels_last"] else ""
    title = f"{answer['network']}, {size}, batch {setup['batch']}{layout}"
    table = Table(title=Text(title), title_justify="left", title_style="", box=None, padding=(0, 1, 0, 0))
    for header in ("removed", "backend"):
        table.add_column(header, overflow="fold")
    for header in _RIGHT:
        table.add_column(header, justify="right", overflow="fold")
    for row in answer["rows"]:
        table.add_row(*(Text(cell) for cell in _cells(row)))
    return table


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Memory is that of weights and activations together; on a GPU the activations are the measured ones."""
    measured = row["device_peak_bytes"]
    activations = row["peak_activation_bytes"] if measured is None else measured
    ratios = [DASH if row["fraction"] == 0 else times(row[key]) for key in ("mac_cut", "speed_up", "efficiency")]
    return (
        "dense" if row["fraction"] == 0 else _removed(row),
        row["backend"],
        quantity(row["macs"]),
        _bytes(row["weight_bytes"] + activations),
        _milliseconds(row["median_seconds"]),
        f"{_milliseconds(row['first_quartile_seconds'])}–{_milliseconds(row['third_quartile_seconds'])}",
        *ratios,
    )


def _removed(row: Mapping[str, Any]) -> str:
    if row["fraction"] is None:
        return str(row["name"])
    rounded = f" to {row['round_to']}s" if row["round_to"] > 1 else ""
    return f"{100 * row['fraction']:.3g} %{rounded}"


def _bytes(count: int) -> str:
    return f"{quantity(count)}B" if count >= 1000 else f"{count} B"


def _milliseconds(seconds: float) -> str:
    """Milliseconds in three significant digits.

    >>> [_milliseconds(0.37449), _milliseconds(0.0119), _milliseconds(0.0000421), _milliseconds(2.5)]
    ['374', '11.9', '0.0421', '2500']
    """
    digits = float(f"{1000 * seconds:.3g}")
    return f"{digits:g}" if digits < 1000 else f"{digits:.0f}"


def _where(answer: Mapping[str, Any]) -> str:
    setup, place = answer["setup"], answer["provenance"]
    rounds = min(row["rounds"] for row in answer["rows"])
    used = plural(setup["threads"], "thread") if setup["device"] == "cpu" else setup["device"]
    return (
        f"{place['processor']}, {place['cores']} cores, torch {place['versions']['torch']}; {used}, {rounds} rounds in turns. "
        "Speed does not depend on what the weights are."
    )
