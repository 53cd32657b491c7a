from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.zoo import NETWORKS
from regrow.pruning.anything import prune_network

from .random_networks import random_network
from .traced import Small, look, x
from .zoo_networks import SHAPE, small_spec


class Net(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, value: Tensor) -> Tensor:
        result: Tensor = self.b(self.a(value).relu())
        return result


def layers() -> dict[str, nn.Module]:
    return {"a": nn.Linear(6, 8), "b": nn.Linear(8, 3)}


def test_a_group_is_where_its_channels_are_computed_and_read() -> None:
    found = look(lambda n, y: n.b(n.a(y)), x(2, 6), **layers())
    assert found.places == {"a": {("a.weight", 0), ("a.bias", 0), ("b.weight", 1)}}
    assert found.tracing.on == "meta" and found.tracing.links == () and found.tracing.notes == ()


# ------------------------------------------------------------------ constructs, each with its groups and what stays

IMAGE, TOKENS = (2, 3, 8, 8), (2, 5, 6)
C = nn.Conv2d


def chain(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*copy.deepcopy(layers))


def small(call: Callable[..., Any], **parts: Any) -> Callable[[], nn.Module]:
    return lambda: Small(call, **copy.deepcopy(parts))


POOL = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, int], str]] = {
    # name: network, input shape, groups by name, the reason of the first weight that stays (the output apart)
    "two layers": (Net, (2, 6), {"a": 8}, ""),
    "convolutions": (chain(C(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), C(8, 5, 3), POOL, nn.Linear(5, 2)), IMAGE, {"0": 8, "3": 5}, ""),
    "flattened": (chain(C(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)), IMAGE, {"0": 4}, ""),
    "depthwise": (chain(C(3, 8, 1), C(8, 8, 3, groups=8), POOL, nn.Linear(8, 2)), IMAGE, {"0": 8}, ""),
    "grouped": (chain(C(3, 8, 1), C(8, 8, 3, groups=2), POOL, nn.Linear(8, 2)), IMAGE, {"0": 4, "0#2": 2, "1": 4}, ""),
    "transposed": (chain(C(3, 8, 1), nn.ConvTranspose2d(8, 5, 2), POOL, nn.Linear(5, 2)), IMAGE, {"0": 8, "1": 5}, ""),
    "residual": (
        small(lambda n, y: n.h(n.a(y) + n.c(n.a(y))), a=nn.Linear(6, 8), c=nn.Linear(8, 8), h=nn.Linear(8, 3)),
        (2, 6),
        {"a": 8},
        "",
    ),
    "concatenation": (
        small(lambda n, y: n.h(torch.cat([n.a(y), n.c(y)], 1)), a=nn.Linear(6, 8), c=nn.Linear(6, 4), h=nn.Linear(12, 3)),
        (2, 6),
        {"a": 8, "c": 4},
        "",
    ),
    "raw parameters": (small(lambda n, y: (y @ n.w).relu() @ n.v, w=nn.Parameter(x(6, 8)), v=nn.Parameter(x(8, 3))), (2, 6), {"w": 8}, ""),
    "einsum": (
        small(lambda n, y: torch.einsum("bc,cd->bd", n.a(y), n.v), a=nn.Linear(6, 8), v=nn.Parameter(x(8, 3))),
        (2, 6),
        {"a": 8},
        "",
    ),
    "shared weights": (
        small(lambda n, y: n.h(n.c(n.c(n.a(y)))), a=nn.Linear(6, 8), c=nn.Linear(8, 8), h=nn.Linear(8, 3)),
        (2, 6),
        {"a": 8},
        "",
    ),
    "gated": (chain(nn.Linear(6, 16), nn.GLU(), nn.Linear(8, 3)), (2, 6), {"0": 8}, ""),
    "pixel shuffle": (chain(C(3, 16, 1), nn.PixelShuffle(2), POOL, nn.Linear(4, 2)), IMAGE, {"0": 4}, ""),
    "layer norm": (chain(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)), (2, 6), {"0": 8}, ""),
    "lstm": (small(lambda n, y: n.h(n.r(y)[0]), r=nn.LSTM(6, 8), h=nn.Linear(8, 3)), TOKENS, {"r.weight_ih_l0": 8}, ""),
    "gru": (small(lambda n, y: n.h(n.r(y)[0]), r=nn.GRU(6, 8), h=nn.Linear(8, 3)), TOKENS, {"r.weight_ih_l0": 8}, ""),
    "softmax over channels": (
        chain(nn.Linear(6, 8), nn.Softmax(-1), nn.Linear(8, 3)),
        (2, 6),
        {},
        "1: is a softmax axis: all its values depend on each other",
    ),
    "a mean over channels": (
        small(lambda n, y: n.b(n.a(y) * n.a(y).mean(1, keepdim=True)), **layers()),
        (2, 6),
        {},
        "the network itself: a mean over it is used as a value",
    ),
    "a number in the code": (
        small(lambda n, y: n.b(n.a(y).reshape(2, 8)), **layers()),
        (2, 6),
        {},
        "the network itself: reshape writes the number 8",
    ),
    "added to the input": (
        small(lambda n, y: n.b(n.a(y) + y), a=nn.Linear(6, 6), b=nn.Linear(6, 3)),
        (2, 6),
        {},
        "the network itself: meets a constant",
    ),
    "picked": (
        small(lambda n, y: n.b(n.a(y)[:, torch.tensor([3, 1])]), a=nn.Linear(6, 8), b=nn.Linear(2, 3)),
        (2, 6),
        {},
        "the network itself: is picked from by index",
    ),
    "activations that do not vanish": (
        small(lambda n, y: n.b(n.a(y).exp() @ n.c(y).exp().mT), a=nn.Linear(6, 8), c=nn.Linear(6, 8), b=nn.Linear(5, 3)),
        TOKENS,
        {},
        "the network itself: is summed over, and its silent channels would not add 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_construct_has_its_groups_or_its_reason(name: str) -> None:
    make, shape, groups, reason = CASES[name]
    tracing = trace(make(), x(*shape))
    assert {group.name: group.channels for group in tracing.groups} == groups
    reasons = [one.reason for one in tracing.frozen if "output of the network" not in one.reason]
    assert reasons[:1] == ([reason] if reason else [])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2]])
