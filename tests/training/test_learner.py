"""Steps and measurements: exactly what a loop written by hand gives, and means over examples."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from regrow.data.stream import batches
from regrow.training.compute import Compute
from regrow.training.learner import Learner, Outcomes, open_fabric
from tests.training.samples import PLAIN, examples, network, recipe, same_bits, stream

RATES = [0.1, 0.05, 0.02, 0.01]


def by_hand(net: nn.Module, precision: str) -> nn.Module:
    """One epoch in plain PyTorch, not fused."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9, weight_decay=1e-4, foreach=False, fused=False)
    net.train()
    for (images, labels), rate in zip(stream().epoch(0), RATES, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = net(images)
        cross_entropy(outputs.float(), labels, label_smoothing=0.1).backward()
        optimizer.step()
    return net


def learner(net: nn.Module, compute: Compute = PLAIN) -> Learner:
    return Learner(net, recipe(label_smoothing=0.1), compute, open_fabric(compute))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_epoch_is_that_of_plain_pytorch(precision: str) -> None:
    net = network()
    learner(net, Compute.from_json({"precision": precision})).learn(stream().epoch(0), RATES)
    expected = by_hand(network(), precision).state_dict()
    # Fused optimisers may round once where the plain one rounds twice; bf16 then magnifies the last bit.
    tolerance = 1e-6 if precision == "fp32" else 1e-3
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=tolerance, rtol=tolerance)


def test_bf16_is_another_arithmetic_on_the_same_fp32_weights() -> None:
    plain, short = network(), network()
    learner(plain).learn(stream().epoch(0), RATES)
    learner(short, Compute(precision="bf16")).learn(stream().epoch(0), RATES)
    assert not same_bits(plain, short)
    assert all(tensor.dtype == torch.float32 for tensor in short.parameters())


def test_channels_last_is_a_layout_of_the_same_numbers() -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    learner(net, Compute(channels_last=True))
    assert net[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert not net[3].weight.is_contiguous()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_scores_are_means_over_examples_not_over_batches() -> None:
    found = Outcomes(
        losses=[torch.tensor(1.0), torch.tensor(4.0)],
        predictions=[torch.tensor([0, 1]), torch.tensor([2])],
        labels=[torch.tensor([0, 1]), torch.tensor([0])],
    )
    score = found.score()
    assert score.loss == 2.0
    assert score.accuracy == pytest.approx(200 / 3)


def test_a_rank_that_measured_nothing_adds_nothing() -> None:
    assert Outcomes().sums().tolist() == [0.0, 0.0, 0.0]
    some = Outcomes([torch.tensor(2.0)], [torch.tensor([0, 1])], [torch.tensor([0, 0])])
    assert some.sums().tolist() == [4.0, 1.0, 2.0]


def test_measuring_changes_nothing_and_does_not_smooth() -> None:
    net = network()
    taught = learner(net)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    some = examples(21)
    score = taught.measure(batches(some, 8, channels_last=False))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    ((images, labels),) = batches(some, 21, channels_last=False)
    with torch.no_grad():
        outputs = net.eval()(images)
    assert score.loss == pytest.approx(cross_entropy(outputs, labels).item(), rel=1e-5)
    assert score.accuracy == pytest.approx(100 * (outputs.argmax(1) == labels).float().mean().item(), rel=1e-5)


def test_a_tick_follows_every_step() -> None:
    ticks: list[int] = []
    learner(network()).learn(stream().epoch(0), RATES, lambda: ticks.append(1))
    assert len(ticks) == 4


def test_a_rate_too_few_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        learner(network()).learn(stream().epoch(0), RATES[:3])


@pytest.mark.parametrize("name", ["0.weight", "1.running_var"])
def test_weights_and_buffers_are_watched(name: str) -> None:
    net = network()
    taught = learner(net)
    assert taught.is_finite()
    net.state_dict()[name].view(-1)[0] = float("inf")
    assert not taught.is_finite()
