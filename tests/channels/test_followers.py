from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from regrow.channels.architecture import Architecture
from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.channels.followers import carve_average, carve_optimizer
from regrow.channels.masks import mask_only
from regrow.errors import PruningError
from regrow.networks.build import build

from .zoo_networks import SHAPE, random_architecture, small_spec

IMAGES = torch.randn(8, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=0.01),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, amsgrad=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, momentum=0.5, centered=True),
}


def dense() -> tuple[nn.Module, Architecture]:
    spec = small_spec("resnet20")
    network = build(spec, 0).double().eval()  # eval: batch statistics would differ between a masked and a small network
    return network, random_architecture(network, spec)


def step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    network(IMAGES).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_the_masked_network_s_would(name: str) -> None:
    network, pruned = dense()
    optimizer = OPTIMIZERS[name](list(network.parameters()))
    for _ in range(3):
        step(network, optimizer)
    small = carve(network, pruned, other_weights=True)
    followed = carve_optimizer(optimizer, network, small, pruned)
    masked = mask_only(network, pruned)
    full = carve_optimizer(optimizer, network, masked, _whole(pruned))
    assert type(followed) is type(optimizer)
    for _ in range(3):
        step(small, followed)
        step(masked, full)
    with torch.no_grad():
        torch.testing.assert_close(small(IMAGES), masked(IMAGES))


def _whole(pruned: Architecture) -> Architecture:
    """The architecture that keeps everything."""
    content = pruned.to_json()
    for entry in content["kept"]:
        entry["indices"] = list(range(entry["channels"]))
    return Architecture.from_json(content)


def test_groups_settings_and_counts_follow_and_the_old_optimiser_stays() -> None:
    network, pruned = dense()
    first, *rest = network.parameters()
    optimizer = torch.optim.AdamW([{"params": [first], "lr": 0.5}, {"params": rest, "weight_decay": 0.0}], lr=0.01)
    step(network, optimizer)
    before = copy.deepcopy(optimizer.state_dict())
    small = carve(network, pruned, other_weights=True)
    followed = carve_optimizer(optimizer, network, small, pruned)
    assert [(group["lr"], group["weight_decay"]) for group in followed.param_groups] == [(0.5, 0.01), (0.01, 0.0)]
    assert [id(one) for group in followed.param_groups for one in group["params"]] == [
        id(one) for one in small.parameters()
    ]
    assert {int(state["step"]) for state in followed.state.values()} == {1}
    assert all(state["exp_avg"].shape == parameter.shape for parameter, state in followed.state.items())
    step(small, followed)
    after = optimizer.state_dict()
    assert all(
        torch.equal(after["state"][index]["exp_avg"], state["exp_avg"]) for index, state in before["state"].items()
    )
    assert all(int(state["step"]) == 1 for state in after["state"].values())


def test_factored_state_is_cut_along_the_axes_it_has() -> None:
    network, pruned = dense()
    optimizer = torch.optim.Adafactor([one for one in network.parameters() if one.ndim == 1], lr=0.01)
    step(network, optimizer)
    small = carve(network, pruned, other_weights=True)
    followed = carve_optimizer(optimizer, network, small, pruned)
    assert all(state["variance"].shape == parameter.shape for parameter, state in followed.state.items())


def test_parameters_of_others_stay_with_both_optimisers() -> None:
    network, pruned = dense()
    temperature = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([*network.parameters(), temperature], lr=0.1, momentum=0.9)
    followed = carve_optimizer(optimizer, network, carve(network, pruned), pruned)
    assert followed.param_groups[0]["params"][-1] is temperature


def test_state_of_an_unknown_shape_is_refused_with_its_name() -> None:
    network, pruned = dense()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    name, parameter = next(iter(network.named_parameters()))
    optimizer.state[parameter]["sketch"] = torch.zeros(7)
    with pytest.raises(PruningError, match=rf"sketch of {name} has shape \(7,\)"):
        carve_optimizer(optimizer, network, carve(network, pruned), pruned)


def test_an_average_is_carved_like_the_network_it_averages() -> None:
    network, pruned = dense()
    average = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.mul_(0.5)
    small = carve_average(average, pruned)
    assert fingerprint(small) == fingerprint(carve(average, pruned, other_weights=True))


def test_a_wrapped_average_keeps_its_wrapper_and_goes_on_averaging() -> None:
    network, pruned = dense()
    average = AveragedModel(network, use_buffers=True)
    average.update_parameters(network)
    small = carve_average(average, pruned)
    assert int(small.n_averaged) == 1
    expected = carve(network, pruned)
    assert fingerprint(small.module) == fingerprint(expected)
    small.update_parameters(expected)
    assert (int(small.n_averaged), int(average.n_averaged)) == (2, 1)
    assert average.module.state_dict().keys() == network.state_dict().keys()
