from __future__ import annotations

from typing import Any

import pytest
import torch

from regrow.errors import PruningError
from regrow.pruning.evidence_asked import asked_for


def test_the_names_of_the_parameters_are_what_is_looked_at() -> None:
    asked = asked_for("mine", lambda weight, /, squared_gradient, *, scale: weight * squared_gradient * scale, True)
    assert asked.positional == ("weight",)
    assert asked.keywords == {"squared_gradient": "squared_gradient", "scale": "scale"}
    assert not asked.each_batch and not asked.per_channel


def test_what_is_called_for_every_batch_or_looks_at_channels_only_is_known() -> None:
    assert asked_for("mine", lambda weight, batch_gradient: weight * batch_gradient, True).each_batch
    assert asked_for("mine", lambda scale, generator: (scale, generator), False).per_channel


def test_a_default_is_replaced_where_there_is_evidence_for_it() -> None:
    def mine(weight: Any, gradient: Any = None, unit_sum: Any = None, power: float = 2.0, **more: Any) -> Any:
        return weight

    assert asked_for("mine", mine, examples=False).names == ("weight", "unit_sum")
    assert asked_for("mine", mine, examples=True).names == ("weight", "gradient", "unit_sum")


def test_random_numbers_may_have_any_name_in_second_place() -> None:
    def annotated(weight: Any, source: torch.Generator) -> Any:
        return weight

    assert asked_for("mine", annotated, False).keywords == {"weight": "weight", "source": "generator"}
    assert asked_for("mine", lambda weight, _: weight, False).names == ("weight", "generator")


def test_other_names_are_refused_with_those_that_are_known() -> None:
    with pytest.raises(PruningError, match=r"mine asks for 'gradiant', which is no evidence.*Did you mean 'gradient'"):
        asked_for("mine", lambda weight, gradiant: weight * gradiant, True)


def test_missing_examples_are_asked_for() -> None:
    with pytest.raises(
        PruningError, match=r"mine scores on training examples: it looks at output_rank .* Pass batches="
    ):
        asked_for("mine", lambda output_rank: output_rank, False)


def test_what_does_not_say_its_parameters_is_refused() -> None:
    with pytest.raises(PruningError, match="does not say what it looks at"):
        asked_for("max", max, False)
