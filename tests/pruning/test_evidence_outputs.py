from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.pruning.evidence_look import Look, resting
from regrow.pruning.evidence_outputs import output_mean, output_rank

from .examples import NAMES, examples, kinds, one_batch, same, state_of


def look(network: nn.Module, *names: str, batches: Any = None) -> Look:
    return Look(network=network, criterion="mine", names=names, batches=batches or examples())


def test_outputs_are_taken_behind_the_norm_and_the_activation_of_every_kind_of_layer() -> None:
    network = kinds()
    before = state_of(network)
    with resting(network):
        found = output_mean(look(network, *NAMES))
    assert same(before, state_of(network))
    network.eval()
    images, _ = one_batch(examples())
    maps = functional.relu(network.norm(network.first(images)))
    deep = network.deep(maps)
    grouped = network.grouped(deep).tanh()
    up = network.after(network.up(grouped))
    hidden = functional.gelu(network.calm(network.hidden(up.mean(dim=(2, 3)))))
    wanted = {"first": maps, "deep": deep, "grouped": grouped, "up": up, "hidden": hidden, "head": network.head(hidden)}
    for name, output in wanted.items():
        mean = output.detach().double().abs().transpose(0, 1).flatten(1).mean(dim=1)
        torch.testing.assert_close(found[f"{name}.weight"], mean, rtol=1e-5, atol=1e-7)


def test_ranks_of_maps_by_hand() -> None:
    network = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1, 1))
        network.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    low = torch.outer(torch.arange(4.0), torch.ones(4))
    images = torch.stack([torch.eye(4), low])[:, None]
    found = output_rank(look(network, "weight", batches=[(images, torch.tensor([0, 1]))]))
    assert found["weight"].tolist() == [2.5, 1.0, 0.0]


def test_ranks_are_those_of_torch_one_by_one() -> None:
    network = kinds().eval()
    found = output_rank(look(network, "first.weight"))["first.weight"]
    maps = functional.relu(network.norm(network.first(one_batch(examples())[0]))).detach()
    wanted = [sum(int(torch.linalg.matrix_rank(one[channel])) for one in maps) / len(maps) for channel in range(6)]
    assert found.tolist() == wanted


def test_a_channel_without_a_map_has_rank_one_or_zero() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(128, 2), nn.ReLU())
    with torch.no_grad():
        network[1].bias.copy_(torch.tensor([100.0, -100.0]))
    assert output_rank(look(network, "1.weight"))["1.weight"].tolist() == [1.0, 0.0]


def test_a_layer_that_is_not_seen_at_work_is_left_out() -> None:
    network = kinds()
    network.spare = nn.Linear(2, 2)
    assert list(output_mean(look(network, "spare.weight", "first.weight"))) == ["first.weight"]


def test_activations_in_place_and_layers_that_are_used_twice_count_all_they_give() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(2, 2, 1, bias=False)

        def forward(self, images: Tensor) -> Tensor:
            first = self.layer(images).relu_()
            return self.layer(first * 3).relu_().mean(dim=(2, 3))

    network = Twice()
    with torch.no_grad():
        network.layer.weight.copy_(torch.eye(2).reshape(2, 2, 1, 1))
    images = torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1)
    found = output_mean(look(network, "layer.weight", batches=[(images, torch.tensor([0]))]))
    assert found["layer.weight"].tolist() == [2.0, 0.0]


def test_projections_inside_attention_are_seen() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images: Tensor) -> Tensor:
            tokens = images.flatten(1, 2)
            mixed: Tensor = self.mix(tokens, tokens, tokens, need_weights=False)[0]
            return mixed.mean(dim=1)

    network = Attention()
    with resting(network):
        found = output_mean(look(network, "mix.in_proj_weight", "mix.out_proj.weight"))
    tokens = one_batch(examples())[0].flatten(0, 2)
    projected = functional.linear(tokens, network.mix.in_proj_weight, network.mix.in_proj_bias).detach()
    torch.testing.assert_close(found["mix.in_proj_weight"], projected.abs().mean(dim=0).double(), rtol=1e-5, atol=1e-7)
    assert found["mix.out_proj.weight"].shape == (8,)
