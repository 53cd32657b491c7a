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
from regrow.channels.sizes import COMPARISONS, Attribute, Comparison, Expression, Extent, evaluate, parts, solve

_TRIALS = 6


@dataclass(frozen=True, slots=True)
class Definition:
    """An attribute, and the equation that says what it becomes."""

    attribute: Attribute
    equation: Equation


@dataclass(frozen=True, slots=True)
class System:
    """The equations of one network over its groups."""

    families: Families
    dense: dict[Attribute, int]
    definitions: tuple[Definition, ...]
    equations: tuple[Equation, ...]
    comparisons: tuple[Comparison, ...]
    scales: tuple[Expression, ...]

    def values(self, widths: Sequence[int]) -> dict[Attribute, int]:
        """Every attribute at the given widths. Raises `ArithmeticError` where one has no value."""
        known = dict(self.dense)
        for definition in self.definitions:
            equation = definition.equation
            wanted = self.target(equation, widths)
            value = solve(
                equation.expression, definition.attribute, wanted, lambda part: self._part(part, widths, known)
            )
            if value is None:
                raise ArithmeticError(f"{definition.attribute} has no value that gives {wanted}")
            known[definition.attribute] = value
        return known

    def target(self, equation: Equation, widths: Sequence[int]) -> int:
        """What the equation must come out as."""
        target = equation.target
        return target if isinstance(target, int) else self.families.extent(target.ids, widths)

    def value(self, expression: Expression, widths: Sequence[int], known: dict[Attribute, int]) -> int:
        """What an expression comes out as."""
        return evaluate(expression, lambda part: self._part(part, widths, known))

    def _part(self, part: Attribute | Extent, widths: Sequence[int], known: dict[Attribute, int]) -> int:
        return known[part] if isinstance(part, Attribute) else self.families.extent(part.ids, widths)

    def broken(self, widths: Sequence[int]) -> list[Equation]:
        """The equations that do not hold at the given widths."""
        try:
            known = self.values(widths)
        except ArithmeticError:
            return [definition.equation for definition in self.definitions if not self._solvable(definition, widths)]
        return [equation for equation in self.equations if not self._holds(equation, widths, known)]

    def _solvable(self, definition: Definition, widths: Sequence[int]) -> bool:
        wanted = self.target(definition.equation, widths)
        found = solve(
            definition.equation.expression,
            definition.attribute,
            wanted,
            lambda part: self._part(part, widths, self.dense),
        )
        return found is not None

    def _holds(self, equation: Equation, widths: Sequence[int], known: dict[Attribute, int]) -> bool:
        try:
            return self.value(equation.expression, widths, known) == self.target(equation, widths)
        except ArithmeticError:
            return False

    def turned(self, widths: Sequence[int]) -> list[Comparison]:
        """The questions of the forward code whose answers change at the given widths."""
        known = self.values(widths)
        return [one for one in self.comparisons if not self._same_answer(one, widths, known)]

    def _same_answer(self, one: Comparison, widths: Sequence[int], known: dict[Attribute, int]) -> bool:
        left, right = (self.value(side, widths, known) for side in (one.left, one.right))
        return COMPARISONS[one.name](left, right) == one.outcome

    def groups_in(self, equation: Equation) -> set[int]:
        """The groups whose widths an equation speaks of, through its attributes too."""
        expressions: list[Expression] = [equation.expression]
        if not isinstance(equation.target, int):
            expressions.append(equation.target)
        named = attributes_in(equation.expression)
        for definition in self.definitions:
            if definition.attribute in named:
                expressions += [definition.equation.expression, definition.equation.target]
        return set(itertools.chain.from_iterable(self._groups(expression) for expression in expressions))

    def _groups(self, expression: Expression) -> set[int]:
        extents = [part for part in parts(expression) if isinstance(part, Extent)]
        return {group for extent in extents for members in self.families.sizes(extent.ids) for group in members}


