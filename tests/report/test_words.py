"""One spelling each for the numbers of a report."""

from __future__ import annotations

import pytest

from regrow.report import words


def test_a_missing_number_is_a_dash_everywhere() -> None:
    writers = (words.percent, words.points, words.span, words.points_span, words.quantity)
    writers += (words.seconds, words.rate, words.probability, words.times)
    assert [write(None) for write in writers] == [words.DASH] * 9


def test_percent_has_two_decimals() -> None:
    assert words.percent(97.777) == "97.78 %"


@pytest.mark.parametrize(
    ("value", "text"), [(0.416, "+0.42"), (-0.3, "−0.30"), (-0.004, "0.00"), (0.0, "0.00"), (12.0, "+12.00")]
)
def test_points_carry_their_sign_unless_they_round_to_zero(value: float, text: str) -> None:
    assert words.points(value) == text


def test_intervals_run_from_low_to_high() -> None:
    assert words.span((97.5, 98.25)) == "97.50 to 98.25"
    assert words.points_span([-0.31, 1.146]) == "−0.31 to +1.15"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12, "12"),
        (853_018, "853 k"),
        (313_500_000, "313.5 M"),
        (999_999, "1 M"),
        (5.4e15, "5.4 P"),
        (4.26e12, "4.26 T"),
    ],
)
def test_quantities_have_four_digits_and_a_prefix(value: float, text: str) -> None:
    assert words.quantity(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0421, "0.04 s"),
        (7.25, "7.2 s"),
        (59.96, "1 min 00 s"),
        (83, "1 min 23 s"),
        (3725, "1 h 02 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations_are_as_precise_as_needed(value: float, text: str) -> None:
    assert words.seconds(value) == text


def test_learning_rates_have_three_digits() -> None:
    assert [words.rate(lr) for lr in (0.1, 0.0316228, 1e-05)] == ["0.1", "0.0316", "1e-05"]


def test_tiny_p_values_are_never_written_as_zero() -> None:
    assert [words.probability(p) for p in (0.0421, 0.001, 0.0)] == ["0.042", "0.001", "< 0.001"]


def test_factors_keep_three_digits() -> None:
    assert [words.times(value) for value in (3.9871, 4, 9.996, 17.31, 1234.4)] == [
        "3.99",
        "4.00",
        "10.0",
        "17.3",
        "1,234",
    ]


def test_only_one_is_singular() -> None:
    assert [words.point(1.0), words.point(0.5)] == ["1 point", "0.5 points"]
    assert [words.plural(1, "seed"), words.plural(0, "seed"), words.plural(12_000, "image")] == [
        "1 seed",
        "0 seeds",
        "12,000 images",
    ]


def test_listing_reads_like_a_sentence() -> None:
    assert [words.listing(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
