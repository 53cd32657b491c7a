"""The difference between two arms of one comparison, with everything that is said about it.

Units: percentage points of test accuracy, arm a minus arm b. Shapes: S seeds, N test examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regrow.errors import ProtocolError
from regrow.evaluation.seeds import FEWEST_SEEDS, MOST_SEEDS
from regrow.evaluation.statistics import (
    ALPHA,
    PRIOR_VARIANCE,
    Array,
    Design,
    Evidence,
    Interval,
    decision_power,
    evidence,
    sd_interval,
    unpaired_evidence,
)

POWER: Final = 0.8
"""Chance of a decision that `seeds_needed` asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Arm a minus arm b over n paired seeds. None stands for what is not defined for so few seeds."""

    n: int
    images: int
    """Test examples, N."""

    margin: float
    looks: int
    """How often a verdict on this question was shown, this time included."""

    mean: float
    sd: float | None = None
    """Standard deviation of the seeds' differences."""

    floor_sd: float | None = None
    """Binomial resolution of one seed's difference; see `statistics.resolution`."""

    floor_df: float | None = None
    ci95: Interval | None = None
    """Always-valid where `looks` > 1; None where so few seeds have none."""

    ci90: Interval | None = None
    p_superiority: float | None = None
    """Against "there is no difference". Like the other two p-values None with fewer than three seeds."""

    p_excess: float | None = None
    """Against "the difference lies within the margin": below 0.05 where the 95 % interval lies beyond it."""

    p_equivalence: float | None = None
    correlation: float | None = None
    """Pearson's, of the two arms' accuracies over seeds; None where one of them does not vary."""

    welch95: Interval | None = None
    """The 95 % interval without pairing, beside the paired one; None in extended studies, where it holds nothing."""

    floor_counts: bool = False
    """Whether the 95 % interval rests on the resolution floor and not on the seeds' own spread."""

    image_error: float | None = None
    """Standard error of the mean over test examples: how far another test set of this size would move it."""

    @property
    def extended(self) -> bool:
        """Whether the study grew after its verdict was seen."""
        return self.looks > 1

    @property
    def margin_images(self) -> float:
        """The margin as a number of test examples."""
        return self.margin * self.images / 100


def compare(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], *, margin: float, looks: int = 1) -> Difference:
    """Compare two arms by their correctness [S, N]: row s of both arms is the same seed, column i the same test example.

    Raises `ProtocolError` where the arms do not have the same number of seeds and examples.
    """
    if correct_a.shape != correct_b.shape or correct_a.ndim != 2 or 0 in correct_a.shape:
        raise ProtocolError(
            "arms are compared seed by seed on the same test examples; one has correctness of shape "
            f"{correct_a.shape}, the other {correct_b.shape}, where both need [seeds, examples]. Finish the missing runs first."
        )
    a_SN, b_SN = correct_a.astype(np.int8), correct_b.astype(np.int8)
    n, images = a_SN.shape
    basis = Difference(n=n, images=images, margin=margin, looks=looks, mean=float(100 * (a_SN - b_SN).mean()))
    return basis if n < 2 else _tested(basis, a_SN, b_SN)


def _tested(basis: Difference, a_SN: NDArray[np.int8], b_SN: NDArray[np.int8]) -> Difference:
    values_SN = a_SN - b_SN
    prior = PRIOR_VARIANCE if basis.extended else None
    found = evidence(values_SN, prior)
    own, floor = found.half_widths(1 - ALPHA)
    a_S, b_S = (100 * arm.mean(axis=-1) for arm in (a_SN, b_SN))
    measured = replace(
        basis,
        sd=float((a_S - b_S).std(ddof=1)),
        floor_sd=float(found.errors[1].size * np.sqrt(basis.n)),
        floor_df=float(found.errors[1].df),
        ci95=_interval(found, 1 - ALPHA),
        ci90=_interval(found, 1 - 2 * ALPHA),
        correlation=_correlation(a_S, b_S),
        welch95=None if basis.extended else _interval(unpaired_evidence(a_SN, b_SN), 1 - ALPHA),
        floor_counts=bool(floor > own),
        image_error=_image_error(values_SN),
    )
    if basis.n < FEWEST_SEEDS:
        return measured
    return replace(
        measured,
        p_superiority=float(found.p_outside(0.0)),
        p_excess=float(found.p_outside(basis.margin)),
        p_equivalence=float(found.p_inside(basis.margin)),
    )


def _interval(found: Evidence, level: float) -> Interval | None:
    half, mean = float(found.half_width(level)), float(found.mean)
    return (mean - half, mean + half) if np.isfinite(half) else None


def _correlation(a_S: Array, b_S: Array) -> float | None:
    if min(np.ptp(a_S), np.ptp(b_S)) == 0:
        return None
    return float(np.clip(np.corrcoef(a_S, b_S)[0, 1], -1, 1))


def _image_error(values_SN: NDArray[np.int8]) -> float | None:
    """Spread of the examples' mean differences / sqrt(N)."""
    mean_N = 100 * values_SN.mean(axis=0)
    return float(mean_N.std(ddof=1) / np.sqrt(len(mean_N))) if len(mean_N) > 1 else None


def seeds_needed(difference: Difference, family: int = 1, *, afresh: bool = False) -> tuple[int, int] | None:
    """How many more paired seeds would decide an undecided contrast, as a range; None with fewer than three seeds.

    The range is that of the seeds' standard deviation (its 95 % interval, chi-square), neither end below the resolution floor.
    Assumed: the true difference is the one seen; decided means superiority or equivalence, with a chance of 80 %; in a family
    of k contrasts at alpha/k (Holm's first step). Added seeds are judged by the always-valid interval. With `afresh`: the
    seeds, in all, of a new study whose number is declared beforehand and which is judged by the ordinary interval.
    At most `MOST_SEEDS`, which reads "or more".
    """
    if difference.sd is None or difference.floor_sd is None or difference.floor_df is None:
        return None
    if difference.n < FEWEST_SEEDS:
        return None
    low, high = (
        Design(
            difference=difference.mean,
            sd=max(sd, difference.floor_sd),
            margin=difference.margin,
            floor_sd=difference.floor_sd,
            floor_df=difference.floor_df,
            alpha=ALPHA / family,
            prior=None if afresh else PRIOR_VARIANCE,
        )
        for sd in sd_interval(difference.sd, difference.n)
    )
    if afresh:
        return FEWEST_SEEDS - 1 + _fewest(FEWEST_SEEDS - 1, low), FEWEST_SEEDS - 1 + _fewest(FEWEST_SEEDS - 1, high)
    return _fewest(difference.n, low), _fewest(difference.n, high)


def _fewest(n: int, design: Design) -> int:
    """The fewest seeds beyond n that reach the wanted power, by bisection; at most `MOST_SEEDS`."""
    low, high = 0, 1
    while decision_power(n + high, design) < POWER:
        if high >= MOST_SEEDS:
            return MOST_SEEDS
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decision_power(n + middle, design) >= POWER else (middle, high)
    return high
