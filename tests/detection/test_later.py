"""Pruning a trained detector's backbone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture
from regrow.channels.carve import carve
from regrow.channels.groups import channel_groups
from regrow.channels.masks import axis_masks
from regrow.channels.trace import trace
from regrow.detection.batches import Batch
from regrow.detection.detector import Images, build_detector, trunk_of
from regrow.detection.later import NORM_BATCHES, check_pruning, kept_inputs, prune_later, refresh_norms
from regrow.detection.levels import levels_of
from regrow.detection.settings import DetectionSettings
from regrow.detection.sources import Source, study_sources
from regrow.detection.trunk import Trunk
from regrow.errors import PruningError
from regrow.networks.foreign import made_up_images
from regrow.pruning.decide import Amount, Subject, decide_channels
from regrow.pruning.prune import architecture_of, prune
from tests.detection.conftest import Finished, finish
from tests.detection.drawn import write_study
from tests.detection.networks import torchvision_network, zoo, zoo_spec

SMALL = DetectionSettings(root=Path("unused"), format="voc", image_size=64, channels=8, regions=16)


def zoo_architecture(name: str) -> tuple[nn.Module, Architecture]:
    network = zoo(name)
    subject = Subject(network=network, groups=channel_groups(network), example=made_up_images(zoo_spec(name)))
    return network, prune(subject, zoo_spec(name), "l1", Amount(fraction=0.5))[0]


def traced_architecture(name: str) -> tuple[nn.Module, Architecture]:
    network, example = torchvision_network(name), torch.zeros(1, 3, 64, 64)
    tracing = trace(network, example)
    subject = Subject(network=network, groups=tracing.groups, links=tracing.links, example=example, tracing=tracing)
    return network, architecture_of(subject, None, decide_channels(subject, "l1", Amount(fraction=0.5)))


def silenced(maps: dict[str, Tensor], kept: list[Tensor]) -> list[Tensor]:
    return [one.index_select(1, stays) for one, stays in zip(maps.values(), kept, strict=True)]


@pytest.mark.parametrize("name", ["vgg11", "resnet20", "preresnet20"])
def test_the_channels_of_a_map_that_stay_are_those_of_the_carved_network(name: str) -> None:
    network, architecture = zoo_architecture(name)
    check(network, architecture)


def test_they_are_found_in_networks_from_elsewhere_too() -> None:
    check(*traced_architecture("resnet18"))


def check(network: nn.Module, architecture: Architecture) -> None:
    """Every weight of a removed channel is zero, so the dense maps' channels that stay are the small network's maps."""
    levels, masks = levels_of(network, 3), axis_masks(network, architecture)
    kept = kept_inputs(network, masks, levels, 3)
    small = carve(network, architecture)
    assert [len(stays) for stays in kept] == [level.channels for level in levels_of(small, 3)]
    with torch.no_grad():
        for tensor_name, parameter in network.named_parameters():
            for axis, keep in masks.get(tensor_name, {}).items():
                parameter.index_fill_(axis, (~keep).nonzero().flatten(), 0)
    images = torch.rand(2, 3, 64, 64)
    whole, cut = (Trunk(one, levels_of(one, 3), 3, frozen_norms=True)(images) for one in (network, small))
    for one, other in zip(silenced(whole, kept), cut.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def dense_source(finished: Finished, seed: int = 0) -> Source:
    return study_sources(finished.study, finished.store, ["dense"]).found[seed]


def test_a_pruned_detector_has_the_studys_widths_and_the_rest_of_the_detector(finished: Finished) -> None:
    source = dense_source(finished)
    detector = build_detector(source.network(), source.images, 2, SMALL, 5)
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.001 * torch.randn(parameter.shape))  # as if it had been trained
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    after = prune_later(detector, source, 2, SMALL, 0)
    pruning = source.store.result(source.pruning.key) if source.pruning is not None else None
    assert pruning is not None
    assert list(trunk_of(after).network.widths) == pruning["widths"]  # type: ignore[arg-type]
    state = after.state_dict()
    kept = [name for name in state if "trunk" not in name]
    assert all(torch.equal(state[name], before[name]) for name in kept)  # stage outputs of this network are not pruned
    small = state["backbone.trunk.network.stage1.block1.conv1.weight"]
    dense = before["backbone.trunk.network.stage1.block1.conv1.weight"]
    order = dense.abs().sum(dim=(1, 2, 3)).topk(len(small)).indices.sort().values
    assert torch.equal(small, dense[order])
    with torch.no_grad():
        assert after.eval()([torch.rand(3, 64, 64)])[0]["boxes"].shape[1] == 4
    assert any(parameter.requires_grad for parameter in trunk_of(after).parameters())


def test_a_pyramid_loses_the_inputs_that_its_maps_lose(tmp_path: Path) -> None:
    file = write_study(tmp_path, seeds=1, epochs=1, count=8, width=0.0625, network="vgg11")
    source = dense_source(finish(file, tmp_path / "out"))
    detector = build_detector(source.network(), source.images, 2, SMALL, 0)
    dense = detector.state_dict()["backbone.pyramid.inner_blocks.0.0.weight"].clone()
    weights = trunk_of(detector).network.get_parameter("features.conv2.weight").detach().abs().sum(dim=(1, 2, 3))
    after = prune_later(detector, source, 2, SMALL, 0).state_dict()["backbone.pyramid.inner_blocks.0.0.weight"]
    assert after.shape[1] == dense.shape[1] // 2
    assert torch.equal(after, dense[:, weights.topk(after.shape[1]).indices.sort().values])


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"method": "taylor"}, "taylor needs classified images"),
        ({"method": "slimming"}, "slimming needs classified images, a training of its own"),
        ({"method": "somebody:else"}, "somebody:else needs"),
        ({"round": {"number": 2}}, "several rounds"),
        ({"amount": {"remove": "blocks"}}, "removes blocks here"),
    ],
)
def test_what_cannot_be_done_again_is_refused(finished: Finished, changes: dict[str, object], rule: str) -> None:
    pruning = dense_source(finished).pruning
    assert pruning is not None and check_pruning(pruning) is pruning
    with pytest.raises(PruningError, match=rule):
        check_pruning(replace(pruning, settings={**pruning.settings, **changes}))


def test_a_study_without_a_pruning_is_refused() -> None:
    with pytest.raises(PruningError, match="no pruning of its dense network on record"):
        check_pruning(None)


def test_norm_statistics_become_those_of_the_images_that_the_detector_sees() -> None:
    images = Images(channels=3, mean=(0.2, 0.3, 0.4), std=(0.5, 0.5, 0.5))
    detector = build_detector(zoo("resnet20"), images, 2, SMALL, 0).train()
    pictures = [[torch.rand(3, 64, 64) for _ in range(2)] for _ in range(3)]
    refresh_norms(detector, [(batch, []) for batch in pictures])
    stem = trunk_of(detector).network.get_submodule("stem.conv")
    shift, scale = (torch.tensor(values)[:, None, None] for values in (images.mean, images.std))
    with torch.no_grad():
        means = [stem((torch.stack(batch) - shift) / scale).mean(dim=(0, 2, 3)) for batch in pictures]
    found = trunk_of(detector).network.get_buffer("stem.norm.running_mean")
    torch.testing.assert_close(found, torch.stack(means).mean(0), rtol=1e-4, atol=1e-6)
    assert detector.training and not trunk_of(detector).network.get_submodule("stem.norm").training


def test_only_so_many_batches_are_read_for_norm_statistics() -> None:
    detector = build_detector(zoo("resnet20"), Images(channels=3, mean=(0.5,) * 3, std=(1.0,) * 3), 2, SMALL, 0)
    one: Batch = [torch.rand(3, 64, 64)] * 2, []
    batches = iter([one] * (NORM_BATCHES + 2))
    refresh_norms(detector, batches)
    assert len(list(batches)) == 2
