"""The statistics: equal to scipy's and statsmodels' where they do the same thing, cautious where those are not, and right as often
as they claim."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from regrow.evaluation.statistics import (
    ALPHA,
    PRIOR_VARIANCE,
    Design,
    Evidence,
    StandardError,
    best_assignment,
    critical,
    decision_power,
    evidence,
    holm,
    log_bayes_factor,
    mean_interval,
    pooled_error,
    resolution,
    sd_interval,
    unpaired_evidence,
)
from tests.evaluation import simulation
from tests.evaluation.samples import constant_gap, flat_arms, spread_arms

EXACT = 1e-9
SEEDS = (3, 5, 8, 20)


def arms(seeds: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Correctness of two arms as int8, and their accuracies in percent; spread widely enough for the floor not to matter."""
    a, b = spread_arms(seeds, np.random.default_rng(100 * seeds + seed))
    return a.astype(np.int8), b.astype(np.int8), 100 * a.mean(axis=1), 100 * b.mean(axis=1)


class TestAgreementWithScipyAndStatsmodels:
    @pytest.mark.parametrize("seeds", SEEDS)
    def test_superiority_is_the_paired_t_test(self, seeds: int) -> None:
        a, b, accuracy_a, accuracy_b = arms(seeds)
        found, theirs = evidence(a - b), stats.ttest_rel(accuracy_a, accuracy_b)
        assert found.p_outside(0.0) == pytest.approx(theirs.pvalue, abs=EXACT)
        for level in (0.90, 0.95):
            low, high = theirs.confidence_interval(level)
            assert found.mean - found.half_width(level) == pytest.approx(low, abs=EXACT)
            assert found.mean + found.half_width(level) == pytest.approx(high, abs=EXACT)

    @pytest.mark.parametrize("seeds", SEEDS)
    @pytest.mark.parametrize("margin", [1.0, 5.0, 30.0])
    def test_equivalence_is_statsmodels_tost(self, seeds: int, margin: float) -> None:
        a, b, accuracy_a, accuracy_b = arms(seeds)
        theirs = ttost_paired(accuracy_a, accuracy_b, -margin, margin)[0]
        assert evidence(a - b).p_inside(margin) == pytest.approx(theirs, abs=EXACT)

    @pytest.mark.parametrize("seeds", SEEDS)
    def test_excess_is_twice_the_one_sided_t_test(self, seeds: int) -> None:
        a, b, accuracy_a, accuracy_b = arms(seeds)
        margin = abs(float(np.mean(accuracy_a - accuracy_b))) / 2
        gap = np.sign(np.mean(accuracy_a - accuracy_b)) * (accuracy_a - accuracy_b)
        theirs = stats.ttest_1samp(gap, margin, alternative="greater").pvalue
        assert evidence(a - b).p_outside(margin) == pytest.approx(2 * theirs, abs=EXACT)

    @pytest.mark.parametrize("seeds", SEEDS)
    def test_the_unpaired_interval_is_welchs(self, seeds: int) -> None:
        a, b, accuracy_a, accuracy_b = arms(seeds)
        found = unpaired_evidence(a, b)
        low, high = stats.ttest_ind(accuracy_a, accuracy_b, equal_var=False).confidence_interval(0.95)
        assert found.mean - found.half_width(0.95) == pytest.approx(low, abs=EXACT)
        assert found.mean + found.half_width(0.95) == pytest.approx(high, abs=EXACT)

    def test_the_interval_of_one_mean_is_students(self) -> None:
        values = [91.2, 90.8, 91.9, 90.1]
        theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
        assert mean_interval(values, 0.9) == pytest.approx(tuple(theirs), abs=EXACT)

    @pytest.mark.parametrize("size", [1, 2, 7])
    def test_holm_is_statsmodels(self, size: int) -> None:
        p_values = np.random.default_rng(size).beta(0.3, 1.0, size)
        assert holm(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1], abs=EXACT)

    @pytest.mark.parametrize("seeds", [3, 5, 8, 50, 500])
    @pytest.mark.parametrize("standard_errors", [0.0, 1.0, 3.0])
    def test_power_without_margin_and_floor_is_that_of_the_t_test(self, seeds: int, standard_errors: float) -> None:
        effect = standard_errors / np.sqrt(seeds)
        theirs = TTestPower().power(effect, seeds, 0.05)
        assert decision_power(seeds, Design(difference=2 * effect, sd=2.0, margin=0.0)) == pytest.approx(
            theirs, abs=EXACT
        )

    @pytest.mark.parametrize("seeds", SEEDS)
    def test_the_interval_of_a_standard_deviation_is_chi_squares(self, seeds: int) -> None:
        quantiles = stats.chi2.ppf([0.975, 0.025], seeds - 1)
        assert sd_interval(1.7, seeds) == pytest.approx(1.7 * np.sqrt((seeds - 1) / quantiles), abs=EXACT)

    @pytest.mark.parametrize("t", [0.0, 0.5, 3.0, 40.0])
    def test_the_bayes_factor_is_a_ratio_of_t_densities(self, t: float) -> None:
        # Under H1 difference/sd is N(0, g), so t is Student's times sqrt(1 + n g).
        n, scale = 6, np.sqrt(1 + 6 * PRIOR_VARIANCE)
        theirs = stats.t.logpdf(t, n - 1, scale=scale) - stats.t.logpdf(t, n - 1)
        assert log_bayes_factor(t, n - 1, n, PRIOR_VARIANCE) == pytest.approx(theirs, abs=EXACT)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_best_assignment_is_that_of_all_permutations(size: int) -> None:
    similarity = np.random.default_rng(size).normal(size=(size, size))
    best = max(itertools.permutations(range(size)), key=lambda order: similarity[range(size), order].sum())
    assert tuple(best_assignment(similarity).tolist()) == best


