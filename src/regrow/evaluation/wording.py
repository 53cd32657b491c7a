"""Wording: a verdict as a few plain words that can be quoted alone, for a reader who has never seen the study.

They answer "was pruning worth it?" where the contrast can answer that, and always carry both arms' names, the difference, its
interval, n, the margin in points and in test images, the budget convention, and what weakens the claim: untuned learning rates,
one dense network for all seeds, a study extended after looks.
"""

from __future__ import annotations

from typing import Final

from regrow.evaluation.contrast import Contrast
from regrow.evaluation.difference import Difference
from regrow.evaluation.seeds import FEWEST_SEEDS, MOST_SEEDS
from regrow.evaluation.statistics import Interval
from regrow.retraining.arms import ARMS

_MINUS: Final = "−"

_WORTH: Final = {
    "better by more than the margin": "{what} was worth it",
    "better": "{what} was worth it",
    "better but within the margin": "{what} gained less than the margin",
    "equivalent": "{what} was not worth it",
    "undecided": "Not decided whether {what} was worth it",
    "worse but within the margin": "{what} was not worth it",
    "worse": "{what} was not worth it",
    "worse by more than the margin": "{what} was not worth it",
}
"""Answers, by the word for weights that come from the dense run against fresh ones."""

_WHAT: Final = {"carved": "pruning", "rewound": "rewinding"}
"""What the answer is about, by where those weights come from: the trained network, or an earlier state of it."""

_FINDING: Final = {
    "better by more than the margin": "{a} is better than {b} by more than the margin",
    "better": "{a} is better than {b}; whether by more than the margin is open",
    "better but within the margin": "{a} is better than {b}, but within the margin",
    "equivalent": "{a} and {b} are equivalent, that is, within the margin",
    "undecided": "the seeds show neither a difference between {a} and {b} nor that they are equivalent",
    "worse but within the margin": "{a} is worse than {b}, but within the margin",
    "worse": "{a} is worse than {b}; whether by more than the margin is open",
    "worse by more than the margin": "{a} is worse than {b} by more than the margin",
}


def mirrored(word: str) -> str:
    """The word for the same two arms in the other order.

    >>> mirrored("better but within the margin"), mirrored("undecided")
    ('worse but within the margin', 'undecided')
    """
    if word.startswith("better"):
        return word.replace("better", "worse", 1)
    return word.replace("worse", "better", 1)


def sentence(
    contrast: Contrast,
    difference: Difference,
    word: str | None,
    *,
    family: int = 1,
    needed: tuple[int, int] | None = None,
) -> str:
    """The verdict in plain words. `word` None: too few seeds; `needed`: how many more would decide an undecided one."""
    if word is None:
        return (
            f"No verdict for {contrast.label}: {contrast.a} and {contrast.b} share {counted(difference.n, 'paired seed')}, and a "
            f"verdict needs at least {FEWEST_SEEDS}."
        )
    finding = _FINDING[word].format(a=contrast.a, b=contrast.b)
    said = f"{_answer(contrast, word)}or {contrast.label}, {finding}. {_numbers(contrast, difference, family)}."
    if needed is not None:
        said += (
            f" If the true difference is the one seen, {seed_range(needed)} further paired seeds would decide it with a chance of "
            "80 %, judged by the wider interval of an extended study."
        )
    return said


def _answer(contrast: Contrast, word: str) -> str:
    """What the contrast says about pruning, up to the `f` of `for`; only that letter where it says nothing about it."""
    side, what = _pruned_side(contrast)
    if not what:
        return "F"
    said = _WORTH[word if side == "a" else mirrored(word)].format(what=what)
    return f"{said[:1].upper()}{said[1:]}: f"


def _pruned_side(contrast: Contrast) -> tuple[str, str]:
    """Which arm stands for pruning (or rewinding), where one has the dense run's weights and the other starts afresh."""
    rows = {side: ARMS[name] for side, name in (("a", contrast.a), ("b", contrast.b)) if name in ARMS}
    fair = {side: row.weights for side, row in rows.items() if not row.control}
    if len(fair) < 2 or (fair["a"] == "fresh") == (fair["b"] == "fresh"):
        return "", ""
    side = "b" if fair["a"] == "fresh" else "a"
    return side, _WHAT[fair[side]]


def _numbers(contrast: Contrast, difference: Difference, family: int) -> str:
    parts = [
        f"Difference {points(difference.mean)} points of test accuracy ({contrast.a} {_MINUS} {contrast.b}), "
        f"95 % interval {_span(difference.ci95)}, 90 % interval {_span(difference.ci90)}, "
        f"n = {counted(difference.n, 'paired seed')}",
        f"margin {difference.margin:g} {'point' if difference.margin == 1 else 'points'}, that is "
        f"{difference.margin_images:.3g} of {difference.images:,} test images",
        f"budget convention {contrast.convention}",
    ]
    if family > 1:
        parts.append(f"the word is corrected for {family} contrasts (Holm), the interval is not")
    if not contrast.tuned:
        parts.append("learning rates untuned")
    if contrast.one_dense:
        parts.append("for this dense network")
    if difference.extended:
        parts.append(f"extended after {counted(difference.looks - 1, 'look')}")
    return "; ".join(parts)


def notes(
    difference: Difference,
    *,
    word: str | None = None,
    alone: str | None = None,
    family: int = 1,
    afresh: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """What else a careful reader must know. `alone`: the word without Holm; `afresh`: seeds of a new study that would decide."""
    said = []
    if difference.floor_counts and difference.sd is not None and difference.floor_sd is not None:
        said.append(
            f"The seeds agree better (standard deviation {difference.sd:.2f} points) than {difference.images:,} test images can "
            f"resolve ({difference.floor_sd:.2f} points), so the interval rests on the latter."
        )
    if word != alone:
        said.append(
            f"By itself this contrast would be called {alone}; corrected for {family} contrasts (Holm) it is {word}."
        )
    if difference.extended and difference.ci95 is not None:
        said.append(
            "The study grew after its verdict had been seen, so the intervals are always-valid ones, which are wider."
        )
    if difference.extended and difference.ci95 is None:
        said.append("The study grew after its verdict had been seen, and so few seeds have no always-valid interval.")
    if afresh is not None:
        said.append(
            f"A new study on other seeds, their number declared beforehand, would need {seed_range(afresh)} in all."
        )
    if difference.image_error is not None:
        said.append(
            f"The interval is about this test set. Another one of {difference.images:,} images would move the difference by about "
            f"{difference.image_error:.2f} points (one standard error)."
        )
    return tuple(said)


def points(value: float) -> str:
    """A difference in percentage points with its sign.

    >>> points(0.416), points(-0.3), points(-0.001)
    ('+0.42', '−0.30', '0.00')
    """
    rounded = round(value, 2)
    return "0.00" if rounded == 0 else f"{rounded:+.2f}".replace("-", _MINUS)


def _span(interval: Interval | None) -> str:
    return "none (too few seeds)" if interval is None else f"{points(interval[0])} to {points(interval[1])}"


def seed_range(needed: tuple[int, int]) -> str:
    """A range of numbers of seeds.

    >>> seed_range((4, 31)), seed_range((7, 7)), seed_range((90, 1000)), seed_range((1000, 1000))
    ('4 to 31', '7', '90 to 1,000 or more', '1,000 or more')
    """
    low, high = needed
    most = f"{high:,} or more" if high >= MOST_SEEDS else f"{high:,}"
    return most if low == high else f"{low:,} to {most}"


def counted(count: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "look"), counted(2, "look")
    ('1 look', '2 looks')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