def test_each_construct_is_pruned_exactly(name: str) -> None:
    make, shape, _, _ = CASES[name]
    found = prune_network(make().double(), x(*shape).double(), fraction={"*": 0.5})
    assert found.verification.verified


def test_the_output_stays_and_says_so() -> None:
    (frozen,) = trace(Net(), x(2, 6)).frozen
    assert (frozen.what, frozen.channels, frozen.reason) == ("b.weight", 3, "the network: is the output of the network")


@pytest.mark.parametrize("seed", range(60))
def test_networks_by_chance_are_pruned_exactly(seed: int) -> None:
    network = random_network(seed, steps=2 + seed % 5)
    inputs = x(2, 4, 5).double()
    tracing = trace(network, inputs)
    if not tracing.groups:
        assert all(one.reason for one in tracing.frozen)
        return
    found = prune_network(network, inputs, fraction={"*": (0.25, 0.5, 0.75)[seed % 3]})
    assert found.verification.verified, str(found.verification)
    assert found.verification.error is not None and found.verification.error < 1e-10
    found.network.train()(inputs).sum().backward()


# ------------------------------------------------------------------ inputs and outputs


def test_inputs_are_a_tensor_a_tuple_or_keywords() -> None:
    call = lambda n, y, scale=1.0: n.b(n.a(y) * scale)  # noqa: E731
    for inputs in (x(2, 6), (x(2, 6), 2.0), {"y": x(2, 6), "scale": x(1)}):
        assert [group.name for group in trace(Small(call, **layers()), inputs).groups] == ["a"]


def test_outputs_may_be_chosen() -> None:
    network = Small(lambda n, y: (n.b(n.a(y)), n.c(n.a(y))), **layers(), c=nn.Linear(8, 5))
    assert [group.name for group in trace(network, x(2, 6)).groups] == ["a"]
    assert [group.name for group in trace(network, x(2, 6), outputs=lambda result: result[0]).groups] == ["a", "c"]


def test_what_of_a_named_output_may_change_is_noted() -> None:
    class Record(dict[str, Any]):
        def to_tuple(self) -> tuple[Any, ...]:
            return tuple(self.values())

    network = Small(lambda n, y: Record(logits=n.b(n.a(y)), hidden_states=n.a(y)), **layers())
    tracing = trace(network, x(2, 6))
    assert [group.name for group in tracing.groups] == ["a"]
    assert tracing.notes == ("the output hidden_states may change its width",)


def test_a_network_that_cannot_run_is_refused_with_its_own_words() -> None:
    with pytest.raises(PruningError, match=r"cannot run on the example inputs\. RuntimeError: .*cannot be multiplied"):
        trace(Net(), x(2, 5))
    with pytest.raises(PruningError, match=r"cannot run on the example inputs\. "):
        trace(Net().to("meta"), x(2, 5))


def test_a_network_that_cannot_be_copied_is_told_what_to_do() -> None:
    network = Net()
    network.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(PruningError, match=r"Net cannot be copied .*Give the class a __deepcopy__ method"):
        trace(network, x(2, 6))


# ------------------------------------------------------------------ what it runs on


