from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.errors import PruningError
from regrow.pruning.evidence_inputs import input_norm
from regrow.pruning.evidence_look import Look, resting

from .examples import NAMES, examples, kinds, one_batch, same, state_of


def norms(network: nn.Module, *names: str, batches: list[tuple[Tensor, Tensor]] | None = None) -> dict[str, Tensor]:
    look = Look(network=network, criterion="wanda", names=names, batches=batches or examples())
    with resting(network):
        return input_norm(look)


def test_norms_of_every_kind_of_layer_are_those_of_its_inputs_seen_by_hooks() -> None:
    network = kinds().eval()
    seen: dict[str, Tensor] = {}
    layers = {name: network.get_submodule(name.removesuffix(".weight")) for name in NAMES}
    handles = [
        layer.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0].detach().clone()}))
        for name, layer in layers.items()
    ]
    network(one_batch(examples())[0])
    for handle in handles:
        handle.remove()
    found = norms(network, *NAMES)
    for name in NAMES:
        of_inputs = seen[name].transpose(0, 1).flatten(1).norm(dim=1) / 8**0.5
        weight = network.get_parameter(name)
        if name == "up.weight":
            wanted = of_inputs.reshape(6, 1, 1, 1)
        elif name in ("deep.weight", "grouped.weight"):
            groups = 6 if name == "deep.weight" else 2
            wanted = of_inputs.reshape(groups, -1).repeat_interleave(6 // groups, 0).reshape(6, -1, 1, 1)
        else:
            wanted = of_inputs.reshape(1, -1, *[1] * (weight.ndim - 2))
        torch.testing.assert_close(found[name], wanted, rtol=1e-5, atol=1e-6)
        assert torch.broadcast_shapes(found[name].shape, weight.shape) == weight.shape


def test_the_rule_of_the_source_by_hand() -> None:
    layer = nn.Linear(2, 3)
    batches = [(torch.tensor([[3.0, 1.0], [4.0, 0.0]]), torch.tensor([0, 1]))]
    torch.testing.assert_close(norms(layer, "weight", batches=batches)["weight"], torch.tensor([[5.0, 1.0]]) / 2**0.5)


def test_weights_that_functions_use_are_seen_whichever_way_they_stand() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.across = nn.Parameter(torch.randn(8, 5))
            self.along = nn.Parameter(torch.randn(3, 5))

        def forward(self, images: Tensor) -> Tensor:
            return functional.linear(images.mean(dim=1) @ self.across, self.along).mean(dim=1)

    found = norms(Plain(), "across", "along")
    assert found["across"].shape == (8, 1) and found["along"].shape == (1, 5)


def test_projections_inside_attention_are_seen_and_its_fast_path_comes_back() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images: Tensor) -> Tensor:
            tokens = images.flatten(1, 2)
            return self.mix(tokens, tokens, tokens, need_weights=False)[0].mean(dim=1)

    network = Attention()
    before = state_of(network)
    found = norms(network, "mix.in_proj_weight", "mix.out_proj.weight")
    tokens = one_batch(examples())[0].flatten(0, 2)
    torch.testing.assert_close(found["mix.in_proj_weight"], (tokens.norm(dim=0) / 8**0.5)[None])
    assert found["mix.out_proj.weight"].shape == (1, 8)
    assert same(before, state_of(network)) and torch.backends.mha.get_fastpath_enabled()


def test_a_weight_that_multiplies_nothing_is_named() -> None:
    with pytest.raises(PruningError, match=r"multiplies nothing with norm\.weight itself"):
        norms(kinds(), "first.weight", "norm.weight")
