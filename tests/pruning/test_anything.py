from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.carve import carve
from regrow.channels.composition import compose
from regrow.channels.fingerprint import fingerprint
from regrow.channels.masks import mask_only
from regrow.errors import ConfigError, PruningError
from regrow.networks.cost import cost_of
from regrow.pruning.anything import Pruned, prune_network

from .traced import residual

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A residual block around a norm layer, with a gate."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down, self.norm, self.up = (
            nn.Conv2d(width, inner, 3, padding=1),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, width, 1),
        )
        self.gate = nn.Conv2d(width, width, 1)

    def forward(self, stream: Tensor) -> Tensor:
        """The stream plus what the block adds."""
        added: Tensor = self.up(self.norm(self.down(stream)).relu())
        return stream + added * self.gate(added.mean((2, 3), keepdim=True)).sigmoid()


class Small(nn.Module):
    """A stem, two blocks that share it, branches put together, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.blocks = nn.Sequential(Block(16, 12), Block(16, 24))
        self.left, self.right = nn.Conv2d(16, 8, 1), nn.Conv2d(16, 10, 1)
        self.head = nn.Linear(18, 5)

    def forward(self, images: Tensor, scale: float = 1.0) -> Tensor:
        """Logits of shape [N, 5] for images of shape [N, 3, H, W]."""
        stream = self.blocks(self.stem(images) * scale)
        both = torch.cat([self.left(stream), self.right(stream)], dim=1)
        logits: Tensor = self.head(both.relu().mean((2, 3)))
        return logits


def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def widths(pruned: Pruned) -> dict[str, int]:
    return {entry.group: len(entry.indices) for entry in pruned.architecture.kept}


HALF = {"stem": 8, "blocks.0.down": 6, "blocks.1.down": 12, "left": 4, "right": 5}


def test_every_group_loses_the_fraction_and_the_output_is_the_masked_network_s() -> None:
    network = small().double()
    pruned = prune_network(network, IMAGES.double())
    assert {name.removesuffix(".weight"): width for name, width in widths(pruned).items()} == HALF
    with torch.no_grad():
        found, expected = pruned.network(IMAGES.double()), mask_only(network, pruned.architecture)(IMAGES.double())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_it_unpacks_into_the_small_network_and_its_architecture() -> None:
    pruned = prune_network(small(), IMAGES)
    network, architecture = pruned
    assert (network, architecture) == (pruned.network, pruned.architecture)
    assert type(network) is Small
    assert network.stem.out_channels == 8


def test_the_original_is_left_as_it_is_and_shares_no_memory() -> None:
    network = small().train()
    before = fingerprint(network)
    pruned, _ = prune_network(network, IMAGES)
    with torch.no_grad():
        for tensor in pruned.state_dict().values():
            tensor.zero_()
    assert fingerprint(network) == before
    assert all(module.training for module in network.modules())
    assert network.stem.out_channels == 16
    assert all(parameter.grad is None for parameter in network.parameters())


def test_what_the_caller_owned_stays() -> None:
    network = small().to(torch.bfloat16)
    network.blocks.train()
    network.stem.weight.requires_grad_(False)
    seen: list[Any] = []
    network.head.register_forward_hook(lambda *given: seen.append(given[-1].shape))
    pruned, _ = prune_network(network, IMAGES.to(torch.bfloat16))
    seen.clear()
    pruned(IMAGES.to(torch.bfloat16))
    assert seen == [(2, 5)]
    assert {parameter.dtype for parameter in pruned.parameters()} == {torch.bfloat16}
    assert not pruned.stem.weight.requires_grad and pruned.stem.bias.requires_grad
    assert pruned.blocks[1].training and not pruned.stem.training


@pytest.mark.parametrize("inputs", [IMAGES, (IMAGES, 2.0), {"images": IMAGES, "scale": 2.0}])
def test_inputs_may_be_a_tensor_a_tuple_or_keywords(inputs: Any) -> None:
    assert sorted(widths(prune_network(small(), inputs)).values()) == sorted(HALF.values())


def test_fractions_ignored_layers_rounding_and_floors_are_heard() -> None:
    network = small()
    assert (
        sum(widths(prune_network(network, IMAGES, fraction={"blocks.*.down": 0.25})).values()) == 16 + 9 + 18 + 8 + 10
    )
    found = widths(prune_network(network, IMAGES, ignore="stem", round_to=4, min_channels=6))
    assert list(found.values()) == [16, 8, 12, 8, 8]


def test_a_criterion_may_be_named_or_given_and_seeds_matter_to_chance() -> None:
    network = small()
    first, again, other = (
        prune_network(network, IMAGES, criterion="random", seed=seed).architecture for seed in (0, 0, 1)
    )
    assert first == again != other
    given = prune_network(network, IMAGES, criterion=lambda weight, _: -torch.arange(float(len(weight)))).architecture
    assert given.kept[0].indices == tuple(range(8))


def test_the_report_tells_what_was_not_pruned_and_why() -> None:
    text = str(prune_network(small(), IMAGES).report)
    assert "blocks.0.down" in text
    assert "head.weight" in text and "is the output of the network" in text
    assert "MACs of the example inputs" in text and "notes" not in text


def test_outputs_that_may_shrink_are_named_by_the_caller() -> None:
    class Features(Small):
        def forward(self, images: Tensor, scale: float = 1.0) -> Any:
            stream = self.blocks(self.stem(images) * scale)
            return self.head(torch.cat([self.left(stream), self.right(stream)], dim=1).mean((2, 3))), stream

    network = Features().eval()
    whole, free = prune_network(network, IMAGES), prune_network(network, IMAGES, outputs=lambda result: result[0])
    assert whole.network(IMAGES)[1].shape == (2, 16, 8, 8)
    assert free.network(IMAGES)[1].shape == (2, 8, 8, 8)


def test_a_network_without_weights_is_pruned_in_shape_and_not_verified() -> None:
    with torch.device("meta"):
        network = Small()
    pruned = prune_network(network, torch.zeros(1, 3, 8, 8, device="meta"))
    assert list(widths(pruned).values()) == list(HALF.values())
    assert all(parameter.is_meta for parameter in pruned.network.parameters())
    assert str(pruned.verification).startswith("not verified: the network is on the meta device")


def test_wrong_arguments_are_all_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        prune_network(small(), IMAGES, fraction=50, ignore=["stm"], round_to=0)
    assert [fault.key for fault in caught.value.faults] == ["fraction", "round_to", "ignore"]


def test_a_network_of_which_nothing_can_go_is_refused_with_the_reasons() -> None:
    with pytest.raises(PruningError, match=r"nothing of the network can be pruned:\n    the network: is the output"):
        prune_network(nn.Linear(3, 4), torch.zeros(1, 3))


def test_a_pruned_network_can_be_pruned_again() -> None:
    first = prune_network(small(), IMAGES)
    second = prune_network(first.network, IMAGES)
    assert list(widths(second).values()) == [4, 3, 6, 2, 2]
    second.network(IMAGES).sum().backward()


def test_what_was_carved_is_compared_with_the_silenced_network_unless_that_is_not_asked_for() -> None:
    network = small().double()
    checked = prune_network(network, IMAGES.double()).verification
    assert checked.verified and checked.error is not None and checked.error < 1e-12
    assert (
        str(prune_network(network, IMAGES.double(), verify=False).verification)
        == "not verified: verify=False was asked for"
    )


def test_a_small_network_that_computes_something_else_is_never_returned() -> None:
    class Scaled(Small):
        """Multiplies by a number that no tracer can connect with the width: how many letters its shape is written in."""

        def forward(self, images: Tensor, scale: float = 1.0) -> Tensor:
            return super().forward(images, len(str(tuple(self.stem.weight.shape))) * scale)

    with pytest.raises(PruningError, match=r"does not compute what the dense one does"):
        prune_network(Scaled().eval(), IMAGES)


def test_two_prunings_in_a_row_are_one_architecture_of_the_dense_network() -> None:
    network = small()
    first = prune_network(network, IMAGES, fraction=0.25)
    second = prune_network(first.network, IMAGES, fraction={"blocks*": 0.5, "*": 0.25})
    once = carve(network, compose(first.architecture, second.architecture))
    assert once.state_dict().keys() == second.network.state_dict().keys()
    assert fingerprint(once) == fingerprint(second.network)
    assert torch.equal(once(IMAGES), second.network(IMAGES))
    assert [one.out_channels for one in (once.stem, once.left)] == [
        one.out_channels for one in (second.network.stem, second.network.left)
    ]


@pytest.mark.parametrize("scope", ["group", "global"])
@pytest.mark.parametrize("of", ["macs", "params"])
def test_a_share_of_macs_or_parameters_is_met_and_the_small_network_verified(of: str, scope: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 48, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, 5),
    ).eval()
    pruned = prune_network(network, torch.randn(2, 3, 8, 8), fraction=0.4, of=of, scope=scope)
    before, after = cost_of(network, (3, 8, 8)), cost_of(pruned.network, (3, 8, 8))
    assert 1 - getattr(after, of) / getattr(before, of) == pytest.approx(0.4, abs=0.01)
    assert pruned.verification.verified


def test_a_share_of_latency_is_measured_here() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 128, 3), nn.ReLU(), nn.Conv2d(128, 128, 3), nn.Flatten(), nn.Linear(18432, 5)
    ).eval()
    pruned = prune_network(network, torch.randn(1, 3, 16, 16), fraction=0.5, of="latency", verify=False)
    assert sum(pruned.architecture.widths) < 256


def test_criteria_that_look_at_examples_get_them_and_say_where_they_are_missing() -> None:
    network, inputs = residual(), torch.randn(2, 3, 8, 8)
    batches = [(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]))]
    for given in (batches, lambda: iter(batches)):
        small, architecture = prune_network(
            network, inputs, criterion="taylor", batches=given, reduce="max", normalise="sum"
        )
        assert architecture.widths == (6, 5) and small(inputs).shape == (2, 4)
    with pytest.raises(PruningError, match=r"taylor scores on training examples.*Pass batches="):
        prune_network(network, inputs, criterion="taylor")
    with pytest.raises(PruningError, match="can be read only once"):
        prune_network(network, inputs, criterion="taylor", batches=iter(batches))
    assert prune_network(network, inputs, criterion="synflow").architecture.widths == (6, 5)
