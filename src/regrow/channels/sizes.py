"""Numbers that remember where they come from.

While a network is traced, the Python integers that its modules hold (`head_dim`, `num_heads`) and the sizes that it reads from
shapes are `Size`s: integers in every respect, which also know the expression that made them. `C // self.num_heads` is then a
quotient of an axis and an attribute, and once it is known how many channels are left, its new value can be worked out, or the new
value of the attribute that makes it come out right.

An expression is a plain int, an `Attribute`, an `Extent` or an `Operation` on two of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

IdArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A Python number that a module holds: `Attribute("blocks.0.attn", "head_dim")`."""

    module: str
    path: str

    def __str__(self) -> str:
        return f"{self.module}.{self.path}" if self.module else self.path


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """How many positions of an axis are left; `ids` are the channel ids of all of them."""

    ids: IdArray


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """Arithmetic on two expressions."""

    name: str
    left: Expression
    right: Expression


Expression = int | Attribute | Extent | Operation

OPERATIONS: Final[dict[str, Callable[[int, int], int]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}

FLOAT_OPERATIONS: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}

COMPARISONS: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question that the forward code asked about sizes, and the answer that decided how it went on."""

    name: str
    left: Expression
    right: Expression
    outcome: bool


class Diary:
    """What the forward code did with its sizes, apart from handing them to torch."""

    def __init__(self) -> None:
        self.comparisons: list[Comparison] = []
        self.scales: list[Expression] = []
        """Sizes that became part of a number: the d of 1 / sqrt(d)."""


class Size(int):
    """An integer that knows its expression."""

    source: Expression
    diary: Diary

    @classmethod
    def of(cls, value: int, source: Expression, diary: Diary) -> Self:
        """`value`, which `source` gave."""
        size = cls(value)
        size.source, size.diary = source, diary
        return size

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return (int, (int.__int__(self),))  # copies and pickles are plain integers

    def __deepcopy__(self, memo: dict[int, Any]) -> int:
        return int.__int__(self)

    def number(self) -> int:
        """The size as part of a number, no longer as a size; it is written down."""
        self.diary.scales.append(self.source)
        return int.__int__(self)

    def _with(self, name: str, other: Any, swapped: bool = False) -> Any:
        if isinstance(other, float):
            apply = FLOAT_OPERATIONS[name]
            return apply(other, self.number()) if swapped else apply(self.number(), other)
        if not isinstance(other, int) or isinstance(other, bool):
            return NotImplemented
        here, there = int.__int__(self), int.__int__(other)
        left, right = (there, here) if swapped else (here, there)
        sources = (source_of(other), self.source) if swapped else (self.source, source_of(other))
        return type(self).of(OPERATIONS[name](left, right), Operation(name, *sources), self.diary)

    def __add__(self, other: Any) -> Any:
        return self._with("+", other)

    def __radd__(self, other: Any) -> Any:
        return self._with("+", other, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._with("-", other)

    def __rsub__(self, other: Any) -> Any:
        return self._with("-", other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with("*", other)

    def __rmul__(self, other: Any) -> Any:
        return self._with("*", other, swapped=True)

    def __floordiv__(self, other: Any) -> Any:
        return self._with("//", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._with("//", other, swapped=True)

    def __mod__(self, other: Any) -> Any:
        return self._with("%", other)

    def __rmod__(self, other: Any) -> Any:
        return self._with("%", other, swapped=True)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __neg__(self) -> Any:
        return self._with("*", -1)

    def __pos__(self) -> Any:
        return self

    def __trunc__(self) -> Any:
        return self

    def __floor__(self) -> Any:
        return self

    def __ceil__(self) -> Any:
        return self

    def __round__(self, digits: Any = None) -> Any:
        return self

    def __float__(self) -> float:
        return float(self.number())

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Size):
            return self.number() / other.number()
        return self.number() / other if isinstance(other, (int, float)) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.number() if isinstance(other, (int, float)) else NotImplemented

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        if type(other) is int and other == 2:
            return self._with("*", self)
        return self.number() ** other if isinstance(other, (int, float)) else NotImplemented

    def _asked(self, name: str, other: Any) -> Any:
        if not isinstance(other, int) or isinstance(other, bool):
            return NotImplemented
        outcome = COMPARISONS[name](int.__int__(self), int.__int__(other))
        self.diary.comparisons.append(Comparison(name, self.source, source_of(other), outcome))
        return outcome

    def __eq__(self, other: object) -> Any:
        return self._asked("==", other)

    def __ne__(self, other: object) -> Any:
        return self._asked("!=", other)

    def __lt__(self, other: Any) -> Any:
        return self._asked("<", other)

    def __le__(self, other: Any) -> Any:
        return self._asked("<=", other)

    def __gt__(self, other: Any) -> Any:
        return self._asked(">", other)

    def __ge__(self, other: Any) -> Any:
        return self._asked(">=", other)

    def __hash__(self) -> int:
        return hash(int.__int__(self))


def source_of(value: int) -> Expression:
    """The expression of a number; a number that no one tracks stands for itself."""
    return value.source if isinstance(value, Size) else int(value)


def parts(expression: Expression) -> Iterator[Attribute | Extent]:
    """The attributes and extents of an expression."""
    if isinstance(expression, Operation):
        yield from parts(expression.left)
        yield from parts(expression.right)
    elif not isinstance(expression, int):
        yield expression


def evaluate(expression: Expression, value: Callable[[Attribute | Extent], int]) -> int:
    """The value of an expression, given the values of its parts. Raises `ZeroDivisionError` like the code that it came from."""
    if isinstance(expression, int):
        return expression
    if isinstance(expression, Operation):
        return OPERATIONS[expression.name](evaluate(expression.left, value), evaluate(expression.right, value))
    return value(expression)


def solve(
    expression: Expression, unknown: Attribute, wanted: int, value: Callable[[Attribute | Extent], int]
) -> int | None:
    """The value of `unknown` that makes the expression come out as `wanted`; None where there is none, or not one.

    >>> solve(Operation("*", 3, Attribute("", "dim")), Attribute("", "dim"), 12, lambda part: 0)
    4
    """
    while isinstance(expression, Operation):
        left, right = expression.left, expression.right
        in_left, in_right = unknown in set(parts_of(left)), unknown in set(parts_of(right))
        if in_left == in_right:
            return None
        other = evaluate(right if in_left else left, value)
        step = _undo(expression.name, wanted, other, in_left)
        if step is None:
            return None
        wanted, expression = step, left if in_left else right
    return wanted if expression == unknown else None


def parts_of(expression: Expression) -> list[Attribute]:
    """The attributes of an expression."""
    return [part for part in parts(expression) if isinstance(part, Attribute)]


def _undo(name: str, wanted: int, other: int, unknown_left: bool) -> int | None:
    """x such that x `name` other (or other `name` x) is `wanted`."""
    if name == "+":
        return wanted - other
    if name == "-":
        return wanted + other if unknown_left else other - wanted
    if name == "*":
        return wanted // other if other and wanted % other == 0 else None
    if name == "//" and unknown_left:
        return wanted * other
    if name == "//":
        return other // wanted if wanted and other % wanted == 0 else None
    return None
