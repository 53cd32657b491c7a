"""The difference between two arms, and the seeds that would decide it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from regrow.errors import ProtocolError
from regrow.evaluation.difference import POWER, Difference, compare, seeds_needed
from regrow.evaluation.seeds import FEWEST_SEEDS, MOST_SEEDS
from regrow.evaluation.statistics import ALPHA, PRIOR_VARIANCE, Design, decision_power, sd_interval
from tests.evaluation.samples import constant_gap, flat_arms, spread_arms


@pytest.fixture
def found() -> Difference:
    return compare(*spread_arms(6, np.random.default_rng(0)), margin=2.0)


class TestCompare:
    def test_by_hand(self) -> None:
        # Accuracies 75, 50, 100 and 50, 50, 50 percent: differences 25, 0, 50 points.
        a = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], bool)
        b = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]], bool)
        found = compare(a, b, margin=50.0)
        assert (found.n, found.images, found.mean, found.margin_images) == (3, 4, 25.0, 2.0)
        assert found.sd == pytest.approx(25.0)
        half = stats.t.ppf(0.975, 2) * 25.0 / np.sqrt(3)
        # Differences by example: (0,0,0), (0,1,0), (1,-1,1), (0,0,1): variances 0, 1/3, 4/3, 1/3; the floor is sqrt(2)/4.
        assert found.floor_sd == pytest.approx(100 * np.sqrt(2) / 4)
        assert found.floor_counts
        floor_half = stats.t.ppf(0.975, 3) * 100 * np.sqrt(2) / 4 / np.sqrt(3)
        assert found.ci95 == pytest.approx((25 - max(half, floor_half), 25 + max(half, floor_half)))
        # Means by example: 0, 1/3, 1/3, 1/3.
        assert found.image_error == pytest.approx(100 * np.std([0, 1 / 3, 1 / 3, 1 / 3], ddof=1) / 2)

    def test_the_other_order_mirrors_everything(self) -> None:
        a, b = spread_arms(5, np.random.default_rng(1))
        there, back = compare(a, b, margin=2.0), compare(b, a, margin=2.0)
        assert there.ci95 is not None
        assert back.ci95 == pytest.approx((-there.ci95[1], -there.ci95[0]))
        assert there.p_superiority == back.p_superiority
        assert there.correlation == pytest.approx(back.correlation)

    def test_the_correlation_is_pearsons(self, found: Difference) -> None:
        a, b = spread_arms(6, np.random.default_rng(0))
        assert found.correlation == pytest.approx(stats.pearsonr(a.mean(axis=1), b.mean(axis=1)).statistic)

    def test_an_arm_that_never_varies_correlates_with_nothing(self) -> None:
        assert compare(*flat_arms(gap=2), margin=1.0).correlation is None

    @pytest.mark.parametrize("gap", [0, 3])
    def test_equal_differences_leave_an_interval_and_a_p(self, gap: int) -> None:
        found = compare(*constant_gap(4, gap), margin=1.0)
        assert found.sd == pytest.approx(0.0, abs=1e-12)
        assert found.ci95 is not None
        assert found.welch95 is not None
        assert found.ci95[1] - found.ci95[0] > 0.2
        assert found.welch95[1] - found.welch95[0] > 0.2
        assert found.p_superiority is not None
        assert found.p_superiority > 0

    def test_one_seed_has_a_difference_and_nothing_else(self) -> None:
        a, b = flat_arms(gap=5, seeds=1)
        found = compare(a, b, margin=1.0)
        assert found == Difference(n=1, images=500, margin=1.0, looks=1, mean=1.0)

    def test_two_seeds_have_intervals_but_no_tests(self) -> None:
        found = compare(*spread_arms(2, np.random.default_rng(2)), margin=1.0)
        assert found.ci95 is not None
        assert (found.p_superiority, found.p_excess, found.p_equivalence) == (None, None, None)

    def test_a_single_test_image_says_nothing_about_others(self) -> None:
        found = compare(np.array([[True], [False], [True]]), np.array([[True], [True], [False]]), margin=1.0)
        assert found.image_error is None

    @pytest.mark.parametrize("shape", [(3, 9), (4, 10), (3, 10, 1)])
    def test_arms_of_other_shapes_are_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ProtocolError, match=r"\(3, 10\).*Finish the missing runs first"):
            compare(np.ones((3, 10), bool), np.ones(shape, bool), margin=1.0)

    def test_no_seeds_are_refused(self) -> None:
        with pytest.raises(ProtocolError, match=r"\(0, 10\)"):
            compare(np.ones((0, 10), bool), np.ones((0, 10), bool), margin=1.0)


class TestExtendedStudies:
    def test_they_get_a_wider_interval_and_larger_p(self) -> None:
        arms = spread_arms(8, np.random.default_rng(3))
        first, second = compare(*arms, margin=2.0), compare(*arms, margin=2.0, looks=2)
        assert (first.extended, second.extended) == (False, True)
        assert first.ci95 is not None
        assert second.ci95 is not None
        assert second.ci95[0] < first.ci95[0] < first.ci95[1] < second.ci95[1]
        assert second.p_superiority is not None
        assert first.p_superiority is not None
        assert second.p_superiority > first.p_superiority
        assert second.welch95 is None

    def test_three_seeds_get_none(self) -> None:
        found = compare(*spread_arms(3, np.random.default_rng(4)), margin=2.0, looks=2)
        assert found.ci95 is None
        assert found.p_superiority == pytest.approx(1.0)


def design_of(found: Difference, sd: float, alpha: float = ALPHA, prior: float | None = PRIOR_VARIANCE) -> Design:
    assert found.floor_sd is not None
    assert found.floor_df is not None
    return Design(
        difference=found.mean,
        sd=max(sd, found.floor_sd),
        margin=found.margin,
        floor_sd=found.floor_sd,
        floor_df=found.floor_df,
        alpha=alpha,
        prior=prior,
    )


class TestSeedsNeeded:
    @pytest.mark.parametrize("family", [1, 3])
    @pytest.mark.parametrize("afresh", [False, True])
    def test_they_are_the_fewest_with_80_percent_power_at_both_ends_of_the_sd(
        self, found: Difference, family: int, afresh: bool
    ) -> None:
        found = replace(found, margin=12.0)
        needed = seeds_needed(found, family, afresh=afresh)
        assert needed is not None
        assert found.sd is not None
        base = 0 if afresh else found.n
        for more, sd in zip(needed, sd_interval(found.sd, found.n), strict=True):
            design = design_of(found, sd, ALPHA / family, None if afresh else PRIOR_VARIANCE)
            assert 1 < more < MOST_SEEDS
            assert decision_power(base + more, design) >= POWER
            assert decision_power(base + more - 1, design) < POWER

    def test_a_margin_that_is_out_of_reach_needs_more_than_anyone_looks_for(self, found: Difference) -> None:
        hopeless = replace(found, mean=0.0, margin=0.001)
        assert seeds_needed(hopeless) == (MOST_SEEDS, MOST_SEEDS)

    def test_seeds_that_agree_too_well_are_not_believed(self) -> None:
        lucky = compare(*constant_gap(4, 1), margin=0.5)
        needed = seeds_needed(lucky)
        assert needed is not None
        assert needed[0] == needed[1] > 5

    @pytest.mark.parametrize("seeds", range(1, FEWEST_SEEDS))
    def test_too_few_seeds_say_nothing_about_how_many_are_needed(self, seeds: int) -> None:
        assert seeds_needed(compare(*flat_arms(gap=2, seeds=seeds), margin=1.0)) is None
