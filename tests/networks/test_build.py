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


def test_what_is_left_has_the_bits_that_it_has_beside_the_removed_blocks() -> None:
    spec = spec_of("preresnet38", width=0.25)
    narrow = replace(spec, widths=tuple(max(1, width - 1) for width in spec.widths))
    removed = ("stage1.block3", "stage3.block2")
    gone = {f"{block}.conv{number}" for block in removed for number in (1, 2)}
    names = [group.name for group in NETWORKS[spec.name].groups(0.25)]
    widths = tuple(
        dense if name in gone else few for name, dense, few in zip(names, spec.widths, narrow.widths, strict=True)
    )
    whole = build(replace(narrow, widths=widths), 3).state_dict()
    left = build(replace(narrow, widths=widths, removed=removed), 3).state_dict()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in left.items())
    assert whole.keys() - left.keys() == {name for name in whole if name.startswith(removed)}


def test_the_blueprint_lacks_the_removed_blocks_too() -> None:
    spec = replace(spec_of("resnet20", width=0.25), removed=("stage1.block1", "stage2.block3"))
    assert [name for name, _ in blueprint(spec).named_parameters()] == [
        name for name, _ in build(spec, 0).named_parameters()
    ]
    assert isinstance(blueprint(spec).get_submodule("stage2.block3"), torch.nn.Identity)


def test_a_network_without_any_block_that_can_go_still_computes() -> None:
    spec = replace(spec_of("resnet20", width=0.25), removed=NETWORKS["resnet20"].removable)
    assert build(spec, 0)(torch.randn(2, 3, 32, 32)).shape == (2, 10)
