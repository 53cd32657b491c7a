from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.errors import PruningError, UnknownNameError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS, dense_spec
from regrow.pruning.settings import PruneSettings
from regrow.pruning.widths import target_widths

from .pruned import prune, prune_traced
from .traced import TRACED, residual


def spec(name: str = "vgg11", *, width: float = 0.25, side: int = 8) -> NetworkSpec:
    return dense_spec(NetworkSettings(name=name, width=width), classes=10, shape=(1, side, side))


def half(dense: NetworkSpec) -> tuple[int, ...]:
    return target_widths(PruneSettings(method="l1"), dense, 0.5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_pruned_carved_and_trained_at_every_fraction(name: str) -> None:
    dense = spec(name, side=32 if name in {"vgg11", "resnet20"} else 8)
    network = build(dense, 0)
    for fraction in (0.3, 0.5, 0.8):
        widths = target_widths(PruneSettings(method="l1"), dense, fraction)
        architecture = prune(network, dense, "l1", widths, seed=0)
        assert architecture.widths == widths
        small = carve(network, architecture)
        small(torch.randn(2, *dense.shape)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in small.parameters())
        assert all(
            bool(parameter.grad.isfinite().all()) for parameter in small.parameters() if parameter.grad is not None
        )


def test_the_channels_with_the_largest_weights_stay() -> None:
    dense = spec()
    network = build(dense, 0)
    weight = network.get_parameter("features.conv1.weight")
    with torch.no_grad():
        weight.copy_(torch.arange(weight.numel()).reshape(weight.shape).remainder(7) / 7)
    norms = weight.detach().abs().sum(dim=(1, 2, 3)).tolist()
    kept = prune(network, dense, "l1", (5, *dense.widths[1:]), seed=0).indices["features.conv1"]
    dropped = set(range(16)) - set(kept)
    assert len(kept) == 5
    assert max(norms[index] for index in dropped) <= min(norms[index] for index in kept)


def test_groups_at_full_width_are_left_whole() -> None:
    dense = spec("resnet20")
    widths = (1, *dense.widths[1:])
    assert prune(build(dense, 0), dense, "random", widths, seed=0).widths == widths


def test_the_seed_matters_to_chance_only() -> None:
    dense = spec()
    network = build(dense, 0)
    assert prune(network, dense, "l1", half(dense), 0) == prune(network, dense, "l1", half(dense), 1)
    assert prune(network, dense, "random", half(dense), 0) == prune(network, dense, "random", half(dense), 0)
    assert prune(network, dense, "random", half(dense), 0) != prune(network, dense, "random", half(dense), 1)


def test_chance_draws_anew_for_each_group() -> None:
    dense = spec("resnet20")
    indices = prune(build(dense, 0), dense, "random", (2,) * 9, 0).indices
    assert len({indices[f"stage3.block{block}.conv1"] for block in (1, 2, 3)}) > 1


def test_the_architecture_remembers_the_weights_it_was_made_from_and_leaves_them_alone() -> None:
    dense = spec()
    network = build(dense, 0)
    before = fingerprint(network)
    assert prune(network, dense, "l1", half(dense), 0).fingerprint == before == fingerprint(network)


def test_a_diverged_network_is_refused_with_the_name_of_the_group() -> None:
    dense = spec()
    network = build(dense, 0)
    with torch.no_grad():
        network.get_parameter("features.conv3.weight")[2, 0, 0, 0] = float("nan")
    with pytest.raises(PruningError, match=r"features\.conv3: the scores of 1 of 64 channels are not a number"):
        prune(network, dense, "l1", half(dense), 0)


@pytest.mark.parametrize("width", [0, 17])
def test_widths_that_do_not_fit_a_group_are_refused_with_its_name(width: int) -> None:
    dense = spec()
    with pytest.raises(PruningError, match=r"features\.conv1: a group must keep at least one channel"):
        prune(build(dense, 0), dense, "l1", (width, *dense.widths[1:]), 0)


def test_too_few_widths_are_refused() -> None:
    dense = spec()
    with pytest.raises(PruningError, match="8 channel groups and needs one width for each; found 2"):
        prune(build(dense, 0), dense, "l1", (1, 1), 0)


def test_a_specification_of_another_network_is_refused() -> None:
    dense = spec()
    with pytest.raises(PruningError, match="its specification says"):
        prune(build(dense, 0), replace(dense, widths=half(dense)), "l1", half(dense), 0)


def test_an_unknown_method_is_refused() -> None:
    dense = spec()
    with pytest.raises(UnknownNameError, match="no method is called 'l3'"):
        prune(build(dense, 0), dense, "l3", half(dense), 0)


def test_a_network_without_groups_is_refused() -> None:
    with pytest.raises(PruningError, match="which of its channels go together"):
        prune(nn.Linear(2, 2), spec(), "l1", (), 0)


class TestTraced:
    """Networks from elsewhere, whose groups were traced."""

    DENSE = NetworkSpec(name="nets:build", width=1.0, widths=(12, 10), classes=4, shape=(3, 8, 8))

    def test_all_weights_that_compute_a_channel_count(self) -> None:
        network = residual()
        architecture = prune_traced(network, TRACED, self.DENSE, "l1", (5, 10), seed=0)
        stem, outer = (network.get_parameter(f"{name}.weight").abs().sum((1, 2, 3)) for name in ("stem", "outer"))
        best = (stem / stem.mean() + outer / outer.mean()).topk(5).indices.sort().values
        assert architecture.indices == {"stem": tuple(best.tolist()), "inner": tuple(range(10))}
        assert architecture.dense == self.DENSE and architecture.fingerprint == fingerprint(network)
        assert all(entry.slices for entry in architecture.kept)

    def test_draws_of_a_seeded_method_follow_the_seed(self) -> None:
        network = residual()
        first, again, other = (prune_traced(network, TRACED, self.DENSE, "random", (5, 5), seed) for seed in (0, 0, 1))
        assert first == again != other

    @pytest.mark.parametrize("widths", [(5,), (5, 5, 5), (0, 5), (13, 5)])
    def test_widths_that_do_not_fit_are_refused(self, widths: tuple[int, ...]) -> None:
        network = residual()
        with pytest.raises(PruningError):
            prune_traced(network, TRACED, self.DENSE, "l1", widths, seed=0)

    def test_a_specification_of_another_network_is_refused(self) -> None:
        network = residual()
        with pytest.raises(PruningError, match="its specification says"):
            prune_traced(network, TRACED, replace(self.DENSE, widths=(12, 11)), "l1", (5, 5), seed=0)
