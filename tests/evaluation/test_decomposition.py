"""The 2 x 2 decomposition: effects by hand, against a regression, and only between architectures of equal cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from regrow.evaluation.decomposition import EFFECTS, decompose

KEY = {"network": "vgg16", "data": "digits", "variant": "", "fraction": 0.5, "design": "50 % of macs"}

BY_HAND = {(0, "FI"): 90.0, (0, "FF"): 88.0, (0, "UI"): 85.0, (0, "UF"): 85.0,
           (1, "FI"): 92.0, (1, "FF"): 89.0, (1, "UI"): 87.0, (1, "UF"): 86.0}  # fmt: skip

WHERE = {
    "FI": ("slimming", "retrain"),
    "FF": ("slimming", "scratch-e"),
    "UI": ("l1", "retrain"),
    "UF": ("l1", "scratch-e"),
}


def results(accuracies: dict[tuple[int, str], float], **costs: float) -> dict[str, Any]:
    small = {"macs": 1000, "params": 500}
    return {
        "architectures": [
            {**KEY, "method": "slimming", "seed": 0, **small},
            {**KEY, "method": "slimming", "seed": 1, **small},
            {**KEY, "method": "l1", "seed": None, **small, **costs},
        ],
        "runs": [
            {**KEY, "method": WHERE[cell][0], "arm": WHERE[cell][1], "seed": seed, "test_accuracy": value}
            for (seed, cell), value in accuracies.items()
        ],
    }


def test_effects_by_hand() -> None:
    (table,) = decompose(results(BY_HAND))
    means = {name: effect.mean for name, effect in table.effects.items()}
    # seed 0: found 89, uniform 85; inherited 87.5, fresh 86.5; (90 - 88) - (85 - 85) = 2. Seed 1: 90.5, 86.5; 89.5, 87.5; 3 - 1 = 2
    assert means == {
        "architecture": 4.0,
        "weights": 1.5,
        "interaction": 2.0,
        "architecture, inherited weights": 5.0,
        "architecture, fresh weights": 3.0,
        "weights, found widths": 2.5,
        "weights, uniform widths": 0.5,
    }
    assert (table.cells["FI"].mean, table.cells["UF"].mean, table.seeds) == (91.0, 85.5, (0, 1))
    assert table.effects["interaction"].interval == pytest.approx((2.0, 2.0))
    # weights: 1 and 2, sd 0.707, se 0.5, t(1) = 12.706
    assert table.effects["weights"].interval == pytest.approx((1.5 - 6.353, 1.5 + 6.353), abs=1e-3)
    assert (table.equal, table.found, table.uniform) == (
        ("macs", "params"),
        "slimming, 50 % of macs",
        "l1, 50 % of macs",
    )


def random_table(seeds: int) -> NDArray[np.float64]:
    return 90 + np.random.default_rng(3).normal(size=(seeds, 4))


def test_main_effects_and_interaction_are_those_of_a_regression_on_contrast_coded_factors() -> None:
    values = random_table(6)
    given = {(seed, cell): float(values[seed, place]) for seed in range(6) for place, cell in enumerate(WHERE)}
    (table,) = decompose(results(given))
    architecture, weights = np.array([0.5, 0.5, -0.5, -0.5]), np.array([0.5, -0.5, 0.5, -0.5])
    factors = np.column_stack([np.ones(4), architecture, weights, architecture * weights])
    solved = np.linalg.lstsq(np.tile(factors, (6, 1)), values.ravel(), rcond=None)[0]
    found = [table.effects[name].mean for name in ("architecture", "weights", "interaction")]
    assert found == pytest.approx(solved[1:].tolist())


@pytest.mark.parametrize("effect", EFFECTS)
def test_intervals_are_those_of_the_paired_t_test(effect: str) -> None:
    values = random_table(5)
    given = {(seed, cell): float(values[seed, place]) for seed in range(5) for place, cell in enumerate(WHERE)}
    (table,) = decompose(results(given))
    expected = stats.ttest_1samp(values @ np.array(EFFECTS[effect]), 0).confidence_interval(0.95)
    assert table.effects[effect].interval == pytest.approx((expected.low, expected.high))


def test_no_interval_is_narrower_than_one_test_image_allows() -> None:
    (table,) = decompose({**results(BY_HAND), "data": [{"data": "digits", "test": 200}]})
    # one of 200 images is 0.5 points; of two seeds: 12.706 * 0.5 / sqrt(2) = 4.492
    assert table.effects["interaction"].interval == pytest.approx((2 - 4.492, 2 + 4.492), abs=1e-3)
    assert table.effects["weights"].interval == pytest.approx((1.5 - 6.353, 1.5 + 6.353), abs=1e-3)


def test_only_seeds_with_all_four_runs_count_and_one_seed_has_no_interval() -> None:
    (table,) = decompose(results({key: value for key, value in BY_HAND.items() if key != (1, "UF")}))
    assert (table.seeds, table.effects["weights"].interval) == ((0,), None)
    assert decompose(results({key: value for key, value in BY_HAND.items() if key[1] != "UF"})) == []


def test_architectures_of_other_cost_are_not_compared() -> None:
    assert decompose(results(BY_HAND, macs=1100, params=700)) == []
    (table,) = decompose(results(BY_HAND, macs=1015, params=700))
    assert table.equal == ("macs",)


def test_other_fractions_and_methods_are_other_tables() -> None:
    assert decompose(results(BY_HAND), uniform="l2") == []
    other = results(BY_HAND)
    for row in (*other["architectures"], *other["runs"]):
        row["fraction"] = 0.3 if row["method"] == "l1" else 0.5
    assert decompose(other) == []