def test_a_network_on_meta_is_traced_without_numbers() -> None:
    with torch.device("meta"):
        network = Net()
    assert trace(network, torch.empty(2, 6)).on == "meta"


def test_code_that_looks_at_numbers_is_traced_on_its_own() -> None:
    found = look(lambda n, y: n.b(n.a(y) if float(n.a(y).sum()) > -1e9 else y), x(2, 6), **layers())
    assert found.tracing.on == "values" and found.groups == {"a": 8}
    with torch.device("meta"):
        network = Small(lambda n, y: n.b(n.a(y) if float(n.a(y).sum()) > 0 else y), **layers())
    with pytest.raises(PruningError, match="cannot run on the example inputs"):
        trace(network, x(2, 6))


@pytest.mark.parametrize("looks", [False, True])
def test_the_network_and_the_caller_s_random_numbers_are_left_alone(looks: bool) -> None:
    def forward(n: Any, y: Tensor) -> Tensor:
        hidden = F.dropout(n.n(n.a(y)), 0.5, n.training)
        if n.training and looks and float(hidden.sum()) > -1e9:
            hidden = hidden + torch.rand(())
        result: Tensor = n.b(hidden)
        return result

    network = Small(forward, **layers(), n=nn.BatchNorm1d(8), width=8).train()
    network.n.eval()
    state = {
        name: (id(tensor), tensor.clone()) for name, tensor in [*network.named_parameters(), *network.named_buffers()]
    }
    seed, value = torch.get_rng_state(), x(2, 6)
    trace(network, value)
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        assert state[name][0] == id(tensor) and torch.equal(state[name][1], tensor) and tensor.__dict__ == {}
    assert network.training and not network.n.training
    assert type(network.width) is int and type(network.a.in_features) is int and value.__dict__ == {}
    assert torch.equal(torch.get_rng_state(), seed) and torch.backends.mha.get_fastpath_enabled()


def test_one_trace_does_not_disturb_the_next() -> None:
    network = Net()
    first, second = trace(network, x(2, 6)), trace(network, x(2, 6))
    assert first.groups == second.groups and first.frozen == second.frozen


# ------------------------------------------------------------------ train mode


class WithHead(nn.Module):
    """As GoogLeNet: a second head that only training uses."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.aux = nn.Linear(6, 8), nn.Linear(8, 3), nn.Linear(8, 4)
        self.dropout = nn.Dropout()

    def forward(self, value: Tensor) -> Any:
        hidden = self.a(value)
        return (self.b(hidden), self.aux(hidden)) if self.training else self.b(hidden)


class Inherits(WithHead):
    """Its forward is its parent's."""


class AlsoDrops(WithHead):
    """Mentions dropout in the same breath."""

    def forward(self, value: Tensor) -> Any:
        hidden = F.dropout(self.dropout(self.a(value)), training=self.training)
        if not self.training:
            return self.b(hidden)
        return self.b(hidden), self.aux(hidden)


@pytest.mark.parametrize("kind", [WithHead, Inherits, AlsoDrops])
def test_a_head_that_only_training_uses_is_found(kind: type[nn.Module]) -> None:
    network = kind()
    tracing = trace(network, x(2, 6))
    assert ("aux.weight", 1) in {(part.tensor, part.axis) for part in tracing.groups[0].slices}
    found = prune_network(network, x(2, 6))
    assert found.verification.verified
    main, aux = found.network.train()(x(2, 6))
    assert main.shape == (2, 3) and aux.shape == (2, 4)


class Demanding(WithHead):
    """Trains on labels only."""

    def forward(self, value: Tensor) -> Any:
        if self.training:
            raise ValueError("no labels were given\nand more")
        return self.b(self.a(value))


def test_train_mode_that_cannot_run_is_noted() -> None:
    tracing = trace(Demanding(), x(2, 6))
    assert tracing.notes == ("train mode could not be traced (ValueError: no labels were given)",)
    assert [group.name for group in tracing.groups] == ["a"]


# ------------------------------------------------------------------ what may be inexact