def test_the_pooled_error_of_two_means_is_welchs() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(0, 1, 6), random.normal(0, 3, 4)
    errors = [StandardError(size=x.std(ddof=1) / np.sqrt(len(x)), df=np.asarray(len(x) - 1.0)) for x in (a, b)]
    found, theirs = pooled_error(errors), stats.ttest_ind(a, b, equal_var=False)
    assert found.df == pytest.approx(theirs.df, abs=EXACT)
    assert (a.mean() - b.mean()) / found.size == pytest.approx(theirs.statistic, abs=EXACT)


class TestFloor:
    def test_by_hand(self) -> None:
        # Three seeds, four examples. Variances over seeds: (1, 0, -1) -> 1, (1, 0, 0) -> 1/3, 0, 0.
        values_SN = np.array([[1, 1, 0, -1], [0, 0, 0, -1], [-1, 0, 0, -1]], np.int8)
        sd, df = resolution(values_SN)
        assert sd == pytest.approx(100 * np.sqrt(4 / 3) / 4)
        assert df == 2

    def test_it_is_at_least_one_test_image(self) -> None:
        a, b = flat_arms(gap=3, images=500)
        sd, df = resolution(a.astype(np.int8) - b.astype(np.int8))
        assert (float(sd), float(df)) == (100 / 500, 2.0)

    def test_it_estimates_the_spread_of_seeds_whose_runs_are_alike(self) -> None:
        world = simulation.WORLDS[0]
        chunks = list(simulation.studies(world, 5, 0.0, 1500, np.random.default_rng(0)))
        values = np.concatenate(chunks)
        seeds = 100 * values.sum(axis=2) / world.images
        assert np.mean(resolution(values)[0] ** 2) == pytest.approx(seeds.var(axis=1, ddof=1).mean(), rel=0.05)

    def test_examples_on_which_the_arms_always_differ_do_not_count(self) -> None:
        # McNemar's variance (b + c - (b - c)^2/N)/N^2 would count them: it is about other test sets, not about other seeds.
        a, b = flat_arms(gap=40, images=500)
        mcnemar = 100 * np.sqrt(40 - 40**2 / 500) / 500
        assert resolution(a.astype(np.int8) - b.astype(np.int8))[0] < mcnemar / 5

    @pytest.mark.parametrize(("gap", "low", "high"), [(0, 1.0, 1.0), (5, 0.0, 0.2), (40, 0.0, 0.001)])
    def test_equal_differences_never_give_certainty(self, gap: int, low: float, high: float) -> None:
        a, b = constant_gap(3, gap)
        found = evidence(a.astype(np.int8) - b.astype(np.int8))
        own = stats.t.ppf(0.975, 2) * 100 / 500 / np.sqrt(3)
        assert low <= found.p_outside(0.0) <= high
        assert found.p_outside(0.0) > 0
        assert found.p_inside(1.0) > 0
        assert found.half_width(0.95) > own

    def test_predictions_that_never_change_leave_an_interval_too(self) -> None:
        a, b = flat_arms(gap=5, seeds=3, images=500)
        found = evidence(a.astype(np.int8) - b.astype(np.int8))
        assert found.half_width(0.95) == pytest.approx(stats.t.ppf(0.975, 2) * 0.2 / np.sqrt(3))
        assert found.p_outside(0.0) == pytest.approx(2 * stats.t.sf(np.sqrt(3) * 5, 2))

    @pytest.mark.parametrize("world", simulation.WORLDS[:4], ids=lambda world: world.name)
    def test_nothing_is_more_confident_than_the_paired_t_test(self, world: simulation.World) -> None:
        values = next(simulation.studies(world, 4, world.margin / 2, 300, np.random.default_rng(1)))
        found = evidence(values)
        plain = Evidence(mean=found.mean, n=4, errors=found.errors[:1])
        assert (found.half_width(0.95) >= plain.half_width(0.95)).all()
        assert (found.p_outside(0.0) >= plain.p_outside(0.0)).all()
        assert (found.p_outside(world.margin) >= plain.p_outside(world.margin)).all()
        decided = found.p_inside(world.margin) < 0.5
        assert (found.p_inside(world.margin) >= plain.p_inside(world.margin))[decided].all()


