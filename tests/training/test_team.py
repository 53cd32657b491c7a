"""A team: sums, averages and agreement of two ranks; a team of one changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from regrow.errors import ConfigError
from regrow.training.compute import Compute
from regrow.training.learner import open_fabric
from regrow.training.team import Team, join
from tests.training.rank_work import Done


@pytest.fixture
def said(done: Done) -> dict[str, Any]:
    """What the first of two ranks found; the first brought 0 to everything, the second 1."""
    found: dict[str, Any] = done[1]["together"]["said"]
    return found


def test_a_team_knows_its_size_and_who_leads(said: dict[str, Any]) -> None:
    assert said["team"] == [2, True]


def test_values_are_added_up(said: dict[str, Any]) -> None:
    assert said["total"] == [3.0, 20.0]  # 1 + 2 and 10 + 10


def test_gradients_are_averaged_and_what_has_none_is_left_alone(said: dict[str, Any]) -> None:
    assert said["gradient"] == [1.5, -1.0]


def test_running_statistics_are_averaged_and_other_buffers_are_those_of_rank_0(said: dict[str, Any]) -> None:
    assert said["statistics"] == [[1.5, 1.5], [5.0, 5.0], [7]]
    assert said["constant"] == pytest.approx([0.1])


def test_everybodys_tensors_are_told_apart(said: dict[str, Any]) -> None:
    assert said["gathered"] == {"n": 0, "n.1": 1}


def test_ranks_that_read_different_checkpoints_do_not_go_on(said: dict[str, Any]) -> None:
    assert said["agreed"].startswith("the processes of one training must go on from the same checkpoint")


@pytest.mark.parametrize("own", [(4, 3), (3, 3), (6, 1)])
def test_the_mean_of_weighed_losses_is_the_mean_over_the_batch(own: tuple[int, int]) -> None:
    losses = torch.arange(sum(own), dtype=torch.float64) ** 2
    team = Team(size=2)
    parts = losses.split(own)
    weighed = [team.weighed(part.mean(), len(part), sum(own)) for part in parts]
    assert float(sum(weighed) / 2) == pytest.approx(float(losses.mean()))


def test_a_team_of_one_changes_nothing() -> None:
    team, values, norm = Team.of(open_fabric(Compute())), torch.ones(2), nn.BatchNorm2d(2)
    assert (team.size, team.rank, team.leads) == (1, 0, True)
    assert team.total(values) is values
    assert team.gathered({"n": values}) == {"n": values}
    norm.weight.grad = torch.ones(2)
    team.average_gradients([norm.weight])
    team.level(norm)
    team.agree(7)
    assert norm.weight.grad.tolist() == [1.0, 1.0] and float(norm.running_var.sum()) == 2.0  # type: ignore[union-attr]


def test_who_is_not_a_rank_cannot_join() -> None:
    with pytest.raises(ConfigError, match="this is not one of them"):
        join(Compute(devices=2))
