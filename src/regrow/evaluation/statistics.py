"""Statistics: is the difference between two arms more than chance, and is it less than the margin?

Everything starts from stored per-example correctness: which of the N test examples an arm got right, for each of n seeds. The
analysis is paired by seed, and two standard errors of the mean difference are kept side by side:

    own     the seeds' standard deviation / sqrt(n), with n - 1 degrees of freedom: the paired t-test
    floor   what n seeds on N test examples can resolve at best, see `resolution`

Every p-value is the larger of the two that they give and every interval the wider of the two. So no number is ever more
confident than the paired t-test, which holds its level whatever the spread of the seeds is, nor than the test set can resolve.

A study that grew after its verdict was seen (looks > 1) is judged by a t e-process instead, which may be looked at any number
of times (`docs/statistics.md` has derivations and a simulation).

Units: accuracies, differences, standard deviations and margins are percentage points.
Shapes: S seeds, N test examples, ... any leading axes (simulations judge many studies in one call).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, gammaln, ndtr, stdtr, stdtrit

Array: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]

ALPHA: Final = 0.05
"""Level of every test; superiority is read off a 95 % interval, equivalence off a 90 % one."""

PRIOR_VARIANCE: Final = 4.0
"""g of the e-process: prior variance of (true difference / sd of the seeds). 4 gives intervals within 4 % of the narrowest that any g
gives at 5 to 10 seeds."""

_SMALLEST_SD: Final = 1e-9
"""Stands in for 0 in divisions, points; far below what any test set can resolve, far above rounding errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StandardError:
    """Standard errors of a mean, points, with the degrees of freedom of their estimates."""

    size: Array
    df: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Mean differences with the standard errors they are judged by; of several, the most cautious counts."""

    mean: Array
    n: int
    errors: tuple[StandardError, ...]
    prior: float | None = None
    """g of the e-process for an extended study; None for a sample size that was fixed beforehand."""

    def p_outside(self, bound: float) -> Array:
        """p against "the true difference lies within ±bound"; bound 0 is the two-sided test of superiority.

        For bound > 0 it is twice the one-sided p, so p < 0.05 exactly where the 95 % interval lies beyond the bound.
        """
        gap = np.abs(self.mean) - bound
        return self._most_cautious(gap, two_sided=True)

    def p_inside(self, bound: float) -> Array:
        """p against "the true difference lies outside ±bound": two one-sided tests (TOST)."""
        return self._most_cautious(bound - np.abs(self.mean), two_sided=self.prior is not None)

    def half_width(self, level: float) -> Array:
        """Half the width of the two-sided interval, points; infinite where there is none."""
        return _largest(self.half_widths(level))

    def half_widths(self, level: float) -> list[Array]:
        """The same for each standard error by itself."""
        return [critical(level, error.df, self.n, self.prior) * error.size for error in self.errors]

    def _most_cautious(self, gap: Array, *, two_sided: bool) -> Array:
        """The largest p over the standard errors, of a mean that is `gap` on the right side of its bound.

        On the wrong side a smaller error gives the larger p, and nothing is decided: the first error's p is as good as any.
        """
        p_values = [self._p(gap / error.size, error.df, two_sided) for error in self.errors]
        return np.where(gap > 0, _largest(p_values), p_values[0])

    def _p(self, t: Array, df: Array, two_sided: bool) -> Array:
        if not two_sided:
            return np.asarray(stdtr(df, -t))
        if self.prior is None:
            p = 2 * stdtr(df, -np.maximum(t, 0))
        else:
            p = np.minimum(1, np.exp(-log_bayes_factor(np.maximum(t, 0), df, self.n, self.prior)))
        return np.where(t > 0, p, 1.0)


def _largest(arrays: Sequence[Array]) -> Array:
    return np.asarray(functools.reduce(np.maximum, arrays))


def log_bayes_factor(t: ArrayLike, df: ArrayLike, n: int, prior: float) -> Array:
    """Logarithm of the t e-process after n pairs:

        BF10 = (1 + n g)^(-1/2) [ (1 + t^2/v) / (1 + t^2/((1 + n g) v)) ]^((v + 1)/2),   v = n - 1

    the Bayes factor of a N(0, g) prior on difference/sd with the right-Haar prior on sd. At the true mean, whatever the sd, it
    exceeds 1/alpha at any n, ever, with probability at most alpha; so 1/BF10 is a p-value that may be looked at after every seed.

    Source: Lai 1976; Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown
        variance", arXiv:2310.03722; Perez-Ortiz et al. 2024, arXiv:2208.07610.
    """
    square, v, ratio = np.square(t), np.asarray(df, float), 1 + n * prior
    gain = np.log1p(square / v) - np.log1p(square / (ratio * v))
    return np.asarray((v + 1) / 2 * gain - np.log(ratio) / 2)


def critical(level: float, df: ArrayLike, n: int, prior: float | None = None) -> Array:
    """How many standard errors the two-sided interval reaches to each side.

    Student's quantile; with a `prior`, the t at which the e-process reaches 1/(1 - level), infinite where it never does.

    >>> round(float(critical(0.95, 4, 5)), 3), round(float(critical(0.95, 7, 8, prior=4.0)), 3), float(critical(0.95, 2, 3, 4.0))
    (2.776, 4.204, inf)
    """
    v = np.asarray(df, float)
    if prior is None:
        return np.asarray(stdtrit(v, 0.5 + level / 2))
    ratio = 1 + n * prior
    # Solve (1 + x)/(1 + x/ratio) = bound for x = t^2/v; the left side grows from 1 to ratio and never gets there.
    bound = np.exp((2 * np.log(1 / (1 - level)) + np.log(ratio)) / (v + 1))
    rest = 1 - bound / ratio
    square = np.divide(bound - 1, rest, out=np.full_like(v, np.inf), where=rest > 0)
    return np.asarray(np.sqrt(v * square))


def resolution(values_SN: NDArray[np.int8]) -> tuple[Array, Array]:
    """Binomial resolution of the seeds' means over N test examples, [..., S, N] -> points [...], degrees of freedom [...].

        floor^2 = sum_i V_i / N^2,   V_i = variance over seeds of example i's value (ddof = 1)

    It is what the variance between seeds would be if every example came out right or wrong by itself, with a probability that
    is the same for every seed. Runs that are better or worse as a whole add to it. Values may be correctness (0, 1) or its
    difference between two arms (-1, 0, 1). Never less than one test example (100/N points). Degrees of freedom: the number of
    examples that changed between seeds (each is one piece of information on the variance), at least S - 1.
    """
    n, images = values_SN.shape[-2:]
    total_N = values_SN.sum(axis=-2, dtype=np.int64)
    square_N = np.square(values_SN).sum(axis=-2, dtype=np.int64)
    variance_N = (square_N - total_N**2 / n) / (n - 1)
    changed = np.count_nonzero(variance_N > 0, axis=-1)
    sd = 100 * np.sqrt(variance_N.sum(axis=-1)) / images
    return np.maximum(sd, 100 / images), np.maximum(changed, n - 1).astype(float)


def evidence(values_SN: NDArray[np.int8], prior: float | None = None) -> Evidence:
    """What paired seeds say about the mean difference, from per-example differences of correctness [..., S, N], S >= 2."""
    n, images = values_SN.shape[-2:]
    seeds_S = 100 * values_SN.sum(axis=-1, dtype=np.int64) / images
    sd = np.maximum(seeds_S.std(axis=-1, ddof=1), _SMALLEST_SD)
    floor, floor_df = resolution(values_SN)
    own = StandardError(size=sd / np.sqrt(n), df=np.full_like(sd, n - 1))
    return Evidence(
        mean=seeds_S.mean(axis=-1),
        n=n,
        errors=(own, StandardError(size=floor / np.sqrt(n), df=floor_df)),
        prior=prior,
    )


def unpaired_evidence(a_SN: NDArray[np.int8], b_SN: NDArray[np.int8]) -> Evidence:
    """The same without pairing, for two arms' correctness [S, N]: Welch's standard error beside the two arms' resolutions."""
    n, images = a_SN.shape[-2:]
    seeds = [100 * arm.sum(axis=-1, dtype=np.int64) / images for arm in (a_SN, b_SN)]
    parts = np.array([max(float(arm.var(ddof=1)), _SMALLEST_SD**2) / n for arm in seeds])
    own = StandardError(size=np.sqrt(parts.sum()), df=parts.sum() ** 2 / (parts**2 / (n - 1)).sum())
    floors = [resolution(arm) for arm in (a_SN, b_SN)]
    size = np.sqrt(sum(sd**2 for sd, _ in floors) / n)
    floor = StandardError(size=size, df=np.asarray(sum(df for _, df in floors)))
    return Evidence(mean=np.asarray(seeds[0].mean() - seeds[1].mean()), n=n, errors=(own, floor))