def system_of(demands: Demands, families: Families, dense: dict[Attribute, int]) -> System:
    """The equations of a network, those that define attributes set apart."""
    equations = _distinct(demands.equations + _asked_equal(demands.diary.comparisons))
    definitions: dict[Attribute, Definition] = {}
    for equation in equations:
        if isinstance(equation.expression, Attribute) and not isinstance(equation.target, int):
            definitions.setdefault(equation.expression, Definition(equation.expression, equation))
    for equation in equations:
        unknown = attributes_in(equation.expression) - set(definitions)
        if (
            len(unknown) == 1
            and not isinstance(equation.target, int)
            and not isinstance(equation.expression, Attribute)
        ):
            attribute = unknown.pop()
            definitions[attribute] = Definition(attribute, equation)
    others = tuple(one for one in demands.diary.comparisons if not _is_equality(one))
    return System(families, dense, tuple(definitions.values()), tuple(equations), others, tuple(demands.diary.scales))


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
    result = []
    for one in comparisons:
        if not _is_equality(one):
            continue
        for side, other in ((one.left, one.right), (one.right, one.left)):
            if isinstance(side, (Extent, int)) and not isinstance(other, int):
                result.append(Equation(other, side, "a comparison"))
                break
    return result


@dataclass(frozen=True, slots=True)
class Settled:
    """Which groups must shrink in step, and which must stay for the code to run on."""

    links: tuple[tuple[int, ...], ...]
    stay: dict[int, str]


def settle(system: System) -> Settled:
    """Find links and groups that stay, by trying widths: an equation that fails at some is linked; if that does not help, frozen."""
    links: list[set[int]] = []
    stay: dict[int, str] = {}
    for _ in range(50):
        failed = _first_failure(system, links, stay)
        if failed is None:
            return Settled(tuple(tuple(sorted(link)) for link in links), stay)
        equation, members = failed
        _mend(system, equation, members - set(stay), links, stay)
    every = {
        group: "the sizes that the code computes could not be followed" for group in range(len(system.families.groups))
    }
    return Settled((), every)


def _first_failure(system: System, links: Sequence[set[int]], stay: dict[int, str]) -> tuple[str, set[int]] | None:
    for trial in range(_TRIALS):
        widths = trial_widths(system, links, stay, trial)
        for equation in system.broken(widths):
            members = system.groups_in(equation)
            if members - set(stay):
                return equation.where, members
        if broken := _turned(system, widths, stay):
            return broken
    return None


def _turned(system: System, widths: Sequence[int], stay: dict[int, str]) -> tuple[str, set[int]] | None:
    for one in system.turned(widths):
        members = system.groups_in(Equation(one.left, Extent(np.empty(0, dtype=np.int64)), ""))
        members |= system.groups_in(Equation(one.right, Extent(np.empty(0, dtype=np.int64)), ""))
        if members - set(stay):
            return "a comparison", members
    return None


def _mend(system: System, where: str, members: set[int], links: list[set[int]], stay: dict[int, str]) -> None:
    """Link the groups of a failing equation; failing that, keep heads, and link the others; failing that, keep all."""
    linked = set(members)
    for link in links:
        if link & members:
            linked |= link
    groups = system.families.groups
    heads = {group for group in members if groups[group].role == "heads"}
    for kept, joined in ((set(), linked), (heads, linked - heads)):
        trial_stay = {**stay, **dict.fromkeys(kept, f"{where}: computes other sizes from this one")}
        trial_links = [link - kept for link in links if not link & joined] + ([joined] if len(joined) > 1 else [])
        if joined and _granularity(system, joined) > 1 and _works(system, members, trial_links, trial_stay):
            links[:] = trial_links
            stay.update(trial_stay)
            return
    links[:] = [link - members for link in links if len(link - members) > 1]
    stay.update(dict.fromkeys(members, f"{where}: computes sizes from this one that could not be followed"))


def _works(system: System, members: set[int], links: Sequence[set[int]], stay: dict[int, str]) -> bool:
    for trial in range(_TRIALS):
        widths = trial_widths(system, links, stay, trial)
        if any(system.groups_in(equation) & members for equation in system.broken(widths)):
            return False
        if (turned := _turned(system, widths, stay)) and turned[1] & members:
            return False
    return True


def _granularity(system: System, members: Iterable[int]) -> int:
    return math.gcd(*(system.families.groups[group].channels for group in members))


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
