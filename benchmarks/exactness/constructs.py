"""The toy networks of the tests, one construct each."""

from __future__ import annotations

from benchmarks.exactness.cases import Case, doubled
from tests.channels.constructs import CONSTRUCTS


def names() -> tuple[str, ...]:
    """All constructs."""
    return tuple(CONSTRUCTS)


def case(name: str) -> Case:
    """One construct."""
    build, inputs = CONSTRUCTS[name]
    return Case(name, build, lambda seed: doubled(inputs(seed)))
