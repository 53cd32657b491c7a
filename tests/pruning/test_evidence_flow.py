from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.pruning.evidence_flow import flow
from regrow.pruning.evidence_look import Look

from .examples import examples, state_of
from .examples import same as unchanged


def look(network: nn.Module, *names: str, example: Tensor | None = None) -> Look:
    return Look(network=network, criterion="synflow", names=names, example=example)


def test_two_linear_layers_by_hand() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
        network[2].weight.copy_(torch.tensor([[-1.0, 4.0]]))
    found = flow(look(network, "0.weight", "2.weight", example=torch.zeros(5, 2)))
    # Ones in: the hidden units hold 3 and 3; R = 1 * 3 + 4 * 3 = 15.
    assert found["2.weight"].tolist() == [[3.0, 3.0]]
    assert found["0.weight"].tolist() == [[1.0, 1.0], [4.0, 4.0]]


def test_the_flow_through_every_layer_is_the_same_whatever_norms_and_biases_do() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.ConvTranspose2d(5, 4, 2), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(100, 6)),
        *(nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 3)),
    )
    with torch.no_grad():
        network[1].running_mean.fill_(-7)
        network[1].running_var.fill_(4)
        network[1].weight.uniform_(-1, 1)
    names = ("0.weight", "1.weight", "4.weight", "8.weight", "9.weight", "11.weight")
    found = flow(look(network, *names, example=torch.zeros(1, 2, 8, 8)))
    through = [float((network.get_parameter(name).detach().abs() * found[name]).sum()) for name in names]
    assert through == pytest.approx([through[0]] * len(names), rel=1e-9) and through[0] > 0


def test_a_hundred_layers_stay_in_range_and_the_network_as_it_was() -> None:
    network = nn.Sequential(*(nn.Linear(300, 300) for _ in range(100)))
    before = state_of(network)
    found = flow(look(network, "0.weight", example=torch.zeros(1, 300)))["0.weight"]
    assert found.dtype == torch.float64 and bool(found.isfinite().all())
    assert unchanged(before, state_of(network))


def test_what_leaves_double_precision_is_refused() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1e38)

    class Cubed(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            result: Tensor = network(values) ** 9
            return result

    cubed = Cubed()
    cubed.inner = network
    with pytest.raises(PruningError, match=r"flow through inner\.0\.weight is not finite"):
        flow(look(cubed, "inner.0.weight", example=torch.zeros(1, 2)))


def test_the_shape_of_an_input_must_be_known_from_an_example_or_a_batch() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    with pytest.raises(PruningError, match=r"synflow .* Pass example="):
        flow(look(network, "1.weight"))
    batches = Look(network=network, criterion="synflow", names=("1.weight",), batches=examples())
    assert torch.equal(flow(batches)["1.weight"], torch.ones(3, 128, dtype=torch.float64))