class TestIntervalsAndTestsAgree:
    @pytest.mark.parametrize("prior", [None, PRIOR_VARIANCE])
    def test_a_p_below_5_percent_is_an_interval_on_the_right_side(self, prior: float | None) -> None:
        world = simulation.WORLDS[2]
        for difference in (0.0, world.margin, 3 * world.margin):
            values = next(simulation.studies(world, 7, difference, 200, np.random.default_rng(2)))
            found, bound = evidence(values, prior), world.margin
            centre, wide = np.abs(found.mean), found.half_width(1 - ALPHA)
            narrow = wide if prior else found.half_width(1 - 2 * ALPHA)
            assert ((found.p_outside(0.0) < ALPHA) == (centre > wide)).all()
            assert ((found.p_outside(bound) < ALPHA) == (centre - wide > bound)).all()
            assert ((found.p_inside(bound) < ALPHA) == (centre + narrow < bound)).all()


class TestAlwaysValid:
    @pytest.mark.parametrize("n", [4, 5, 8, 40])
    @pytest.mark.parametrize("level", [0.9, 0.95])
    def test_the_interval_ends_where_the_bayes_factor_reaches_its_bound(self, n: int, level: float) -> None:
        t = critical(level, n - 1, n, PRIOR_VARIANCE)
        assert log_bayes_factor(t, n - 1, n, PRIOR_VARIANCE) == pytest.approx(np.log(1 / (1 - level)), abs=EXACT)

    def test_three_seeds_have_none(self) -> None:
        assert critical(0.95, 2, 3, PRIOR_VARIANCE) == np.inf

    @pytest.mark.parametrize("n", range(4, 40))
    def test_it_is_wider_than_students(self, n: int) -> None:
        assert critical(0.95, n - 1, n, PRIOR_VARIANCE) > critical(0.95, n - 1, n)

    @pytest.mark.parametrize("n", range(5, 11))
    def test_the_declared_prior_is_near_the_best(self, n: int) -> None:
        best = min(float(critical(0.95, n - 1, n, prior)) for prior in np.geomspace(0.1, 100, 200))
        assert critical(0.95, n - 1, n, PRIOR_VARIANCE) < 1.04 * best

    def test_it_holds_5_percent_when_normal_seeds_are_looked_at_every_time(self) -> None:
        plain, valid = simulation.ever_wrong_normal(2000, np.random.default_rng(3), last=200)
        assert plain > 0.3
        assert 0.01 < valid < simulation.limit(2000)

    @pytest.mark.parametrize("world", [simulation.WORLDS[2], simulation.WORLDS[3]], ids=lambda world: world.name)
    def test_it_holds_5_percent_when_discrete_seeds_are_looked_at_every_time(self, world: simulation.World) -> None:
        plain, valid = simulation.ever_wrong(world, world.margin, 300, np.random.default_rng(4), last=20)
        assert plain > 0.1
        assert valid < simulation.limit(300)