def pooled_error(errors: Sequence[StandardError]) -> StandardError:
    """The standard error of a sum, or difference, of independent means, with Welch and Satterthwaite's degrees of freedom:

        size^2 = sum_i size_i^2,   df = size^4 / sum_i (size_i^4 / df_i)

    Of two means, with size_i = sd_i / sqrt(n_i) and df_i = n_i - 1, it is Welch's t-test.

    Source: Welch 1947, Biometrika 34; Satterthwaite 1946, Biometrics Bulletin 2.

    >>> one = StandardError(size=np.asarray(3.0), df=np.asarray(4.0))
    >>> both = pooled_error([one, one])
    >>> round(float(both.size), 4), round(float(both.df), 4)
    (4.2426, 8.0)
    """
    squares = np.square([np.maximum(error.size, _SMALLEST_SD) for error in errors])
    df = np.asarray([error.df for error in errors], float)
    total = squares.sum(axis=0)
    return StandardError(size=np.sqrt(total), df=total**2 / (squares**2 / df).sum(axis=0))


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval of a mean of at least two values, in their unit. For showing one arm; comparisons go through `compare`.

    >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0])]
    [-0.484, 4.484]
    """
    n, mean = len(values), float(np.mean(values))
    half = float(critical(level, n - 1, n)) * float(np.std(values, ddof=1)) / float(np.sqrt(n))
    return mean - half, mean + half


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction over a family, in the order given. None (not tested) counts as one of the family and stays None.

    Written out, since statsmodels (which a test compares it with) takes over a second to import and collects garbage in each call.

    >>> holm([0.01, 0.04, None, 0.02])
    [0.04, 0.08, None, 0.06]
    """
    known = np.array([1.0 if p is None else p for p in p_values])
    order = np.argsort(known, kind="stable")
    steps = known[order] * np.arange(len(known), 0, -1)
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return [None if p is None else float(q) for p, q in zip(p_values, adjusted, strict=True)]


