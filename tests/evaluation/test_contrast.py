"""Contrasts: arms are paired by seed, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from regrow.errors import ProtocolError
from tests.evaluation.contrasts import by_seed, contrast, noisy


def test_seeds_are_paired_by_name_and_not_by_order() -> None:
    a, b = noisy([3, 6, -9])
    straight = contrast([3, 6, -9]).difference(1.0)
    turned = contrast([0], correct_a=by_seed(a), correct_b=dict(reversed(by_seed(b).items()))).difference(1.0)
    assert turned == straight
    assert straight.sd == pytest.approx(np.std([0.3, 0.6, -0.9], ddof=1))


def test_other_seeds_are_refused() -> None:
    a, b = noisy([3, 6])
    with pytest.raises(
        ProtocolError, match=r"retrain has \[0, 1\], scratch-b has \[0, 2\]. Finish the missing runs first"
    ):
        contrast([0], correct_a=by_seed(a), correct_b={0: b[0], 2: b[1]}).difference(1.0)


def test_no_seeds_are_refused() -> None:
    with pytest.raises(ProtocolError, match=r"retrain has \[\]"):
        contrast([0], correct_a={}, correct_b={}).difference(1.0)


def test_other_test_examples_are_refused() -> None:
    a, b = noisy([3, 6])
    with pytest.raises(ProtocolError, match="on 900 and 1000 of them"):
        contrast([0], correct_a=by_seed(a), correct_b={0: b[0], 1: b[1][:900]}).difference(1.0)


def test_its_columns_and_label_say_what_was_compared() -> None:
    found = contrast([1, 2, 3])
    compared = {"network": "vgg11", "data": "digits", "variant": "", "method": "l1"}
    columns = {**compared, "fraction": 0.5, "design": found.design}
    assert found.columns == columns
    assert found.label == "vgg11 on digits (l1, 50 %)"
    assert found.family == ("vgg11", "digits", "l1")


def test_looks_reach_the_difference() -> None:
    assert contrast([1, 2, 3], looks=3).difference(1.0).looks == 3
