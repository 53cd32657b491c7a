"""The smallest valid study, as tables, for tests to break."""

from __future__ import annotations

from typing import Any

from regrow.config.load import build
from regrow.config.study import Study


def tables(**changes: Any) -> dict[str, Any]:
    """A valid study's tables with some of its top-level keys replaced."""
    return {
        "name": "test",
        "data": {"name": "digits"},
        "network": {"name": "vgg11"},
        "prune": {"method": "l1"},
        **changes,
    }


def study(**changes: Any) -> Study:
    """The study of these tables, without asking whether its rules hold."""
    return build(tables(**changes))[0]


def told(**changes: Any) -> list[str]:
    """`key: rule` of every fault."""
    return [f"{fault.key}: {fault.rule}" for fault in build(tables(**changes))[1]]