def sd_interval(sd: float, n: int, level: float = 0.95) -> Interval:
    """Interval of a standard deviation that was estimated from n normal values: sqrt((n - 1) sd^2 / chi-square quantile).

    >>> [round(end, 3) for end in sd_interval(1.0, 5)]
    [0.599, 2.874]
    """
    tail = (1 - level) / 2
    low, high = (float(np.sqrt((n - 1) / chdtri(n - 1, area))) for area in (tail, 1 - tail))
    return sd * low, sd * high


def best_assignment(similarity_CC: Array) -> NDArray[np.int64]:
    """For every row the column that is its own in the one-to-one assignment of the largest sum; a square matrix, nothing infinite.

    Source: Crouse 2016, IEEE Transactions on Aerospace and Electronic Systems 52 (the shortest augmenting path that scipy has).

    >>> best_assignment(np.array([[9.0, 8.0], [8.0, 1.0]])).tolist()
    [1, 0]
    """
    from scipy.optimize import linear_sum_assignment  # slow to load, and few need it

    _, columns = linear_sum_assignment(similarity_CC, maximize=True)
    return np.asarray(columns, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """What the chance of a decision depends on, besides the number of seeds. Points."""

    difference: float
    """True mean difference."""

    sd: float
    """True standard deviation of seed differences."""

    margin: float
    floor_sd: float = 0.0
    floor_df: float = 1.0
    alpha: float = ALPHA
    prior: float | None = None


def decision_power(n: int, design: Design) -> float:
    """Chance that n normal seed differences show superiority or equivalence, resolution floor included.

    Exact but for quadrature: given the sample's standard deviation, which is chi-distributed, both tests are conditions on the
    mean, which is normal. With margin and floor 0 it is the power of the two-sided t-test.
    """
    sd_Q, weight_Q = _sd_quadrature(n - 1)
    wide = _reach(n, design, 1 - design.alpha, design.sd * sd_Q)
    # An extended study has no one-sided version of its interval, so equivalence needs the wide one too.
    narrow = wide if design.prior is not None else _reach(n, design, 1 - 2 * design.alpha, design.sd * sd_Q)
    inside = np.maximum(design.margin - narrow, 0)
    se = design.sd / np.sqrt(n)
    shift = design.difference / se
    equivalent = ndtr(inside / se - shift) - ndtr(-inside / se - shift)
    different = ndtr(-wide / se - shift) + ndtr(-wide / se + shift)
    either = np.where(inside > wide, 1.0, equivalent + different)
    return float((weight_Q * either).sum())


def _reach(n: int, design: Design, level: float, sd_Q: Array) -> Array:
    """Half-widths of the interval for samples with these standard deviations."""
    own = critical(level, n - 1, n, design.prior) * sd_Q
    floor = critical(level, max(n - 1.0, design.floor_df), n, design.prior) * design.floor_sd
    return np.asarray(np.maximum(own, floor) / np.sqrt(n))


def _sd_quadrature(df: int) -> tuple[Array, Array]:
    """Nodes and weights for means over (sample sd / true sd) with `df` degrees of freedom; weights sum to 1."""
    low, high = (np.sqrt(chdtri(df, area) / df) for area in (1 - 1e-15, 1e-15))
    node_Q, weight_Q = _legendre()
    x_Q = low + (high - low) * (node_Q + 1) / 2
    log_density = (df - 1) * np.log(x_Q) - df * x_Q**2 / 2 + np.log(2) + df / 2 * np.log(df / 2) - gammaln(df / 2)
    return x_Q, weight_Q * (high - low) / 2 * np.exp(log_density)


@functools.cache
def _legendre() -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(200)
