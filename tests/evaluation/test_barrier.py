"""The loss barrier: zero between copies in another order, known where the loss is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.trace import trace
from regrow.data.examples import Examples
from regrow.errors import PruningError
from regrow.evaluation.barrier import POSITIONS, barrier, between, line
from regrow.evaluation.matching import match
from regrow.networks.build import build
from regrow.networks.foreign import made_up_images
from tests.evaluation.test_matching import lively, shuffled, spec


def examples(count: int) -> Examples:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 16, 16, 3), generator=random, dtype=torch.uint8)
    labels = torch.randint(0, 10, (count,), generator=random)
    return Examples(pixels.permute(0, 3, 1, 2), labels, (0.5,) * 3, (0.25,) * 3)


class Slope(nn.Module):
    """Two classes, logits 0 and `weight`."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, images: Tensor) -> Tensor:
        logit = self.weight.expand(len(images))
        return torch.stack([torch.zeros_like(logit), logit], 1)


def test_the_loss_on_the_line_is_that_of_the_averaged_weights() -> None:
    pixels = torch.zeros(6, 3, 4, 4, dtype=torch.uint8)
    held = Examples(pixels, torch.zeros(6, dtype=torch.int64), (0.5,) * 3, (0.5,) * 3)
    found = line(Slope(-2.0), Slope(3.0), held, channels_last=False)
    assert found == pytest.approx([math.log1p(math.exp(-2 + 5 * t)) for t in POSITIONS], abs=1e-6)
    assert barrier(found) == 0  # softplus is convex


def test_two_shuffled_copies_have_no_barrier_after_matching_and_one_before() -> None:
    one, images = lively(build(spec("vgg11"), 0, "a")), made_up_images(spec("vgg11"))
    groups, held = trace(one, images).groups, examples(96)
    teach(one, held)
    other = shuffled(one, groups)
    before = line(one, other, held, channels_last=False)
    after = line(one, match(one, other, groups, images).network, held, channels_last=False)
    assert before[0] == pytest.approx(before[-1], rel=1e-4)
    assert barrier(after) == pytest.approx(0, abs=1e-6)
    assert (barrier(before) or 0) > 0.1


def teach(network: nn.Module, held: Examples) -> None:
    """A few steps, so that the network knows its examples and averages of it do not."""
    images = (held.images.float() / 255 - 0.5) / 0.25
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    network.train()
    for _ in range(15):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), held.labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval()


def test_ends_of_the_line_are_the_networks_and_both_stay_as_they_are() -> None:
    one, two = (lively(build(spec("resnet20", 0.25), seed, "a")) for seed in (0, 1))
    before = {key: tensor.clone() for key, tensor in one.state_dict().items()}
    for end, position in ((one, 0.0), (two, 1.0)):
        point = between(one, two, position).state_dict()
        assert all(torch.equal(tensor, point[key]) for key, tensor in end.state_dict().items())
    line(one, two, examples(8), channels_last=False)
    assert all(torch.equal(before[key], tensor) for key, tensor in one.state_dict().items())


def test_statistics_are_those_of_the_point_itself() -> None:
    one = lively(build(spec("resnet20", 0.25), 0, "a"))
    wrong = lively(build(spec("resnet20", 0.25), 0, "a"))
    for module in wrong.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.add_(3.0)
    found = line(one, wrong, examples(32), channels_last=False)
    assert found == pytest.approx([found[0]] * len(POSITIONS), rel=1e-5)


def test_a_barrier_is_the_highest_rise_over_the_straight_line() -> None:
    losses: list[float | None] = [1.0 + 0.1 * place for place in range(11)]
    assert barrier(losses) == pytest.approx(0)
    assert barrier([*losses[:7], 2.5, *losses[8:]]) == pytest.approx(0.8)
    assert barrier([None, *losses[1:]]) is None


def test_networks_of_two_shapes_have_no_line() -> None:
    with pytest.raises(PruningError, match=r"one architecture; they differ in 0\.bias, 0\.weight"):
        between(nn.Sequential(nn.Linear(3, 4)), nn.Sequential(nn.Linear(3, 5)), 0.5)
