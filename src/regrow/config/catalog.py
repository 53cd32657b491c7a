"""The catalogue: every table that a study file takes names from, readable without torch.

`regrow list KIND` prints these tables, shell completion offers their names, and `regrow.config.rules` looks names up here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from regrow.table import Summarised, Table, load


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of thing that can be listed."""

    summary: str
    """One line of help."""

    table: str
    """`module:attribute` of its table; the module imports no torch."""


KINDS: Final[Table[Kind]] = Table(
    "kind of list",
    {
        "networks": Kind(summary="dense networks, for network.name", table="regrow.networks.zoo:NETWORKS"),
        "sources": Kind(
            summary="where other networks come from, for network.name", table="regrow.networks.sources:SOURCES"
        ),
        "data": Kind(summary="data sets and formats, for data.name", table="regrow.data.datasets:DATASETS"),
        "methods": Kind(summary="pruning methods, for prune.method", table="regrow.pruning.methods:METHODS"),
        "method-sources": Kind(
            summary="where other people's methods come from, for prune.method",
            table="regrow.pruning.method_sources:METHOD_SOURCES",
        ),
        "designs": Kind(summary="predefined architectures, for prune.widths", table="regrow.pruning.designs:DESIGNS"),
        "arms": Kind(summary="ways to train the pruned architecture, for arms", table="regrow.retraining.arms:ARMS"),
        "conventions": Kind(
            summary="budgets of scratch-b, for retrain.convention", table="regrow.retraining.conventions:CONVENTIONS"
        ),
        "analyses": Kind(
            summary="what is measured of the trained networks besides accuracy, for analyses",
            table="regrow.evaluation.analyses:ANALYSES",
        ),
        "published": Kind(
            summary="published tables that a study's numbers can stand beside, for published",
            table="regrow.published.tables:TABLES",
        ),
        "studies": Kind(summary="packaged studies, for regrow run", table="regrow.config.packaged:STUDIES"),
    },
)


def table(kind: str) -> Mapping[str, Summarised]:
    """The table of one kind. Raises `UnknownNameError` for a kind that is not in `KINDS`."""
    rows: Mapping[str, Summarised] = load(KINDS[kind].table)
    return rows


def listing(kind: str) -> list[dict[str, Any]]:
    """The rows of one table as JSON-able objects, each with `name` and `summary` first, in the table's order."""
    return [{"name": name, "summary": row.summary} | _details(row) for name, row in table(kind).items()]


def _details(row: Any) -> dict[str, Any]:
    """The other plain fields of a row, and a network's prunable groups at width 1; addresses of code are left out."""
    fields = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    plain = {key: value for key, value in fields.items() if _is_plain(value) and not _is_address(value)}
    if callable(getattr(row, "groups", None)):
        plain["groups"] = [dataclasses.asdict(group) for group in row.groups(1.0)]
    return plain


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


def _is_address(value: object) -> bool:
    """Whether a text is `module:attribute` of regrow's own code."""
    return isinstance(value, str) and value.startswith("regrow.") and ":" in value
