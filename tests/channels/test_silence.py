from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from regrow.channels.groups import keep_masks
from regrow.channels.onmeta import named_tensors
from regrow.channels.silence import DivergedError, Silence, SmallSize, silenced
from regrow.channels.sizes import Attribute, Size
from regrow.channels.trace import trace
from regrow.channels.watch import plain_functions

from .traced import Small, x


def silent(network: nn.Module, inputs: Any, kept: dict[str, list[int]], other: Any = None) -> Tensor:
    """The output of a network of which each group keeps the given channels (all, where it is not named), the others silent."""
    network = network.eval()
    tracing = trace(network, inputs)
    indices = [kept.get(group.name, list(range(group.channels))) for group in tracing.groups]
    point = tracing.at([len(chosen) for chosen in indices])
    masks = keep_masks(
        tracing.groups,
        {group.name: chosen for group, chosen in zip(tracing.groups, indices, strict=True)},
        dict(named_tensors(network)),
    )
    shell, stays = silenced(network, point), tracing.kept(indices)
    mode = Silence(shell, masks, tracing.journal, lambda ids: torch.from_numpy(stays(ids)), point)
    with torch.no_grad(), plain_functions(), mode:
        result: Tensor = shell(inputs if other is None else other)
    return result


def test_removed_channels_are_zero_and_the_others_as_they_were() -> None:
    torch.manual_seed(0)
    a, b = nn.Linear(6, 4), nn.Linear(4, 3)
    value = x(2, 6)
    found = silent(Small(lambda n, value: n.b(n.a(value).relu()), a=a, b=b), value, {"a": [0, 2]})
    hidden = a(value).relu() * torch.tensor([1.0, 0.0, 1.0, 0.0])
    torch.testing.assert_close(found, b(hidden))


def test_the_network_s_own_numbers_are_neither_copied_nor_changed() -> None:
    network = Small(lambda n, value: n.b(n.a(value)), a=nn.Linear(6, 4), b=nn.Linear(4, 3))
    before = network.a.weight.detach().clone()
    shell = silenced(network, trace(network, x(2, 6)).at([2]))
    assert shell.get_parameter("a.weight").data_ptr() == network.a.weight.data_ptr()
    silent(network, x(2, 6), {"a": [0]})
    assert torch.equal(network.a.weight, before) and network.a.weight.requires_grad


def test_numbers_of_the_copy_know_what_they_become_but_count_as_before() -> None:
    network = Small(lambda n, value: n.b(n.a(value).view(-1, n.width)), a=nn.Linear(6, 4), b=nn.Linear(4, 3), width=4)
    shell = silenced(network, trace(network, x(2, 6)).at([3]))
    assert isinstance(shell.width, SmallSize) and shell.width == 4 and shell.width.number() == 3
    assert type(network.width) is int and not shell.training


