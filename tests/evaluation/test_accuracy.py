"""Accuracy: the whole test set, in fp32 and eval mode, whatever the network was doing before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regrow.data.prepare import prepare
from regrow.data.settings import DataSettings
from regrow.data.stream import batches
from regrow.data.test_set import open_test
from regrow.evaluation.accuracy import Evaluation, evaluate
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.training.compute import Compute

CPU = Compute()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    prepare(DataSettings(name="digits"), folder)
    return folder


@pytest.fixture
def network() -> nn.Module:
    spec = dense_spec(NetworkSettings(name="vgg11", width=0.125), classes=10, shape=(1, 8, 8))
    return build(spec, 0, "test")


class Always(nn.Module):
    """Gives the same logits to every example."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.inputs: list[torch.dtype] = []

    def forward(self, images: Tensor) -> Tensor:
        self.inputs.append((images @ images.mT).dtype)
        return self.logits.expand(len(images), -1)


def test_by_hand(digits: Path) -> None:
    labels = open_test(digits).labels
    found = evaluate(Always([0.0] * 3 + [1.0] + [0.0] * 6), digits, CPU)
    assert found.correct.tolist() == (labels == 3).tolist()
    assert found.accuracy == pytest.approx(100 * (labels == 3).float().mean().item())
    share, total = (labels == 3).double().mean(), torch.tensor(9 + torch.e).double().log()
    assert found.loss == pytest.approx(float(total - share), rel=1e-6)


def test_every_test_example_counts_once_and_in_order(digits: Path, network: nn.Module) -> None:
    examples = open_test(digits)
    network.eval()
    with torch.no_grad():
        ((images, labels),) = batches(examples, len(examples), channels_last=False)
        logits = network(images)
    found = evaluate(network, digits, CPU, batch=97)
    assert len(found.correct) == len(examples) >= 500
    assert found.correct.tolist() == (logits.argmax(1) == labels).tolist()
    assert found.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)


def test_equal_networks_give_equal_bits(digits: Path, network: nn.Module) -> None:
    first, second = evaluate(network, digits, CPU), evaluate(network, digits, CPU)
    assert first.loss == second.loss
    assert (first.correct == second.correct).all()


def test_it_measures_in_eval_mode_and_leaves_every_module_as_it_was(digits: Path, network: nn.Module) -> None:
    network.train()
    frozen = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    frozen.eval()
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, digits, CPU)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_modes_are_restored_when_the_network_fails(digits: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 10))
    with pytest.raises(RuntimeError, match="shapes"):
        evaluate(network, digits, CPU)
    assert network.training
    assert network[1].training


def test_it_computes_in_fp32_whatever_the_training_did(digits: Path) -> None:
    network = Always([1.0] + [0.0] * 9)
    with torch.autocast("cpu", torch.bfloat16):
        evaluate(network, digits, Compute(precision="bf16", channels_last=True))
    assert set(network.inputs) == {torch.float32}


def test_outputs_that_are_not_finite_are_wrong_and_have_no_loss(digits: Path) -> None:
    found = evaluate(Always([float("nan")] + [0.0] * 9), digits, CPU)
    assert isinstance(found, Evaluation)
    assert not found.correct.any()
    assert found.loss is None
