"""How many weights stay, round by round and step by step. Imports no torch.

The arithmetic is decimal and exact, on the number that was written: of n weights the fraction f removes n * f, rounded to the nearest
whole number and to the even one where two are as near, as `torch.nn.utils.prune` rounds. Rounds that remove a share of what remains
round down, so that no round removes more than its share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final, Literal, TypeAlias, get_args

from regrow.errors import PruningError

Scope: TypeAlias = Literal["global", "layer"]
"""Over what weights are ranked, and shares are taken: all tensors together, or each by itself."""

_DIGITS: Final = 50
"""Of roots, which are rounded down afterwards: enough that no count of weights is ever off by one."""


def removed_of(total: int, fraction: float) -> int:
    """Weights that the share `fraction` of `total` comes to.

    >>> removed_of(10, 0.3), removed_of(5, 0.5), removed_of(7, 0.5), removed_of(1000, 0.95)
    (3, 2, 4, 950)
    """
    exact = Decimal(total) * Decimal(repr(float(fraction)))
    return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


def floor_of(total: int, share: float) -> int:
    """Weights that the share `share` of `total` comes to when it must be reached: rounded up.

    >>> floor_of(70, 0.1), floor_of(71, 0.1), floor_of(5, 0.0)
    (7, 8, 0)
    """
    exact = Decimal(total) * Decimal(repr(float(share)))
    return int(exact.to_integral_value(rounding=ROUND_CEILING))


def round_counts(
    total: int, rounds: int, *, fraction: float | None = None, per_round: float | None = None
) -> tuple[int, ...]:
    """Weights kept after each round, of `total`; exactly one of `fraction` and `per_round` is given.

        per_round p:    kept[i] = kept[i - 1] - floor(p * kept[i - 1])                  kept[0] = total
        fraction f:     kept[i] = floor(total * (1 - f)^(i / rounds)),  kept[rounds] = total - removed_of(total, f)

    per_round is iterative magnitude pruning as in Frankle and Carbin 2019, arXiv:1803.03635; with a fraction every round removes the
    same share of what remains, up to rounding, and the last one ends at the fraction exactly. Raises `PruningError` where neither or
    both are given, and for a share that does not lie strictly between 0 and 1.

    >>> round_counts(1000, 6, per_round=0.2)
    (800, 640, 512, 410, 328, 263)
    >>> round_counts(1000, 3, fraction=0.875)
    (500, 250, 125)
    """
    if (fraction is None) == (per_round is None):
        raise PruningError(
            f"give either a fraction to end at or a share per round; got fraction = {fraction} and per_round = {per_round}."
        )
    _check_share("fraction" if per_round is None else "per_round", fraction if per_round is None else per_round)
    if rounds < 1:
        raise PruningError(f"pruning needs at least one round; got {rounds}. Write rounds = 1 to prune once.")
    return _by_share(total, rounds, per_round) if per_round is not None else _to_fraction(total, rounds, fraction)


def round_targets(
    sizes: Mapping[str, int],
    rounds: int,
    *,
    scope: Scope = "global",
    fraction: float | None = None,
    per_round: float | None = None,
) -> tuple[int | dict[str, int], ...]:
    """What `keep_weights(kept=...)` takes after each round: one number for all tensors, or with scope `layer` one for each.

    `sizes` gives the weights of every tensor. Rules and errors are those of `round_counts`.

    >>> round_targets({"a": 10, "b": 20}, 2, per_round=0.5)
    (15, 8)
    >>> round_targets({"a": 10, "b": 20}, 2, per_round=0.5, scope="layer")
    ({'a': 5, 'b': 10}, {'a': 3, 'b': 5})
    """
    if check_scope(scope) == "global":
        return round_counts(sum(sizes.values()), rounds, fraction=fraction, per_round=per_round)
    each = {name: round_counts(size, rounds, fraction=fraction, per_round=per_round) for name, size in sizes.items()}
    return tuple({name: counts[number] for name, counts in each.items()} for number in range(rounds))


def check_scope(scope: Scope) -> Scope:
    """The scope; raises `PruningError` for any other word."""
    if scope not in get_args(Scope):
        raise PruningError(f"masks rank over all tensors (global) or within each (layer); got scope {scope!r}.")
    return scope


def _by_share(total: int, rounds: int, per_round: float) -> tuple[int, ...]:
    share, left, counts = Decimal(repr(float(per_round))), total, []
    for _ in range(rounds):
        left -= int((share * left).to_integral_value(rounding=ROUND_FLOOR))
        counts.append(left)
    return tuple(counts)


def _to_fraction(total: int, rounds: int, fraction: float | None) -> tuple[int, ...]:
    assert fraction is not None
    last = total - removed_of(total, fraction)
    with localcontext() as context:
        context.prec = _DIGITS
        kept = 1 - Decimal(repr(float(fraction)))
        # A root of 50 digits lies a hair below a whole number at times; 20 digits more than any count has are enough.
        exact = [(total * kept ** (Decimal(i) / rounds)).quantize(Decimal(10) ** -20) for i in range(1, rounds)]
    return (*(max(last, int(count.to_integral_value(rounding=ROUND_FLOOR))) for count in exact), last)


def _check_share(name: str, share: float | None) -> None:
    if share is None or not 0 < share < 1:
        hint = f" Did you mean {share / 100:g}?" if share is not None and 1 < share < 100 else ""
        raise PruningError(
            f"{name} is the share of weights to remove and must lie strictly between 0 and 1; got {share}.{hint}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cubic:
    """Fractions that rise fast at first and slowly at the end, over the steps of a training.

        s(t) = s_f + (s_i - s_f) * (1 - (t - t0) / (n * dt))^3        at t = t0, t0 + dt, ..., t0 + n * dt

    with s the fraction that is pruned, t in optimiser steps. Source: Zhu and Gupta 2017, arXiv:1710.01878, equation 1.
    Raises `PruningError` for fractions outside [0, 1), for a schedule that falls, and for one without a step.
    """

    final: float
    """s_f: the fraction at the end."""

    begin: int
    """t0: optimiser steps done when the schedule begins; 0 is before the first."""

    every: int
    """dt: steps between two times that weights are pruned."""

    times: int
    """n: how often weights are pruned after t0."""

    initial: float = 0.0
    """s_i: the fraction at t0."""

    def __post_init__(self) -> None:
        _check_share("the final fraction", self.final)
        if not 0 <= self.initial <= self.final:
            raise PruningError(
                f"a gradual schedule rises; got an initial fraction of {self.initial:g} and a final one of {self.final:g}. "
                "Lower the initial fraction; 0 begins with the whole network."
            )
        if self.begin < 0 or self.every < 1 or self.times < 1:
            raise PruningError(
                "a gradual schedule begins at step 0 or later and prunes at least once, at least one step apart; got "
                f"begin = {self.begin}, every = {self.every}, times = {self.times}."
            )

    @property
    def end(self) -> int:
        """t0 + n * dt: steps done when the last weights go."""
        return self.begin + self.times * self.every

    def is_due(self, step: int) -> bool:
        """Whether weights are pruned when `step` steps are done."""
        return self.begin <= step <= self.end and (step - self.begin) % self.every == 0

    def fraction_at(self, step: int) -> float:
        """s(t), held at s_i before t0 and at s_f after the end.

        >>> schedule = Cubic(final=0.8, begin=0, every=10, times=4)
        >>> [round(schedule.fraction_at(step), 4) for step in (0, 10, 20, 30, 40, 50)]
        [0.0, 0.4625, 0.7, 0.7875, 0.8, 0.8]
        """
        if step >= self.end:
            return self.final  # itself, not a sum that differs from it in the last bit
        left = 1 - max(0, step - self.begin) / (self.times * self.every)
        return self.final + (self.initial - self.final) * left**3


def cubic_over(
    steps: int, fraction: float, *, every: int = 100, initial: float = 0.0, begin: float = 0.0, end: float = 0.75
) -> Cubic:
    """A cubic schedule over the share `begin` to `end` of a training of `steps` optimiser steps.

    The rest of the training holds the final masks, so that the network recovers: the source prunes for the larger part of the
    training and goes on. `every` is the wanted distance in steps; in a short training it is less, so that weights go at least ten
    times where there are ten steps for it. Raises `PruningError` for shares that leave no step.

    >>> cubic_over(1000, 0.9)
    Cubic(final=0.9, begin=0, every=75, times=10, initial=0.0)
    """
    first, last = int(steps * begin), int(steps * end)
    if not 0 <= begin < end <= 1 or last <= first:
        raise PruningError(
            f"a gradual schedule needs room in the training; got the share from {begin:g} to {end:g} of {steps} steps. "
            "Train longer, or prune over a larger share."
        )
    distance = max(1, min(every, (last - first) // 10))
    return Cubic(final=fraction, begin=first, every=distance, times=max(1, (last - first) // distance), initial=initial)