NORMS: dict[str, tuple[Callable[..., Any], Callable[[], nn.Module]]] = {
    "layer norm": (lambda g, y: g(y), lambda: nn.LayerNorm(4)),
    "layer norm without weights": (lambda g, y: g(y), lambda: nn.LayerNorm(4, elementwise_affine=False)),
    "layer norm without bias": (lambda g, y: g(y), lambda: nn.LayerNorm(4, bias=False)),
    "rms norm": (lambda g, y: g(y), lambda: nn.RMSNorm(4)),
    "rms norm as a function": (lambda g, y: F.rms_norm(y, g.normalized_shape, g.weight), lambda: nn.RMSNorm(4)),
    "group norm": (lambda g, y: g(y), lambda: nn.GroupNorm(1, 4)),
    "by keywords": (
        lambda g, y: F.layer_norm(input=y, normalized_shape=g.normalized_shape, weight=g.weight, bias=g.bias),
        lambda: nn.LayerNorm(4),
    ),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_take_their_statistics_over_the_kept_channels(name: str) -> None:
    call, make = NORMS[name]
    torch.manual_seed(0)
    a, b, g = nn.Linear(6, 4), nn.Linear(4, 3), make()
    for parameter in g.parameters():
        nn.init.uniform_(parameter)
    value, keep = x(5, 6), [0, 3]
    network = Small(lambda n, value: n.b(call(n.g, n.a(value))), a=a, b=b, g=g).double()
    value = value.double()
    found = silent(network, value, {"a": keep})
    small = a(value)[:, keep]
    parts = {key: part[keep] for key, part in g.named_parameters()}
    if isinstance(g, nn.GroupNorm):
        normed = F.group_norm(small, 1, **parts)
    elif isinstance(g, nn.RMSNorm):
        normed = F.rms_norm(small, (2,), **parts)
    else:
        normed = F.layer_norm(small, (2,), **parts)
    torch.testing.assert_close(found, F.linear(normed, b.weight[:, keep], b.bias), rtol=1e-10, atol=1e-12)


def test_groups_of_a_norm_of_which_nothing_is_left_are_gone() -> None:
    torch.manual_seed(0)
    a, b, g = nn.Linear(6, 6), nn.Linear(6, 3), nn.GroupNorm(3, 6)
    network = Small(lambda n, value: n.b(n.g(n.a(value))), a=a, b=b, g=g)
    groups = trace(network, x(2, 6)).groups
    blocks = next(group.name for group in groups if group.channels == 3)
    keep = [0, 1, 4, 5]
    found = silent(network, x(5, 6), {blocks: [0, 2]})
    normed = F.group_norm(a(x(5, 6))[:, keep], 2, g.weight[keep], g.bias[keep])
    torch.testing.assert_close(found, F.linear(normed, b.weight[:, keep], b.bias))


SCALES: dict[str, Callable[..., Any]] = {
    "default": lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
    "by keywords": lambda q, k, v: F.scaled_dot_product_attention(query=q, key=k, value=v),
    "by a power": lambda q, k, v: (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v,
    "by division": lambda q, k, v: (q @ k.mT / (q.size(-1) ** 0.5)).softmax(-1) @ v,
}


@pytest.mark.parametrize("name", SCALES)
def test_a_scale_that_is_computed_from_a_size_takes_the_small_one(name: str) -> None:
    torch.manual_seed(0)
    q, k, v, o = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(6, 4), nn.Linear(4, 3)
    network = Small(lambda n, y: n.o(SCALES[name](n.q(y), n.k(y), n.v(y))), q=q, k=k, v=v, o=o)
    value = x(2, 5, 6)
    found = silent(network, value, {"q": [1, 5]})
    expected = F.scaled_dot_product_attention(q(value)[..., [1, 5]], k(value)[..., [1, 5]], v(value))
    torch.testing.assert_close(found, o(expected))


def test_written_out_statistics_of_a_norm_layer_are_over_the_kept_channels() -> None:
    class RmsNorm(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return value * torch.rsqrt(value.square().mean(-1, keepdim=True) + 1e-6)

    torch.manual_seed(0)
    a, b = nn.Linear(6, 4), nn.Linear(4, 3)
    found = silent(Small(lambda n, y: n.b(n.g(n.a(y))), a=a, b=b, g=RmsNorm()), x(5, 6), {"a": [1, 2]})
    small = a(x(5, 6))[:, [1, 2]]
    expected = F.linear(small * torch.rsqrt(small.square().mean(-1, keepdim=True) + 1e-6), b.weight[:, [1, 2]], b.bias)
    torch.testing.assert_close(found, expected)


def test_a_filter_of_which_all_is_zero_stays_zero_under_weight_norm() -> None:
    torch.manual_seed(0)
    a, b = nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)), nn.Linear(4, 3)
    network = Small(lambda n, y: n.b(n.a(y)), a=a, b=b)
    name = trace(network, x(2, 6)).groups[0].name
    hidden = a(x(2, 6)).detach() * torch.tensor([1.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(silent(network, x(2, 6), {name: [0, 1]}), b(hidden))


def test_another_path_than_the_traced_one_is_noticed() -> None:
    def forward(n: Any, y: Tensor) -> Tensor:
        hidden = n.a(y)
        if float(y[0, 0]) > 0:
            hidden = hidden.relu()
        result: Tensor = n.b(F.layer_norm(hidden, (hidden.shape[-1],)))
        return result

    network = Small(forward, a=nn.Linear(6, 4), b=nn.Linear(4, 3))
    ones = torch.ones(2, 6)
    assert silent(network, ones, {"a": [0, 1]}).shape == (2, 3)
    with pytest.raises(DivergedError, match="call"):
        silent(network, ones, {"a": [0, 1]}, other=-ones)


def test_a_small_size_is_a_size() -> None:
    assert issubclass(SmallSize, Size) and Attribute("a", "b") == Attribute("a", "b")
