from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.channels.sizes import (
    COMPARISONS,
    OPERATIONS,
    Attribute,
    Comparison,
    Diary,
    Expression,
    Extent,
    Operation,
    Size,
    evaluate,
    parts,
    parts_of,
    solve,
    source_of,
)

HEADS, DIM = Attribute("blocks.0.attn", "num_heads"), Attribute("blocks.0.attn", "head_dim")
WIDTH = Extent(np.arange(1, 25))
VALUES = {HEADS: 4, DIM: 6}


def size(value: int, source: Expression, diary: Diary | None = None) -> Size:
    return Size.of(value, source, diary if diary is not None else Diary())


def value(part: Attribute | Extent) -> int:
    return VALUES[part] if isinstance(part, Attribute) else len(part.ids)


def test_a_size_is_an_integer_in_every_respect() -> None:
    heads = size(4, HEADS)
    assert isinstance(heads, int) and heads == 4 and hash(heads) == hash(4)
    assert list(range(heads)) == [0, 1, 2, 3] and [10, 11, 12, 13, 14][heads] == 14
    assert f"{heads:02d}" == "04" and torch.zeros(heads, 2).shape == (4, 2)


@given(st.sampled_from(sorted(OPERATIONS)), st.integers(-30, 30), st.integers(1, 30))
@settings(deadline=None)
def test_arithmetic_gives_what_integers_give_and_knows_why(name: str, left: int, right: int) -> None:
    apply: Any = OPERATIONS[name]
    both = apply(size(left, HEADS), size(right, DIM))
    first, second = apply(size(left, HEADS), right), apply(left, size(right, DIM))
    for found, sides in ((both, (HEADS, DIM)), (first, (HEADS, right)), (second, (left, DIM))):
        assert int(found) == apply(left, right)
        assert (found.source.name, found.source.left, found.source.right) == (name, *sides)
        assert evaluate(found.source, {HEADS: left, DIM: right}.__getitem__) == apply(left, right)


def test_the_width_of_a_head_is_a_quotient_of_an_axis_and_an_attribute() -> None:
    head = size(24, WIDTH) // size(4, HEADS)
    assert int(head) == 6
    assert list(parts(head.source)) == [WIDTH, HEADS]
    assert evaluate(head.source, {WIDTH: 12, HEADS: 4}.__getitem__) == 3


def test_signs_rounding_and_squares_keep_the_expression() -> None:
    heads = size(4, HEADS)
    assert evaluate((-heads).source, value) == -4
    assert evaluate((heads**2).source, value) == 16
    for same in (+heads, round(heads), math.floor(heads), math.ceil(heads), math.trunc(heads)):
        assert source_of(same) is HEADS
    quotient, rest = divmod(heads, 3)
    assert (int(quotient), int(rest)) == (1, 1)
    assert evaluate(quotient.source, value) == 1 and evaluate(rest.source, value) == 1


