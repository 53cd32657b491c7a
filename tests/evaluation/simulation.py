"""Studies made up with known answers, to see how often the statistics are wrong. Prints the tables of docs/statistics.md:

    python -m tests.evaluation.simulation

Example i of seed s comes out right in arm k where

    mu_k + 2 z_i + w u_s + w v_sk + sqrt(g) e_si + sqrt(1 - g) e_ski > 0

with normal u, v, e and fixed difficulties z (normal quantiles, the same for all seeds and arms: it is one test set). u is what
a seed does to both arms, v what it does to one, e_si the mistakes that both arms of a seed share. Accuracies are then counts
out of N, and mu_k is solved for such that the true difference between the arms on this very test set is exactly what is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from regrow.evaluation.statistics import ALPHA, PRIOR_VARIANCE, Evidence, StandardError, evidence

SPREAD = 2.0
"""Standard deviation of the difficulties: most examples are clear, few are in doubt."""

EASIER = {3: 1.0, 5: 0.55, 8: 0.4}
"""The margin shrinks with the number of seeds, so that every row of the tables has power to lose."""

CHUNK = 4_000_000
"""Examples x seeds x studies that are drawn at once."""


@dataclass(frozen=True, kw_only=True)
class World:
    """How seeds and examples vary."""

    name: str
    images: int
    margin: float
    """Points, with 3 seeds; less with more seeds, see `EASIER`."""

    top: float = 0.93
    """Accuracy of the better arm."""

    shared: float = 0.0
    """g: share of an example's randomness that both arms of a seed have in common."""

    runs: float = 0.0
    """Standard deviation that whole runs add to a seed's difference, in units of the one that examples cause."""


_VARIATION: dict[str, dict[str, float]] = {
    "examples only": {},
    "shared mistakes": {"shared": 0.5},
    "runs differ too": {"shared": 0.5, "runs": 1.5},
}

WORLDS = (
    *(World(images=500, margin=3.0, name=name, **rest) for name, rest in _VARIATION.items()),
    World(images=500, margin=1.6, name="nearly all right", top=0.995, shared=0.5),
    *(World(images=10_000, margin=0.6, name=name, **rest) for name, rest in _VARIATION.items()),
)


def offset(world: World, accuracy: float, scale: float) -> float:
    """mu with which the mean over the test set of P(right) is `accuracy`; `scale` is sqrt(1 + 2 w^2)."""
    z_N = _difficulties(world)
    return float(brentq(lambda mu: ndtr((mu + SPREAD * z_N) / scale).mean() - accuracy, -20, 20, xtol=1e-12))


def _difficulties(world: World) -> NDArray[np.float64]:
    return np.asarray(ndtri((np.arange(world.images) + 0.5) / world.images))


def run_effect(world: World) -> float:
    """w, such that v adds `runs` times the standard deviation of a seed's difference that examples cause."""
    mu, z_N = offset(world, world.top, 1.0), _difficulties(world)
    latent_N = mu + SPREAD * z_N
    p_N = ndtr(latent_N)
    slope = np.exp(-(latent_N**2) / 2).mean() / np.sqrt(2 * np.pi)
    return float(world.runs * np.sqrt((p_N * (1 - p_N)).sum()) / world.images / slope)


def studies(
    world: World, seeds: int, difference: float, repetitions: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int8]]:
    """Differences of correctness [repetitions, S, N], in chunks; the true mean difference is `difference` points."""
    w = run_effect(world)
    scale = float(np.sqrt(1 + 2 * w**2))
    mu = [offset(world, world.top - lower, scale) for lower in (0.0, difference / 100)]
    hard_N = (SPREAD * _difficulties(world)).astype(np.float32)
    step = max(1, CHUNK // (seeds * world.images))
    for start in range(0, repetitions, step):
        shape = (min(step, repetitions - start), seeds)
        common = hard_N + np.float32(w) * _normal(rng, (*shape, 1))
        if world.shared:
            common = common + np.float32(np.sqrt(world.shared)) * _normal(rng, (*shape, world.images))
        right = [_arm(common, mu_k, w, world, shape, rng) for mu_k in mu]
        yield right[0].astype(np.int8) - right[1].astype(np.int8)


def _arm(
    common: NDArray[np.float32], mu: float, w: float, world: World, shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.bool_]:
    latent = _normal(rng, (*shape, world.images))
    latent *= np.float32(np.sqrt(1 - world.shared))
    latent += common
    latent += np.float32(w) * _normal(rng, (*shape, 1)) + np.float32(mu)
    return latent > 0


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32)


Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Shares of studies by three rules: the plain paired t-test; regrow; the larger of the seeds' and the floor's standard
    deviation with Student's n - 1 degrees of freedom, a simpler rule that regrow does not use."""

    false_different: Triple
    """Superiority though there is no difference."""

    false_equivalent: Triple
    """Equivalence though the difference is as large as the margin."""

    false_excess: Triple
    """More than the margin though the difference is as large as the margin."""

    power_different: Triple
    """Superiority where the difference is as large as the margin."""

    power_equivalent: Triple
    """Equivalence where there is no difference."""


