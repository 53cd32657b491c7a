"""How long a study still takes: from trainings that ended and from those under way."""

from __future__ import annotations

import pytest

from regrow.study.pace import Pace, architecture
from regrow.study.stage import Stage

WIDE, NARROW = {"name": "vgg16", "width": 1.0}, {"name": "vgg16", "width": 0.1}


def training(network: dict[str, object], work: float, label: str = "dense, seed 1") -> Stage:
    return Stage(kind="train", label=label, settings={"network": network, "label": label}, work=work)


def took(seconds: float, *, diverged: bool = False) -> dict[str, object]:
    return {"train_seconds": seconds, "diverged": diverged}


def test_nothing_is_said_before_anything_was_seen() -> None:
    pace, stage = Pace(), training(WIDE, 100.0)
    assert pace.remaining([(architecture(stage), 100.0)], [], 1) is None
    pace.under_way(stage, 0.01, 5.0)  # the first sign of life shows no speed yet
    assert pace.remaining([(architecture(stage), 99.0)], [], 1) is None
    pace.under_way(stage, 0.02, 6.0)
    assert pace.remaining([(architecture(stage), 98.0)], [], 1) is None  # one second is too little to judge by


def test_a_training_that_ended_tells_of_others_of_its_architecture() -> None:
    pace, stage = Pace(), training(WIDE, 100.0)
    pace.ended(stage, took(50.0))
    assert pace.remaining([(architecture(stage), 300.0)], [100.0], slots=4) == pytest.approx((150 + 50) / 4)


def test_a_training_under_way_tells_of_itself() -> None:
    pace, wide, narrow = Pace(), training(WIDE, 100.0), training(NARROW, 10.0)
    pace.ended(wide, took(50.0))
    left = [(architecture(narrow), 10.0)]
    assert pace.remaining(left, [], 1) == pytest.approx(5.0)  # by the wide one's seconds for a FLOP
    pace.under_way(narrow, 0.5, now=1000.0)  # resumed: what was done before is not what was timed
    pace.under_way(narrow, 0.6, now=1010.0)
    assert pace.remaining([(architecture(narrow), 4.0)], [], 1) == pytest.approx(40.0)


def test_the_end_of_a_training_replaces_what_was_seen_on_the_way() -> None:
    pace, stage = Pace(), training(WIDE, 100.0)
    pace.under_way(stage, 0.0, now=0.0)
    pace.under_way(stage, 0.5, now=100.0)
    pace.ended(stage, took(100.0))
    assert pace.remaining([(architecture(stage), 100.0)], [], 1) == pytest.approx(100.0)


@pytest.mark.parametrize("result", [None, took(50.0, diverged=True)])
def test_what_was_lost_or_diverged_teaches_nothing(result: dict[str, object] | None) -> None:
    pace, stage = Pace(), training(WIDE, 100.0)
    pace.under_way(stage, 0.0, now=0.0)
    pace.under_way(stage, 0.5, now=100.0)
    pace.ended(stage, result)
    assert pace.remaining([(architecture(stage), 100.0)], [], 1) is None