@pytest.mark.parametrize(
    ("use", "result"),
    [
        (lambda d: d**-0.5, 6**-0.5),
        (lambda d: d**3, 216),
        (lambda d: math.sqrt(d), math.sqrt(6)),
        (lambda d: float(d), 6.0),
        (lambda d: d / 4, 1.5),
        (lambda d: 3 / d, 0.5),
        (lambda d: d * 0.5, 3.0),
        (lambda d: d + 0.5, 6.5),
        (lambda d: d // 4.0, 1.0),
    ],
)
def test_a_size_that_becomes_a_number_is_plain_and_written_down(use: Any, result: float) -> None:
    diary = Diary()
    found = use(size(6, DIM, diary))
    assert found == result and type(found) in (int, float)
    assert diary.scales == [DIM]


def test_a_float_on_the_left_takes_the_integer_before_it_can_say_so() -> None:
    """Python's floats look no further when they meet an int: what verification then finds to differ is reported, not followed."""
    diary = Diary()
    assert (0.5 * size(6, DIM, diary), 3.0 / size(6, DIM, diary)) == (3.0, 0.5)
    assert diary.scales == []


def test_a_quotient_of_two_sizes_is_a_number_of_both() -> None:
    diary = Diary()
    assert size(6, DIM, diary) / size(4, HEADS, diary) == 1.5
    assert diary.scales == [DIM, HEADS]


@pytest.mark.parametrize("name", COMPARISONS)
def test_questions_are_answered_as_by_integers_and_written_down(name: str) -> None:
    for other in (5, 6, 7):
        diary = Diary()
        outcome = COMPARISONS[name](size(6, DIM, diary), other)
        assert outcome is COMPARISONS[name](6, other)
        assert diary.comparisons == [Comparison(name, DIM, other, outcome)]


def test_a_question_about_something_else_than_an_integer_is_no_question_about_sizes() -> None:
    diary = Diary()
    dim = size(6, DIM, diary)
    assert dim != "6" and dim is not None and dim not in ("a", None)
    assert diary.comparisons == []
    with pytest.raises(TypeError):
        _ = dim < "7"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_plain_integers(copied: Any) -> None:
    found = copied(size(6, DIM))
    assert found == 6 and type(found) is int
    assert type(copy.deepcopy([size(6, DIM)])[0]) is int


def test_text_and_lists_are_no_operands() -> None:
    for use in (lambda d: d - "a", lambda d: d / "a", lambda d: "a" / d, lambda d: d ** "a"):
        with pytest.raises(TypeError):
            use(size(6, DIM))


def test_division_by_zero_is_that_of_integers() -> None:
    with pytest.raises(ZeroDivisionError):
        _ = size(6, DIM) // 0
    with pytest.raises(ZeroDivisionError):
        evaluate(Operation("//", 1, HEADS), lambda _: 0)


def test_the_source_of_a_plain_number_is_itself() -> None:
    assert source_of(7) == 7 and source_of(size(6, DIM)) is DIM
    assert list(parts(7)) == [] and parts_of(Operation("*", HEADS, WIDTH)) == [HEADS]


def test_an_attribute_is_named_as_in_python() -> None:
    assert str(HEADS) == "blocks.0.attn.num_heads" and str(Attribute("", "width")) == "width"


@pytest.mark.parametrize(
    ("expression", "wanted", "found"),
    [
        (HEADS, 3, 3),
        (Operation("*", HEADS, 6), 18, 3),
        (Operation("*", 6, HEADS), 18, 3),
        (Operation("*", HEADS, 6), 20, None),
        (Operation("*", HEADS, 0), 0, None),
        (Operation("+", HEADS, 2), 5, 3),
        (Operation("-", HEADS, 2), 1, 3),
        (Operation("-", 5, HEADS), 2, 3),
        (Operation("//", HEADS, 2), 3, 6),
        (Operation("//", WIDTH, HEADS), 8, 3),
        (Operation("//", WIDTH, HEADS), 7, None),
        (Operation("//", WIDTH, HEADS), 0, None),
        (Operation("%", HEADS, 5), 3, None),
        (Operation("*", HEADS, HEADS), 9, None),
        (Operation("*", 2, 3), 6, None),
        (Operation("*", Operation("+", HEADS, Operation("*", 2, DIM)), 3), 45, 3),
    ],
)
def test_an_expression_is_solved_for_the_attribute_in_it(
    expression: Expression, wanted: int, found: int | None
) -> None:
    assert solve(expression, HEADS, wanted, value) == found


@st.composite
def invertible(draw: st.DrawFn) -> Expression:
    """An expression with one HEADS in it, made of operations that can be undone."""
    expression: Expression = HEADS
    for name, number, left in draw(
        st.lists(st.tuples(st.sampled_from("+-*"), st.integers(1, 9), st.booleans()), max_size=4)
    ):
        expression = Operation(name, expression, number) if left else Operation(name, number, expression)
    return expression


@given(invertible(), st.integers(1, 50))
@settings(deadline=None)
def test_solving_undoes_evaluating(expression: Expression, heads: int) -> None:
    wanted = evaluate(expression, lambda _: heads)
    assert solve(expression, HEADS, wanted, value) == heads
