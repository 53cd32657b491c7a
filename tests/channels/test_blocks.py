"""Residual blocks of many networks, counted by hand, and what is left when they go."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from regrow.channels.blocks import Block, Blocks, drop_blocks, find_blocks, residual_blocks
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.cost import cost_of
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import NETWORKS, dense_spec

from .residual import (
    IMAGES,
    WIDTH,
    Around,
    Asking,
    Counting,
    Handed,
    Looking,
    Normed,
    Outer,
    Plain,
    Repeating,
    Shifted,
    Telling,
    Widening,
    silent,
)


def zoo(name: str) -> nn.Module:
    return build(dense_spec(NetworkSettings(name=name), classes=10, shape=(3, 32, 32)), 0)


def torchvision(name: str, **options: Any) -> nn.Module:
    network: nn.Module = getattr(pytest.importorskip("torchvision").models, name)(**options)
    return network


def transformer() -> nn.Module:
    sizes = {"image_size": 32, "patch_size": 16, "num_layers": 3, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
    return torchvision("VisionTransformer", **sizes)


def timm(name: str, **options: Any) -> nn.Module:
    network: nn.Module = pytest.importorskip("timm").create_model(name, **options)
    return network


def numbered(start: str, numbers: str) -> list[str]:
    return [start + number for number in numbers.split()]


CASES: dict[str, tuple[Callable[[], nn.Module], int, list[str]]] = {
    "resnet18": (lambda: torchvision("resnet18"), 64, numbered("layer", "1.0 1.1 2.1 3.1 4.1")),
    "resnet50": (
        lambda: torchvision("resnet50"),
        32,
        numbered("layer", "1.1 1.2 2.1 2.2 2.3 3.1 3.2 3.3 3.4 3.5 4.1 4.2"),
    ),
    "resnet20 of the zoo": (
        lambda: zoo("resnet20"),
        32,
        numbered("stage", "1.block1 1.block2 1.block3 2.block2 2.block3 3.block2 3.block3"),
    ),
    "preresnet38 of the zoo": (
        lambda: zoo("preresnet38"),
        32,
        numbered("stage", "1.block2 1.block3 1.block4 2.block2 2.block3 2.block4 3.block2 3.block3 3.block4"),
    ),
    "a vision transformer": (transformer, 32, numbered("encoder.layers.encoder_layer_", "0 1 2")),
    "mobilenet_v3_small": (lambda: torchvision("mobilenet_v3_small"), 64, numbered("features.", "3 5 6 8 10 11")),
    "convnext_tiny": (
        lambda: torchvision("convnext_tiny"),
        32,
        numbered("features.", "1.0 1.1 1.2 3.0 3.1 3.2 5.0 5.1 5.2 5.3 5.4 5.5 5.6 5.7 5.8 7.0 7.1 7.2"),
    ),
    "a vision transformer of timm": (
        lambda: timm("vit_tiny_patch16_224", img_size=32, depth=2),
        32,
        numbered("blocks.", "0 1"),
    ),
}


@pytest.mark.parametrize("case", CASES)
class TestEveryNetwork:
    def test_the_list_is_the_one_counted_by_hand(self, case: str) -> None:
        make, side, names = CASES[case]
        assert [block.name for block in residual_blocks(make(), torch.zeros(2, 3, side, side))] == names

    def test_without_its_blocks_it_computes_what_it_computes_with_silent_branches_and_trains(self, case: str) -> None:
        make, side, _ = CASES[case]
        network, images = make().eval(), torch.randn(2, 3, side, side)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        gone = residual_blocks(network, images)[::2]
        small = drop_blocks(network, [block.name for block in gone], images)
        with torch.no_grad(), silent(network, [end for block in gone for end in block.ends]):
            expected = network(images)
        apart = (small(images) - expected).abs().max()
        assert apart <= 1e-6 * expected.abs().max()
        assert all(torch.equal(tensor, before[name]) for name, tensor in small.state_dict().items())
        assert len(small.state_dict()) < len(before) == len(network.state_dict())
        self.step(small.train(), images)

    def step(self, small: nn.Module, images: torch.Tensor) -> None:
        """Every parameter that is left learns."""
        optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
        small(images).square().mean().backward()
        assert all(parameter.grad is not None for parameter in small.parameters())
        optimizer.step()


def test_the_ends_are_the_innermost_modules_that_computed_what_is_added() -> None:
    (first, *_) = residual_blocks(torchvision("resnet18"), torch.zeros(2, 3, 64, 64))
    assert first == Block("layer1.0", ("layer1.0.bn2",))
    (first, *_) = residual_blocks(transformer(), torch.zeros(2, 3, 32, 32))
    start = "encoder.layers.encoder_layer_0"
    assert first == Block(start, (f"{start}.dropout", f"{start}.mlp.3"))
    (first, *_) = residual_blocks(torchvision("mobilenet_v3_small"), torch.zeros(2, 3, 64, 64))
    assert first == Block("features.3", ("features.3.block.2.1",))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_zoo_knows_its_blocks_without_running(name: str) -> None:
    spec = dense_spec(NetworkSettings(name=name, width=0.25), classes=5, shape=(3, 8, 8))
    found = residual_blocks(build(spec, 0), torch.zeros(2, 3, 8, 8))
    assert tuple(block.name for block in found) == NETWORKS[name].removable


def test_multiply_accumulates_fall_by_those_of_the_block() -> None:
    network = torchvision("resnet18")
    small = drop_blocks(network, ["layer1.1", "layer4.1"], torch.zeros(2, 3, 64, 64))
    dense, left = cost_of(network, (3, 224, 224)), cost_of(small, (3, 224, 224))
    # Two 3 x 3 convolutions each: 64 to 64 channels on 56 x 56, and 512 to 512 on 7 x 7.
    assert dense.macs - left.macs == 2 * 9 * 64 * 64 * 56 * 56 + 2 * 9 * 512 * 512 * 7 * 7
    assert dense.params - left.params == 2 * (9 * 64 * 64 + 2 * 64) + 2 * (9 * 512 * 512 + 2 * 512)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Around(Widening()), "blocks.0: its shortcut is computed, not passed through: it adds blocks.0.shortcut"),
        (Around(Normed()), "blocks.0: it changes its input by up to"),
        (Around(Shifted()), "blocks.0: it adds something to its shortcut that none of its modules computed"),
        (Repeating(Plain()), "blocks.0: it runs 2 times in one forward pass"),
        (Looking(Plain()), "blocks.0: the network cannot run without it (AttributeError"),
        (Around(Outer(Plain())), "blocks.0: it holds blocks.0.inner, which can go by itself"),
    ],
)
def test_what_cannot_go_is_not_listed_and_the_notes_say_why(network: nn.Module, said: str) -> None:
    found = find_blocks(network, IMAGES)
    assert "blocks.0" not in [block.name for block in found.blocks]
    (note,) = found.notes
    assert note.startswith(said)


def test_of_blocks_inside_each_other_the_innermost_that_can_go_is_listed() -> None:
    assert [block.name for block in residual_blocks(Around(Outer(Plain())), IMAGES)] == ["blocks.0.inner"]
    assert [block.name for block in residual_blocks(Around(Outer(Normed())), IMAGES)] == ["blocks.0"]


def test_a_block_that_is_told_more_than_its_input_goes_and_what_stands_in_does_not_listen() -> None:
    network = Telling(Asking(), Asking()).eval()
    small = drop_blocks(network, ["blocks.1"], IMAGES)
    images = torch.randn(2, 3, 8, 8)
    with silent(network, ["blocks.1.conv"]):
        assert torch.equal(small(images), network(images))


def test_sums_inside_the_branch_are_the_branch_s_own_business() -> None:
    class Parted(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Conv2d(WIDTH, WIDTH, 1)

        def branch(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.conv(self.norm(x) + self.other(self.norm(x)))
            return made

    assert find_blocks(Around(Parted()), IMAGES) == Blocks((Block("blocks.0", ("blocks.0.conv",)),))


def test_one_that_cannot_go_does_not_keep_the_others() -> None:
    class Particular(Looking):
        def call(self, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
            return super().call(block, x) if block is self.blocks[0] else block(x)

    found = find_blocks(Particular(Plain(), Plain()), IMAGES)
    assert [block.name for block in found.blocks] == ["blocks.1"]


def test_a_block_that_has_two_names_stays() -> None:
    network = Around(Plain())
    network.again = network.blocks[0]
    found = find_blocks(network, IMAGES)
    assert found.blocks == () and found.notes == ("blocks.0: it is registered under 2 names",)


def test_a_block_that_shares_a_tensor_with_what_stays_stays_too() -> None:
    network = Around(Plain(), Plain(), Plain())
    network.blocks[1].conv.weight = network.blocks[0].conv.weight
    found = find_blocks(network, IMAGES)
    assert [block.name for block in found.blocks] == ["blocks.2"]
    assert "blocks.1: its conv.weight is the same tensor as blocks.0.conv.weight, which stays" in found.notes


def test_a_network_that_looks_at_numbers_is_watched_with_them() -> None:
    assert [block.name for block in residual_blocks(Counting(Plain()), IMAGES)] == ["blocks.0"]


def test_the_network_is_left_as_it_was() -> None:
    network = Around(Handed(), Plain()).train()
    network.blocks[1].eval()
    before, state = str(network), copy.deepcopy(network.state_dict())
    generator = torch.get_rng_state()
    find_blocks(network, IMAGES)
    assert str(network) == before and all(torch.equal(state[name], one) for name, one in network.state_dict().items())
    assert [module.training for module in network.blocks] == [True, False]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_copy_shares_nothing_with_the_network() -> None:
    network = Around(Plain(), Plain())
    small = drop_blocks(network, ["blocks.1"], IMAGES)
    memory = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert memory.isdisjoint(tensor.data_ptr() for tensor in small.state_dict().values())
    assert isinstance(small.get_submodule("blocks.1"), nn.Identity) and isinstance(network.blocks[1], Plain)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blocks.0", r"blocks\.0: its shortcut is computed.*Did you mean 'blocks\.1'"),
        ("blocks.1.conv", r"blocks\.1\.conv adds nothing to its input.*Known: blocks\.1"),
        ("nowhere", r"Around has no module nowhere.*Known: blocks\.1"),
    ],
)
def test_what_is_no_residual_block_is_refused(name: str, message: str) -> None:
    with pytest.raises(PruningError, match=message):
        drop_blocks(Around(Widening(), Plain()), [name], IMAGES)


def test_a_network_without_numbers_or_that_cannot_run_is_refused() -> None:
    with torch.device("meta"):
        network = Around(Plain())
    with pytest.raises(PruningError, match="holds no numbers"):
        find_blocks(network, IMAGES)
    with pytest.raises(PruningError, match="cannot run on the example inputs"):
        find_blocks(Around(Plain()), torch.zeros(2, 7))


def test_a_block_is_a_value() -> None:
    block = Block("layer1.1", ("layer1.1.bn2",))
    assert len({block, Block(name="layer1.1", ends=("layer1.1.bn2",))}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        block.name = "layer1.0"  # type: ignore[misc]
