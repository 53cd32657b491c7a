"""Kinds of work: words that fit into the sentences."""

from __future__ import annotations

import pytest

from regrow.evaluation.kinds import KINDS


@pytest.mark.parametrize("name", KINDS)
def test_words_fit_into_a_sentence(name: str) -> None:
    kind = KINDS[name]
    assert not kind.summary.endswith(".") and not kind.reason.endswith(".")
    assert kind.reason.split()[0] not in ("they", "is", "costs", "does", "has")


def test_only_what_multiplies_depends_on_even_widths() -> None:
    assert {name for name, kind in KINDS.items() if kind.widens} == {"convolution", "pointwise", "grouped", "linear"}
