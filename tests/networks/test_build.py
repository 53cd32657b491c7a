from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from regrow.errors import ConfigError
from regrow.networks.build import blueprint, build
from regrow.networks.zoo import NETWORKS

from .zoo_spec import spec_of


def test_equal_seeds_give_equal_bits_and_others_do_not() -> None:
    spec = spec_of("resnet20", width=0.5)
    first, again, other = (build(spec, seed, "dense").state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_building_draws_nothing_from_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    build(spec_of("vgg11", width=0.1), 0)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_blueprint_has_the_tensors_of_the_network_and_no_memory(name: str) -> None:
    spec = spec_of(name, width=0.25)
    plan, network = blueprint(spec).state_dict(), build(spec, 0).state_dict()
    assert {key: value.shape for key, value in plan.items()} == {key: value.shape for key, value in network.items()}
    assert all(value.is_meta for value in plan.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_group_is_where_the_layout_says(name: str) -> None:
    network = blueprint(spec_of(name))
    declared = [(group.name, group.channels) for group in network.channel_groups()]  # type: ignore[operator]
    assert declared == [(group.name, group.channels) for group in NETWORKS[name].groups()]


def test_a_specification_that_does_not_fit_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ConfigError, match="widths"):
        build(replace(spec_of("vgg11"), widths=(64,)), 0)


def test_the_meta_device_of_a_caller_does_not_leak_into_a_network_with_weights() -> None:
    with torch.device("meta"):
        network = build(spec_of("resnet20", width=0.25), 0)
    assert not any(parameter.is_meta for parameter in network.parameters())