def rates(world: World, seeds: int, repetitions: int, rng: np.random.Generator) -> Rates:
    """Judge made-up studies without a difference, and with one as large as the margin."""
    margin = world.margin * EASIER[seeds]
    none = [_decide(chunk, margin) for chunk in studies(world, seeds, 0.0, repetitions, rng)]
    edge = [_decide(chunk, margin) for chunk in studies(world, seeds, margin, repetitions, rng)]
    different, equivalent, _ = np.concatenate(none, axis=2).mean(axis=2)
    different_m, equivalent_m, excess_m = np.concatenate(edge, axis=2).mean(axis=2)
    return Rates(
        false_different=tuple(different),
        false_equivalent=tuple(equivalent_m),
        false_excess=tuple(excess_m),
        power_different=tuple(different_m),
        power_equivalent=tuple(equivalent),
    )


def _decide(values_SN: NDArray[np.int8], margin: float) -> NDArray[np.bool_]:
    """Decisions [superior, equivalent, in excess] x [plain, regrow, simpler] x studies."""
    found = evidence(values_SN)
    own, floor = found.errors
    larger = StandardError(size=np.maximum(own.size, floor.size), df=own.df)
    rules = (found.errors[:1], found.errors, (larger,))
    judged = [Evidence(mean=found.mean, n=found.n, errors=errors) for errors in rules]
    p_values = [(e.p_outside(0.0), e.p_inside(margin), e.p_outside(margin)) for e in judged]
    return np.array(p_values).transpose(1, 0, 2) < ALPHA


def limit(repetitions: int) -> float:
    """5 % and three standard errors of a share that is estimated from this many studies."""
    return ALPHA + 3 * float(np.sqrt(ALPHA * (1 - ALPHA) / repetitions))


def ever_wrong(
    world: World, difference: float, repetitions: int, rng: np.random.Generator, *, last: int = 30
) -> tuple[float, float]:
    """Share of studies whose 95 % interval ever misses the truth when it is looked at after every seed from the 3rd to the last:
    of the plain paired t-test, and of the always-valid interval of an extended study."""
    missed = [
        _ever_missed((evidence(chunk[:, :n]) for n in range(3, last + 1)), difference)
        for start in range(0, repetitions, 250)
        for chunk in studies(world, last, difference, min(250, repetitions - start), rng)
    ]
    plain, valid = np.concatenate(missed, axis=1).mean(axis=1)
    return float(plain), float(valid)


def ever_wrong_normal(repetitions: int, rng: np.random.Generator, *, last: int) -> tuple[float, float]:
    """The same with normal seed differences and no floor, so that the e-process stands alone."""
    seeds = rng.standard_normal((repetitions, last))
    looks = (normal_evidence(seeds[:, :n], floor=0.0, floor_df=1.0) for n in range(3, last + 1))
    plain, valid = _ever_missed(looks, 0.0).mean(axis=1)
    return float(plain), float(valid)


def normal_evidence(
    seeds_S: NDArray[np.float64], *, floor: float, floor_df: float, prior: float | None = None
) -> Evidence:
    """Evidence from seed differences [..., S] that come from nowhere."""
    n = seeds_S.shape[-1]
    own = StandardError(size=seeds_S.std(axis=-1, ddof=1) / np.sqrt(n), df=np.full(seeds_S.shape[:-1], n - 1.0))
    other = StandardError(size=np.asarray(floor / np.sqrt(n)), df=np.asarray(floor_df))
    return Evidence(mean=seeds_S.mean(axis=-1), n=n, errors=(own, other) if floor else (own,), prior=prior)


def _ever_missed(looks: Iterable[Evidence], difference: float) -> NDArray[np.bool_]:
    missed: NDArray[np.bool_] = np.zeros((2, 1), bool)
    for found in looks:
        plain = Evidence(mean=found.mean, n=found.n, errors=found.errors[:1])
        valid = Evidence(mean=found.mean, n=found.n, errors=found.errors, prior=PRIOR_VARIANCE)
        missed = missed | [np.abs(e.mean - difference) > e.half_width(1 - ALPHA) for e in (plain, valid)]
    return missed


def runs(world: World) -> int:
    """Studies a row of the tables in docs/statistics.md."""
    return 20_000 if world.images <= 500 else 4_000


def main() -> None:
    """Print the tables as Markdown."""
    rng, write = np.random.default_rng(1), sys.stdout.write
    titles = (
        "false “better”",
        "false “equivalent”",
        "false “by more than the margin”",
        "finds a difference",
        "finds equivalence",
    )
    write(f"| test images | what varies | seeds | {' | '.join(titles)} |\n|{'---|' * 8}\n")
    for world in WORLDS:
        for seeds in EASIER:
            found = rates(world, seeds, runs(world), rng)
            triples = (
                found.false_different,
                found.false_equivalent,
                found.false_excess,
                found.power_different,
                found.power_equivalent,
            )
            cells = [" / ".join(f"{100 * share:.1f}" for share in triple) for triple in triples]
            write(f"| {world.images:,} | {world.name} | {seeds} | {' | '.join(cells)} |\n")
            sys.stdout.flush()
    write(f"\n| test images | what varies | true difference | looks | paired t | always-valid |\n|{'---|' * 6}\n")
    plain, valid = ever_wrong_normal(10_000, rng, last=1000)
    write(f"| – | normal, no floor | 0 | 998 | {100 * plain:.1f} | {100 * valid:.1f} |\n")
    for world in (world for world in WORLDS if world.images <= 500):
        for difference in (0.0, world.margin):
            plain, valid = ever_wrong(world, difference, 4000, rng)
            row = f"{difference:g} points | 28 | {100 * plain:.1f} | {100 * valid:.1f}"
            write(f"| {world.images:,} | {world.name} | {row} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