class GlobalResponseNorm(nn.Module):
    """ConvNeXt V2's: every channel over the mean length of all."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, value: Tensor) -> Tensor:
        length = value.norm(dim=1, keepdim=True)
        return value + self.weight * value * length / (length.mean(-1, keepdim=True) + 1e-6)


class GRN(GlobalResponseNorm):
    """The same, by another name."""


@pytest.mark.parametrize("pattern", ["grn", "GRN", "g*", "GR?"])
def test_statistics_over_channels_go_only_where_it_is_allowed(pattern: str) -> None:
    def network() -> nn.Module:
        return Small(lambda n, y: n.b(n.grn(n.a(y)).mean(1)), **layers(), grn=GRN())

    tracing = trace(network(), x(*TOKENS))
    assert tracing.groups == () and tracing.frozen[0].reason == "grn: a mean over it is used as a value"
    allowed = trace(network(), x(*TOKENS), allow_inexact=[pattern])
    assert [group.name for group in allowed.groups] == ["a"]
    assert allowed.notes == ("grn: statistics over the kept channels",)


def test_a_module_named_like_a_norm_may_take_its_statistics() -> None:
    class MyLayerNorm(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return (value - value.mean(-1, keepdim=True)) / (value.var(-1, keepdim=True) + 1e-6).sqrt()

    found = look(lambda n, y: n.b(n.g(n.a(y))), x(2, 6), **layers(), g=MyLayerNorm())
    assert found.groups == {"a": 8} and found.tracing.notes == ("g: statistics over the kept channels",)


# ------------------------------------------------------------------ operations without a rule


@torch.library.custom_op("regrow_tests::reversed", mutates_args=())
def reversed_channels(value: Tensor) -> Tensor:
    """An operation that nobody knows."""
    return value.flip(-1).contiguous()


@reversed_channels.register_fake
def _(value: Tensor) -> Tensor:
    return torch.empty_like(value)


def test_an_unknown_operation_keeps_what_it_touches_and_is_named() -> None:
    found = look(
        lambda n, y: n.c(n.b(reversed_channels(n.a(y)))),
        x(2, 6),
        a=nn.Linear(6, 8),
        b=nn.Linear(8, 4),
        c=nn.Linear(4, 3),
    )
    assert found.groups == {"b": 4}
    reason = "the network itself: there is no rule for the operation regrow_tests::reversed"
    assert found.frozen == {"a.weight": (8, reason)}


# ------------------------------------------------------------------ parts written over


@pytest.mark.parametrize(
    ("write", "groups"),
    [
        (lambda y: y[:, 0].add_(1.0), {}),
        (lambda y: y[:, 0].copy_(torch.ones(8, device=y.device)), {}),
        (lambda y: y[:, 0].mul_(2.0), {"a": 8}),
        (lambda y: y[:, 0].fill_(0.0), {"a": 8}),
    ],
)
def test_a_sum_over_channels_knows_what_was_written_into_a_part(
    write: Callable[[Tensor], Any], groups: dict[str, int]
) -> None:
    def forward(n: Any, y: Tensor) -> Tensor:
        hidden = n.a(y)
        write(hidden)
        result: Tensor = n.b(hidden.sum(2))
        return result

    assert look(forward, x(2, 5, 6), a=nn.Linear(6, 8), b=nn.Linear(5, 3)).groups == groups


# ------------------------------------------------------------------ links


def test_multi_head_attention_keeps_the_share_of_its_width_and_its_heads() -> None:
    found = look(
        lambda n, y: n.o(n.m(n.a(y), n.a(y), n.a(y))[0]),
        x(*TOKENS),
        a=nn.Linear(6, 8),
        m=nn.MultiheadAttention(8, 2, batch_first=True),
        o=nn.Linear(8, 3),
    )
    groups, (link,) = found.tracing.groups, found.tracing.links
    assert sorted(groups[member].channels for member in link) == [4, 4, 8]
    halves = [group.channels // 2 if number in link else group.channels for number, group in enumerate(groups)]
    assert {(one.attribute, one.small) for one in found.tracing.corrections(halves)} >= {("embed_dim", 4)}
    halves[link[0]] += 1
    with pytest.raises(PruningError, match="these widths do not fit together: m computes one size from another"):
        found.tracing.corrections(halves)


# ------------------------------------------------------------------ the zoo declares what is traced


@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_zoo_declares_is_what_is_traced(name: str) -> None:
    """Every channel that a network declares removes the positions of whole traced channels, and no others."""
    network = build(small_spec(name), 0)
    traced: dict[tuple[str, int, int], tuple[int, int]] = {}
    extent: dict[tuple[int, int], set[tuple[str, int, int]]] = {}
    for number, group in enumerate(trace(network, torch.zeros(1, *SHAPE)).groups):
        for part in group.slices:
            for offset, channel in enumerate(part.channels_at(group.channels)):
                place = (part.tensor, part.axis, part.start + offset)
                traced[place] = (number, channel)
                extent.setdefault((number, channel), set()).add(place)
    for group in channel_groups(network):
        declared: dict[int, set[tuple[str, int, int]]] = {}
        for part in group.slices:
            for offset, channel in enumerate(part.channels_at(group.channels)):
                declared.setdefault(channel, set()).add((part.tensor, part.axis, part.start + offset))
        for channel, places in declared.items():
            owners = {traced.get(place) for place in places}
            assert None not in owners, f"{group.name} removes positions that the trace keeps"
            assert set().union(*(extent[owner] for owner in owners if owner)) == places, (
                f"{group.name} channel {channel}"
            )
