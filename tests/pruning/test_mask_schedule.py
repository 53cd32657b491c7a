"""Counts per round and fractions per step: exact, and as their sources say."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.errors import PruningError
from regrow.pruning.mask_schedule import Cubic, cubic_over, floor_of, removed_of, round_counts, round_targets


def test_a_lottery_ticket_at_20_percent_a_round_leaves_these_counts() -> None:
    by_hand = [1000 - 200, 800 - 160, 640 - 128, 512 - 102, 410 - 82, 328 - 65, 263 - 52]
    assert list(round_counts(1000, 7, per_round=0.2)) == by_hand


@settings(deadline=None)
@given(st.integers(0, 30_000_000), st.integers(1, 12), st.integers(1, 99))
def test_rounds_follow_the_rule_in_exact_fractions(total: int, rounds: int, percent: int) -> None:
    left, counts = total, []
    for _ in range(rounds):
        left -= Fraction(percent, 100) * left // 1
        counts.append(left)
    assert list(round_counts(total, rounds, per_round=percent / 100)) == counts


@settings(deadline=None)
@given(st.integers(1, 30_000_000), st.integers(1, 12), st.integers(1, 99))
def test_rounds_to_a_fraction_never_grow_and_end_at_it(total: int, rounds: int, percent: int) -> None:
    counts = round_counts(total, rounds, fraction=percent / 100)
    assert len(counts) == rounds
    assert counts[-1] == total - removed_of(total, percent / 100)
    assert all(later <= earlier for earlier, later in zip((total, *counts), counts, strict=False))


def test_each_round_to_a_fraction_removes_the_same_share_of_the_rest() -> None:
    assert round_counts(10_000, 4, fraction=0.9375) == (5000, 2500, 1250, 625)


def test_roots_that_are_whole_lose_nothing_to_rounding() -> None:
    for third in range(1, 100):
        share = 1 - (third / 100) ** 3
        counts = round_counts(10**6, 3, fraction=round(share, 6))
        assert counts == (third * 10**4, third**2 * 100, third**3)


def test_the_share_is_the_decimal_that_was_written_and_ties_go_to_the_even_number() -> None:
    assert [removed_of(10, fraction) for fraction in (0.25, 0.35, 0.45)] == [2, 4, 4]
    assert removed_of(10**9, 0.7) == 700_000_000


def test_a_floor_is_the_least_whole_number_that_reaches_the_share() -> None:
    for total in range(200):
        for percent in range(100):
            least = floor_of(total, percent / 100)
            assert Fraction(least) >= Fraction(percent, 100) * total > least - 1


def test_targets_of_layers_are_each_tensors_own_rounds() -> None:
    targets = round_targets({"a": 100, "b": 7}, 2, scope="layer", per_round=0.2)
    assert targets == ({"a": 80, "b": 6}, {"a": 64, "b": 5})
    assert round_targets({"a": 100, "b": 7}, 2, per_round=0.2) == (86, 69)


def test_a_scope_is_one_of_two_words() -> None:
    with pytest.raises(PruningError, match="got scope 'group'"):
        round_targets({"a": 10}, 2, scope="group", per_round=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{}, {"fraction": 0.5, "per_round": 0.2}])
def test_exactly_one_way_to_say_how_much(given: dict[str, float]) -> None:
    with pytest.raises(PruningError, match="either a fraction to end at or a share per round"):
        round_counts(100, 3, **given)


def test_a_share_in_percent_is_recognised() -> None:
    with pytest.raises(PruningError, match=r"got 20\. Did you mean 0\.2\?"):
        round_counts(100, 3, per_round=20)
    with pytest.raises(PruningError, match="at least one round; got 0"):
        round_counts(100, 0, per_round=0.2)


def test_the_cubic_schedule_has_the_values_of_its_equation() -> None:
    schedule = Cubic(final=0.9, begin=100, every=25, times=4, initial=0.1)
    # 0.9 - 0.8 * (1 - k / 4)^3 for k = 0..4
    by_hand = {100: 0.1, 125: 0.9 - 0.8 * 27 / 64, 150: 0.8, 175: 0.9 - 0.8 / 64, 200: 0.9}
    assert {step: schedule.fraction_at(step) for step in by_hand} == pytest.approx(by_hand)
    assert schedule.fraction_at(0) == pytest.approx(0.1)
    assert schedule.fraction_at(10_000) == 0.9


def test_it_prunes_only_at_its_own_steps() -> None:
    schedule = Cubic(final=0.5, begin=3, every=4, times=2)
    assert [step for step in range(20) if schedule.is_due(step)] == [3, 7, 11]
    assert schedule.end == 11


def test_a_schedule_over_a_training_ends_inside_it_and_prunes_ten_times_or_more() -> None:
    for steps in (40, 999, 12_345, 100_000):
        schedule = cubic_over(steps, 0.9)
        assert schedule.times >= 10
        assert 0.6 * steps <= schedule.end <= 0.75 * steps
        assert schedule.every <= 100


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"final": 1.0}, "strictly between 0 and 1; got 1.0"),
        ({"initial": 0.95}, "a gradual schedule rises; got an initial fraction of 0.95"),
        ({"times": 0}, "times = 0"),
        ({"begin": -1}, "begin = -1"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong: dict[str, float], says: str) -> None:
    values = {"final": 0.9, "begin": 0, "every": 10, "times": 3} | wrong
    with pytest.raises(PruningError, match=says):
        Cubic(**values)  # type: ignore[arg-type]


def test_a_training_without_room_is_refused() -> None:
    with pytest.raises(PruningError, match=r"room in the training; got the share from 0 to 0\.75 of 1 steps"):
        cubic_over(1, 0.5)
    with pytest.raises(PruningError, match=r"from 0\.8 to 0\.75"):
        cubic_over(100, 0.5, begin=0.8)
