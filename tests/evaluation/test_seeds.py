"""The fewest seeds of a verdict, and the most that are looked for, are where the tests begin and where the search ends."""

from __future__ import annotations

import numpy as np

from regrow.evaluation.difference import compare, seeds_needed
from regrow.evaluation.seeds import FEWEST_SEEDS, MOST_SEEDS
from tests.evaluation.samples import spread_arms


def test_a_difference_is_tested_from_the_fewest_seeds_on() -> None:
    enough = spread_arms(FEWEST_SEEDS, np.random.default_rng(0))
    assert compare(*enough, margin=2.0).p_superiority is not None
    assert compare(*(arm[1:] for arm in enough), margin=2.0).p_superiority is None


def test_the_search_for_more_seeds_ends_at_the_most() -> None:
    hopeless = compare(*spread_arms(FEWEST_SEEDS, np.random.default_rng(0)), margin=1e-9)
    needed = seeds_needed(hopeless)
    assert needed is not None
    assert max(needed) <= MOST_SEEDS
