"""From equations to corrections: what the Python numbers of the modules become, and which groups must shrink in step.

A number that the code gives for an axis must come out as the number of positions left there. An attribute by itself is then simply
set. An expression of shapes, `C // num_heads`, comes out right by itself, or only if groups shrink in step (the width of a residual
stream and the inner width of attention that the code takes to be equal), or not at all: then the groups in it stay.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from regrow.channels.families import Families
from regrow.channels.ids import Demands, Equation, attributes_in
from regrow.channels.sizes import (
    COMPARISONS,
    Attribute,
    Comparison,
    Expression,
    Extent,
    IdArray,
    evaluate,
    parts,
    solve,
)

_TRIALS = 6


@dataclass(frozen=True, slots=True)
class System:
    """The equations of one network over its groups."""

    families: Families
    dense: dict[Attribute, int]
    definitions: dict[Attribute, Equation]
    """What says what an attribute becomes."""
    equations: tuple[Equation, ...]
    comparisons: tuple[Comparison, ...]
    scales: tuple[Expression, ...]

    def at(self, widths: Sequence[int]) -> Point:
        """The system when every group keeps as many channels as `widths` says."""
        return Point(self, tuple(widths), {})

    def groups_in(self, *expressions: Expression) -> set[int]:
        """The groups whose widths expressions speak of, through their attributes too."""
        found: set[int] = set()
        for part in itertools.chain.from_iterable(parts(expression) for expression in expressions):
            if isinstance(part, Extent):
                found.update(itertools.chain.from_iterable(self.families.sizes(part.ids)))
            elif part in self.definitions:
                definition = self.definitions[part]
                inner = [extent for extent in parts(definition.expression) if isinstance(extent, Extent)]
                found |= self.groups_in(definition.target, *inner)
        return found


@dataclass(frozen=True, slots=True)
class Point:
    """A system at certain widths; attributes are worked out when they are asked for."""

    system: System
    widths: tuple[int, ...]
    known: dict[Attribute, int]

    def value(self, expression: Expression) -> int:
        """What an expression comes out as. Raises `ArithmeticError` where the code would."""
        return evaluate(expression, self._part)

    def _part(self, part: Attribute | Extent) -> int:
        if isinstance(part, Extent):
            return self.system.families.extent(part.ids, self.widths)
        if part not in self.known:
            self.known[part] = self.system.dense[part]  # what it is while it is being worked out
            self.known[part] = self._defined(part)
        return self.known[part]

    def _defined(self, attribute: Attribute) -> int:
        equation = self.system.definitions.get(attribute)
        if equation is None:
            return self.system.dense[attribute]
        found = solve(equation.expression, attribute, self.value(equation.target), self._part)
        return self.system.dense[attribute] if found is None else found

    def holds(self, equation: Equation) -> bool:
        """Whether an equation holds."""
        try:
            return self.value(equation.expression) == self.value(equation.target)
        except ArithmeticError:
            return False

    def keeps(self, one: Comparison) -> bool:
        """Whether the code goes on as before."""
        try:
            return COMPARISONS[one.name](self.value(one.left), self.value(one.right)) == one.outcome
        except ArithmeticError:
            return False

    def broken(self) -> list[Equation]:
        """The equations that do not hold."""
        return [equation for equation in self.system.equations if not self.holds(equation)]

    def turned(self) -> list[Comparison]:
        """The questions of the forward code whose answers change."""
        return [one for one in self.system.comparisons if not self.keeps(one)]

    def attributes(self) -> dict[Attribute, int]:
        """Every attribute that the code speaks of."""
        return {attribute: self._part(attribute) for attribute in self.system.dense}


def system_of(demands: Demands, families: Families, dense: dict[Attribute, int]) -> System:
    """The equations of a network, those that define attributes set apart."""
    equations = _distinct(demands.equations + _asked_equal(demands.diary.comparisons))
    definitions: dict[Attribute, Equation] = {}
    for equation in equations:
        if isinstance(equation.expression, Attribute) and not isinstance(equation.target, int):
            definitions.setdefault(equation.expression, equation)
    for equation in equations:
        unknown = attributes_in(equation.expression) - set(definitions)
        if (
            len(unknown) == 1
            and not isinstance(equation.target, int)
            and not isinstance(equation.expression, Attribute)
        ):
            definitions[unknown.pop()] = equation
    others = tuple(one for one in demands.diary.comparisons if _equation_of(one) is None)
    return System(families, dense, definitions, tuple(equations), others, tuple(demands.diary.scales))


def _distinct(equations: Iterable[Equation]) -> list[Equation]:
    """Equations without repetitions: networks ask the same in every layer."""
    seen: set[tuple[object, ...]] = set()
    result = []
    for equation in equations:
        key = (
            _key(equation.expression),
            equation.target if isinstance(equation.target, int) else _key(equation.target),
        )
        if key not in seen:
            seen.add(key)
            result.append(equation)
    return result


def _key(expression: Expression) -> object:
    if isinstance(expression, Extent):
        return ("extent", expression.ids.tobytes())
    if isinstance(expression, (int, Attribute)):
        return expression
    return (expression.name, _key(expression.left), _key(expression.right))


def _is_equality(one: Comparison) -> bool:
    return (one.name == "==" and one.outcome) or (one.name == "!=" and not one.outcome)


def _asked_equal(comparisons: Sequence[Comparison]) -> list[Equation]:
    """`assert x.shape[-1] == self.width`: the attribute must follow the shape."""
    return [equation for one in comparisons if (equation := _equation_of(one)) is not None]


def _equation_of(one: Comparison) -> Equation | None:
    """The equation that a question asks about; None for one that no equation says, such as `heads * head_dim == self.width`."""
    if _is_equality(one):
        for side, other in ((one.left, one.right), (one.right, one.left)):
            if isinstance(side, (Extent, int)) and not isinstance(other, int):
                return Equation(other, side, "a comparison")
    return None


@dataclass(slots=True)
class Settled:
    """Which groups must shrink in step, and which must stay for the code to run on."""

    links: list[set[int]]
    stay: dict[int, str]
    coupled: list[tuple[IdArray, IdArray]]
    """Axes whose positions must go together one by one, because no widths can make them equally long otherwise."""


def settle(system: System, *, couple: bool) -> Settled:
    """Find links and groups that stay, by trying widths: an equation that fails at some is linked; if that does not help, frozen.

    With `couple`, axes that must be equally long and cannot be by links are handed back instead, to be united position by position.
    """
    found = Settled([], {}, [])
    questions: list[Question] = [*system.equations, *system.comparisons]
    members = [_members(system, question) for question in questions]
    for _ in range(20):
        changed = False
        points = trial_points(system, found)
        for question, groups in zip(questions, members, strict=True):
            if groups - set(found.stay) and not _passes(points, question):
                changed |= _mend(system, question, groups - set(found.stay), found, couple)
                points = trial_points(system, found)
        if not changed:
            return found
    found.stay.update(
        dict.fromkeys(range(len(system.families.groups)), "sizes that the code computes could not be followed")
    )
    return found


Question = Equation | Comparison


def _members(system: System, question: Question) -> set[int]:
    if isinstance(question, Equation):
        return system.groups_in(question.expression, question.target)
    return system.groups_in(question.left, question.right)


def _passes(points: Sequence[Point], question: Question) -> bool:
    """Whether an equation holds, or a comparison keeps its answer, at all widths that are tried."""
    if isinstance(question, Equation):
        return all(point.holds(question) for point in points)
    return all(point.keeps(question) for point in points)


def _mend(system: System, question: Question, members: set[int], found: Settled, couple: bool) -> bool:
    """Link the groups of a failing question; failing that, keep heads, and link the others; failing that, keep all."""
    where = question.where if isinstance(question, Equation) else "the network"
    linked = set(members).union(*(link for link in found.links if link & members))
    heads = {group for group in members if system.families.groups[group].role == "heads"}
    for kept in (set[int](), heads):
        joined = linked - kept
        links = [link - kept for link in found.links if not link & joined] + ([joined] if len(joined) > 1 else [])
        trial = Settled(
            links, {**found.stay, **dict.fromkeys(kept, f"{where}: other sizes are computed from this one")}, []
        )
        if joined and _granularity(system, joined) > 1 and _passes(trial_points(system, trial), question):
            found.links, found.stay = trial.links, trial.stay
            return True
    if couple and isinstance(question, Equation) and (pair := _same_length(question)):
        found.coupled.append(pair)
        return False
    found.links = [link - members for link in found.links if len(link - members) > 1]
    found.stay.update(dict.fromkeys(members, f"{where}: sizes are computed from this one that could not be followed"))
    return True


def _same_length(equation: Equation) -> tuple[IdArray, IdArray] | None:
    """The two axes of an equation that says only that they are equally long."""
    one, other = equation.expression, equation.target
    if (
        isinstance(one, Extent)
        and isinstance(other, Extent)
        and len(one.ids) == len(other.ids)
        and one.ids is not other.ids
    ):
        return one.ids, other.ids
    return None


def _granularity(system: System, members: Iterable[int]) -> int:
    return math.gcd(*(system.families.groups[group].channels for group in members))


def trial_points(system: System, found: Settled) -> list[Point]:
    """The system at widths to try."""
    return [system.at(trial_widths(system, found.links, found.stay, trial)) for trial in range(_TRIALS)]


def trial_widths(system: System, links: Sequence[set[int]], stay: dict[int, str], trial: int) -> list[int]:
    """Widths to try, reproducible by `trial`; linked groups keep the same share; the second trial halves everything."""
    groups = system.families.groups
    draw = np.random.default_rng(trial)
    share = [0.5 if trial == 1 else float(draw.uniform(0.2, 1.0)) for _ in groups]
    widths = [max(1, round(group.channels * s)) for group, s in zip(groups, share, strict=True)]
    for link in links:
        grain = _granularity(system, link)
        kept = max(1, round(grain * share[min(link)]))
        for group in link:
            widths[group] = groups[group].channels // grain * kept
    for group in stay:
        widths[group] = groups[group].channels
    return widths