class TestHolm:
    def test_by_hand(self) -> None:
        assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])

    def test_a_contrast_that_could_not_be_tested_stays_in_the_family(self) -> None:
        assert holm([0.02, None]) == [0.04, None]

    def test_of_one_it_changes_nothing(self) -> None:
        assert holm([0.04]) == [0.04]


class TestDecisionPower:
    @pytest.mark.parametrize("prior", [None, PRIOR_VARIANCE])
    @pytest.mark.parametrize("difference", [0.0, 0.5, 1.5])
    def test_it_is_the_share_of_normal_samples_that_are_decided(self, prior: float | None, difference: float) -> None:
        n, rng = 12, np.random.default_rng(5)
        design = Design(difference=difference, sd=0.8, margin=1.0, floor_sd=0.7, floor_df=60, prior=prior)
        seeds = design.difference + design.sd * rng.standard_normal((40_000, n))
        found = simulation.normal_evidence(seeds, floor=0.7, floor_df=60, prior=prior)
        decided = (found.p_outside(0.0) < ALPHA) | (found.p_inside(1.0) < ALPHA)
        assert decision_power(n, design) == pytest.approx(decided.mean(), abs=0.012)


LIMIT_RUNS = 400


class TestFalsePositives:
    """Made-up studies with discrete accuracies; see `simulation.py`. The full tables are in docs/statistics.md."""

    @pytest.mark.parametrize("seeds", [3, 5, 8])
    @pytest.mark.parametrize("world", simulation.WORLDS[:4], ids=lambda world: world.name)
    def test_all_tests_hold_5_percent_with_500_images(self, world: simulation.World, seeds: int) -> None:
        check(simulation.rates(world, seeds, LIMIT_RUNS, np.random.default_rng(seeds)), LIMIT_RUNS)

    @pytest.mark.parametrize("seeds", [3, 5, 8])
    def test_all_tests_hold_5_percent_with_10_000_images(self, seeds: int) -> None:
        check(simulation.rates(simulation.WORLDS[5], seeds, 80, np.random.default_rng(seeds)), 80)

    @pytest.mark.slow
    @pytest.mark.timeout(3600)
    @pytest.mark.parametrize("seeds", [3, 5, 8])
    @pytest.mark.parametrize("world", simulation.WORLDS, ids=lambda world: f"{world.name}, {world.images}")
    def test_all_tests_hold_5_percent_in_many_studies(self, world: simulation.World, seeds: int) -> None:
        runs = simulation.runs(world)
        check(simulation.rates(world, seeds, runs, np.random.default_rng(seeds)), runs)


def check(found: simulation.Rates, runs: int) -> None:
    for _, ours, _ in (found.false_different, found.false_equivalent, found.false_excess):
        assert ours < simulation.limit(runs)


def test_one_standard_error_at_a_time_is_enough() -> None:
    error = StandardError(size=np.array(2.0), df=np.array(4.0))
    found = Evidence(mean=np.array(3.0), n=5, errors=(error,))
    assert found.p_outside(0.0) == pytest.approx(2 * stats.t.sf(1.5, 4))
