"""Verdicts: one word for each primary contrast, from two tests and a margin that was declared before the run.

    superior     the 95 % interval excludes 0
    in excess    the 95 % interval lies beyond the margin
    equivalent   the 90 % interval lies within the margin (two one-sided tests)

    better by more than the margin   superior, in excess
    better but within the margin     superior, equivalent
    better                           superior, neither in excess nor equivalent
    equivalent                       equivalent, not superior
    undecided                        none of them

and the mirror images with `worse`. Each of the three tests is corrected by Holm over the contrasts of its family: the fractions
of one network, data set and method. All other pairs of arms are exploratory: they get intervals and no word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from regrow.errors import ProtocolError
from regrow.evaluation.contrast import Contrast
from regrow.evaluation.difference import Difference, seeds_needed
from regrow.evaluation.statistics import ALPHA, Interval, holm
from regrow.evaluation.wording import notes, sentence

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What was found about one primary contrast."""

    contrast: Contrast
    difference: Difference
    word: str | None
    """See the top of this module; None with fewer than three seeds."""

    sentence: str
    notes: tuple[str, ...]
    p_superiority_holm: float | None
    p_equivalence_holm: float | None
    needed: tuple[int, int] | None
    """Paired seeds still needed, as a range; only where undecided."""

    @property
    def row(self) -> Row:
        """The verdict as a row of `results.json`."""
        return {
            **_numbers(self.contrast, self.difference),
            "primary": True,
            "word": self.word,
            "sentence": self.sentence,
            "p_superiority_holm": self.p_superiority_holm,
            "p_equivalence_holm": self.p_equivalence_holm,
            "seeds_needed": None if self.needed is None else list(self.needed),
            "notes": list(self.notes),
        }


def judge(contrasts: Iterable[Contrast], *, margin: float) -> tuple[Verdict, ...]:
    """A verdict for each primary contrast, in the order given; `margin` in percentage points.

    Families are found here, so it takes the contrasts of a whole study. Raises `ProtocolError` where two primary contrasts
    ask about the same comparison, or where two arms were not run on the same seeds.
    """
    found = tuple(contrasts)
    families: dict[tuple[str, str, str], list[int]] = {}
    for place, contrast in enumerate(found):
        families.setdefault(contrast.family, []).append(place)
    verdicts: dict[int, Verdict] = {}
    for places in families.values():
        verdicts.update(zip(places, _judge_family([found[place] for place in places], margin), strict=True))
    return tuple(verdicts[place] for place in range(len(found)))


def explore(contrasts: Iterable[Contrast], *, margin: float) -> list[Row]:
    """Pairs of arms that were not declared primary, as rows of `results.json`: numbers, no word, no correction."""
    rows = []
    for contrast in contrasts:
        found = contrast.difference(margin)
        missing = {"p_superiority_holm": None, "p_equivalence_holm": None, "seeds_needed": None}
        rows.append({**_numbers(contrast, found), "primary": False, **missing, "notes": list(notes(found))})
    return rows


def word_for(mean: float, p_superiority: float, p_excess: float, p_equivalence: float) -> str:
    """The verdict word, from the sign of the difference and the p-values of the three tests.

    >>> word_for(-1.2, p_superiority=0.001, p_excess=0.4, p_equivalence=0.8)
    'worse'
    """
    superior, excess, equivalent = (p < ALPHA for p in (p_superiority, p_excess, p_equivalence))
    if not superior:
        return "equivalent" if equivalent else "undecided"
    side = "better" if mean > 0 else "worse"
    if excess:
        return f"{side} by more than the margin"
    return f"{side} but within the margin" if equivalent else side


def _judge_family(family: Sequence[Contrast], margin: float) -> list[Verdict]:
    _refuse_rivals(family)
    differences = [contrast.difference(margin) for contrast in family]
    superiority = holm([found.p_superiority for found in differences])
    excess = holm([found.p_excess for found in differences])
    equivalence = holm([found.p_equivalence for found in differences])
    corrected = zip(superiority, excess, equivalence, strict=True)
    rows = zip(family, differences, corrected, strict=True)
    return [_verdict(contrast, found, ps, len(family)) for contrast, found, ps in rows]


def _refuse_rivals(family: Sequence[Contrast]) -> None:
    seen: dict[tuple[float | None, str, str], Contrast] = {}
    for contrast in family:
        place = (contrast.fraction, contrast.design, contrast.variant)
        if place in seen:
            raise ProtocolError(
                f"a comparison has one primary contrast; {contrast.label} has two, {seen[place].a} against {seen[place].b} and "
                f"{contrast.a} against {contrast.b}. Declare one of them as the study's contrast."
            )
        seen[place] = contrast


def _verdict(
    contrast: Contrast, found: Difference, corrected: tuple[float | None, float | None, float | None], family: int
) -> Verdict:
    word = _word(found.mean, *corrected)
    alone = None if word is None else _word(found.mean, found.p_superiority, found.p_excess, found.p_equivalence)
    undecided = word == "undecided"
    needed = seeds_needed(found, family) if undecided else None
    afresh = seeds_needed(found, family, afresh=True) if undecided else None
    return Verdict(
        contrast=contrast,
        difference=found,
        word=word,
        sentence=sentence(contrast, found, word, family=family, needed=needed),
        notes=notes(found, word=word, alone=alone, family=family, afresh=afresh),
        p_superiority_holm=corrected[0],
        p_equivalence_holm=corrected[2],
        needed=needed,
    )


def _word(mean: float, superiority: float | None, excess: float | None, equivalence: float | None) -> str | None:
    if superiority is None or excess is None or equivalence is None:
        return None
    return word_for(mean, superiority, excess, equivalence)


def _numbers(contrast: Contrast, found: Difference) -> Row:
    """What rows of verdicts and of pairs have in common. Differences are a minus b in percentage points."""
    return {
        **contrast.columns,
        "a": contrast.a,
        "b": contrast.b,
        "n": found.n,
        "convention": contrast.convention,
        "mean": found.mean,
        "sd": found.sd,
        "ci95": _listed(found.ci95),
        "ci90": _listed(found.ci90),
        "p_superiority": found.p_superiority,
        "p_equivalence": found.p_equivalence,
        "margin": found.margin,
        "margin_images": found.margin_images,
        "correlation": found.correlation,
        "welch95": _listed(found.welch95),
        "floor_sd": found.floor_sd,
        "looks": found.looks,
        "extended": found.extended,
        "tuned": contrast.tuned,
    }


def _listed(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)
