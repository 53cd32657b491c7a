"""Statistics of published means, against scipy on samples that have exactly these means and deviations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from regrow.evaluation.published import (
    Estimate,
    agreement,
    distance,
    own_difference,
    published_difference,
    ratio_too_low,
)
from regrow.published.numbers import Number, of_table

(FINE_TUNED,) = [n for n in of_table("table1") if (n.design, n.arm) == ("vgg16-a", "fine-tune")]
(SCRATCH_B,) = [n for n in of_table("table1") if (n.design, n.arm) == ("vgg16-a", "scratch-b")]


def sample(mean: float, sd: float, n: int) -> NDArray[np.float64]:
    """n numbers of exactly this mean and standard deviation."""
    raw = np.random.default_rng(n).normal(size=n)
    return np.asarray(mean + sd * (raw - raw.mean()) / raw.std(ddof=1))


def row(values: list[float] | NDArray[np.float64]) -> dict[str, Any]:
    """A row of `pairs` for these differences of seeds."""
    found = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return {"n": len(values), "mean": float(np.mean(values)), "ci95": [float(found.low), float(found.high)]}


def estimate(mean: float, half: float | None, n: int = 5) -> Estimate:
    return own_difference({"n": n, "mean": mean, "ci95": None if half is None else [mean - half, mean + half]})


def published(mean: float, std: float | None, n: int = 5) -> Number:
    return replace(FINE_TUNED, mean=mean, std=std, n=n, std_mark=None if std is None else "recalled")


@pytest.mark.parametrize(("sd_a", "n_a", "sd_b", "n_b"), [(0.12, 5, 0.15, 5), (0.04, 5, 0.43, 5), (0.3, 3, 0.1, 7)])
def test_the_published_difference_has_welchs_interval(sd_a: float, n_a: int, sd_b: float, n_b: int) -> None:
    found = published_difference(published(93.41, sd_a, n_a), published(93.78, sd_b, n_b))
    a, b = sample(93.41, sd_a, n_a), sample(93.78, sd_b, n_b)
    wanted = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert found is not None
    assert found.interval == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert found.mean == pytest.approx(-0.37)


def test_fine_tuning_against_scratch_b_of_vgg16_by_hand() -> None:
    found = published_difference(FINE_TUNED, SCRATCH_B)
    assert found is not None
    # se = sqrt(0.12^2 / 5 + 0.15^2 / 5) = 0.085907, df = 7.632, t = 2.32551
    assert found.interval == pytest.approx((-0.56978, -0.17022), abs=1e-4)
    assert (found.n, found.mark, found.decided) == (5, "recalled", True)


@pytest.mark.parametrize("other", [published(92.0, None), published(92.0, 0.1, 1)])
def test_single_runs_and_missing_deviations_have_no_interval(other: Number) -> None:
    found = published_difference(FINE_TUNED, other)
    assert found is not None
    assert found.mean == pytest.approx(1.41)
    assert found.interval is None
    assert not found.decided


def test_an_accuracy_is_not_subtracted_from_a_change() -> None:
    assert published_difference(FINE_TUNED, replace(SCRATCH_B, kind="change")) is None


def test_two_deviations_of_zero_have_a_narrow_interval_and_no_division_by_zero() -> None:
    found = published_difference(published(93.0, 0.0), published(92.0, 0.0))
    assert found is not None
    assert found.interval == pytest.approx((1.0, 1.0), abs=1e-6)


def test_our_interval_is_the_rows_own() -> None:
    ours = row([0.3, -0.1, 0.4, 0.2, 0.5])
    assert own_difference(ours).interval == pytest.approx(ours["ci95"])


def test_one_seed_has_no_interval() -> None:
    assert own_difference({"n": 1, "mean": 0.2, "ci95": None}).interval is None


def test_the_distance_adds_both_errors_with_satterthwaites_degrees_of_freedom() -> None:
    """Three independent parts: two published arms, and our paired differences; df written out."""
    seeds = sample(0.5, 0.4, 6)
    theirs = published_difference(published(93.41, 0.12), published(93.78, 0.15))
    assert theirs is not None
    found = distance(own_difference(row(seeds)), theirs)
    parts, degrees = np.array([0.12**2 / 5, 0.15**2 / 5, 0.4**2 / 6]), np.array([4, 4, 5])
    df = parts.sum() ** 2 / (parts**2 / degrees).sum()
    half = stats.t.ppf(0.975, df) * np.sqrt(parts.sum())
    assert found.mean == pytest.approx(0.87)
    assert found.interval == pytest.approx((0.87 - half, 0.87 + half), abs=1e-9)
    assert found.mark == "recalled"


def test_the_distance_from_single_runs_has_no_interval() -> None:
    theirs = published_difference(published(93.0, None, 1), published(92.0, None, 1))
    assert theirs is not None
    assert distance(estimate(0.4, 0.1), theirs).interval is None


class TestAgreement:
    def test_equal_signs_agree_and_opposite_ones_disagree(self) -> None:
        assert agreement(estimate(-0.4, 0.3), estimate(-0.2, 0.1)) == ("agrees", [])
        assert agreement(estimate(0.4, 0.3), estimate(-0.2, 0.1)) == ("disagrees", [])

    def test_an_interval_that_includes_0_cannot_tell(self) -> None:
        ours, theirs = estimate(0.4, 0.5), estimate(-0.2, 0.3)
        assert agreement(ours, estimate(-0.4, 0.3)) == ("cannot tell", ["our interval includes 0"])
        assert agreement(estimate(0.6, 0.5), theirs) == ("cannot tell", ["the published interval includes 0"])
        assert len(agreement(ours, theirs)[1]) == 2

    def test_an_end_at_exactly_0_is_included(self) -> None:
        assert agreement(estimate(0.5, 0.5), estimate(0.4, 0.1))[0] == "cannot tell"

    def test_what_makes_the_study_smaller_is_a_reason_whatever_the_intervals_say(self) -> None:
        found = agreement(estimate(0.4, 0.1), estimate(0.4, 0.1), ["reduced width (0.125)"])
        assert found == ("cannot tell", ["reduced width (0.125)"])

    def test_no_interval_says_why(self) -> None:
        alone, unknown = estimate(0.4, None, n=1), estimate(0.4, None)
        assert agreement(estimate(0.4, 0.1), alone)[1] == ["the published numbers have no interval (n = 1)"]
        assert agreement(alone, estimate(0.4, 0.1))[1] == ["our numbers have no interval (n = 1)"]
        assert agreement(estimate(0.4, 0.1), unknown)[1] == [
            "the published numbers have no interval (no standard deviation)"
        ]


def test_half_of_the_published_epochs_is_enough() -> None:
    assert [ratio_too_low(epochs, 40) for epochs in (19, 20, 40, None)] == [True, False, False, False]
    assert not ratio_too_low(3, None)
