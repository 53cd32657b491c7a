from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.pruning.norms import reestimate_norms

LABELS = torch.zeros(2, dtype=torch.long)


def batch(*rows: list[float]) -> tuple[Tensor, Tensor]:
    return torch.tensor(rows), LABELS


def stale_norm() -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(1, momentum=0.1)
    norm.running_mean = torch.tensor([100.0])
    norm.running_var = torch.tensor([100.0])
    return norm


def test_statistics_become_the_average_over_batches_whatever_they_were() -> None:
    norm = stale_norm()
    reestimate_norms(norm, [batch([0.0], [2.0]), batch([4.0], [8.0])])
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.running_mean.tolist() == [(1 + 6) / 2]
    assert norm.running_var.tolist() == [(2 + 8) / 2]  # variances with n - 1, as PyTorch keeps them
    assert norm.num_batches_tracked is not None and int(norm.num_batches_tracked) == 2


def test_statistics_of_later_layers_see_normalised_inputs() -> None:
    network = nn.Sequential(stale_norm(), nn.Linear(1, 1, bias=False), stale_norm())
    reestimate_norms(network, [batch([0.0], [2.0])] * 3)
    mean = network.get_buffer("2.running_mean")
    assert float(mean) == pytest.approx(0, abs=1e-6)


def test_weights_modes_and_momenta_are_as_before() -> None:
    network = nn.Sequential(stale_norm(), nn.Dropout(0.9), nn.Linear(1, 1)).train()
    network[2].eval()
    before = {name: value.clone() for name, value in network.named_parameters()}
    reestimate_norms(network, [batch([0.0], [2.0])])
    assert [module.training for module in network] == [True, True, False]
    assert network[0].momentum == 0.1
    assert all(torch.equal(before[name], value) for name, value in network.named_parameters())
    assert all(value.grad is None for value in network.parameters())


def test_dropout_is_off_meanwhile() -> None:
    network = nn.Sequential(nn.Dropout(0.5), stale_norm()).train()
    reestimate_norms(network, [batch([1.0], [3.0])])
    assert network.get_buffer("1.running_mean").tolist() == [2.0]


@pytest.mark.parametrize(
    ("batches", "told"),
    [([], "got no batch"), ([batch([0.0], [1.0]), batch([2.0])], "batch 2 has 1")],
    ids=["none", "a single example"],
)
def test_batches_that_say_nothing_are_refused_and_the_network_stays_as_it_was(
    batches: list[tuple[Tensor, Tensor]], told: str
) -> None:
    norm = stale_norm().eval()
    with pytest.raises(PruningError, match=told):
        reestimate_norms(norm, batches)
    assert norm.running_mean is not None
    assert norm.running_mean.tolist() == [100.0]
    assert norm.momentum == 0.1 and not norm.training


def test_a_network_without_norms_needs_no_examples() -> None:
    network = nn.Linear(1, 1)
    before = network.weight.detach().clone()
    reestimate_norms(network, [])
    assert torch.equal(network.weight.detach(), before)


def test_norms_without_running_statistics_are_left_alone() -> None:
    network = nn.Sequential(nn.BatchNorm1d(1, track_running_stats=False), stale_norm())
    reestimate_norms(network, [batch([0.0], [2.0])])
    assert float(network.get_buffer("1.running_mean")) == pytest.approx(0, abs=1e-6)
