from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from regrow.channels.architecture import Architecture
from regrow.channels.carve import carve
from regrow.channels.trace import Tracing, trace
from regrow.channels.verify import ROUNDING, TOLERANCE, Verification, verify
from regrow.errors import PruningError
from regrow.pruning.anything import prune_network

from .traced import Small, x


class Convolutional(nn.Module):
    """Three layers of different kinds, with a residual between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.inner, self.outer = nn.Conv2d(8, 10, 3, padding=1), nn.Conv2d(10, 8, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        stream = self.norm(self.stem(images)).relu()
        stream = stream + self.outer(self.inner(stream).relu())
        result: Tensor = self.head(stream.mean((2, 3)))
        return result


class Attention(nn.Module):
    """Heads whose number and size are attributes, a default scale, and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.size = 2, 4
        self.embed, self.norm = nn.Linear(6, 8), nn.LayerNorm(8)
        self.qkv, self.out, self.head = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        stream = self.embed(tokens)
        b, n, _ = stream.shape
        q, k, v = self.qkv(self.norm(stream)).view(b, n, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, -1)
        result: Tensor = self.head((stream + self.out(mixed)).mean(1))
        return result


Case = tuple[nn.Module, nn.Module, Architecture, Tracing, Any]


def pruned(network: nn.Module, inputs: Any, **options: Any) -> Case:
    """A network without half of everything, not verified yet."""
    network = network.eval()
    found = prune_network(network, inputs, fraction={"*": 0.5}, verify=False, **options)
    return network, found.network, found.architecture, found.tracing, inputs


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_a_small_network_that_is_the_dense_one_without_channels_is_verified() -> None:
    result = verify(*pruned(Convolutional(), x(2, 3, 6, 6)))
    assert result.verified and result.error is not None and result.error < 1e-5
    assert result.tolerance == TOLERANCE[torch.float32] and result.allowed == ()
    assert str(result).startswith("verified: outputs differ by ") and str(result).endswith("(allowed: 1e-03)")


def test_in_double_precision_next_to_nothing_is_allowed() -> None:
    result = verify(*pruned(Convolutional().double(), x(2, 3, 6, 6).double()))
    assert result.verified and result.tolerance == 1e-8 and result.error is not None and result.error < 1e-12


def test_statistics_of_a_norm_and_a_default_scale_are_allowed_for_and_said() -> None:
    result = verify(*pruned(Attention().double(), x(2, 5, 6).double()))
    assert result.verified and result.error is not None and result.error < 1e-12
    assert result.allowed == (
        "norm: statistics over the kept channels",
        "numbers that the code computes from sizes, such as 1 / sqrt(head size), follow the new sizes",
    )


def test_both_networks_are_left_as_they_were() -> None:
    case = pruned(Convolutional(), x(2, 3, 6, 6))
    for network in case[:2]:
        network.train()
        network.get_submodule("norm").eval()
    before = [{name: tensor.clone() for name, tensor in network.state_dict().items()} for network in case[:2]]
    numbers = torch.get_rng_state()
    assert verify(*case).verified
    for network, state in zip(case[:2], before, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
        assert network.training and not network.get_submodule("norm").training
        assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), numbers)


def swap_rows(name: str) -> Callable[[nn.Module], None]:
    def sabotage(small: nn.Module) -> None:
        weight = small.get_parameter(name)
        weight[[0, 1]] = weight[[1, 0]].clone()

    return sabotage


def add(name: str, much: float) -> Callable[[nn.Module], None]:
    def sabotage(small: nn.Module) -> None:
        (dict(small.named_parameters()) | dict(small.named_buffers()))[name].view(-1)[0] += much

    return sabotage


SABOTAGES: dict[str, tuple[type[nn.Module], tuple[int, ...], Callable[[nn.Module], None], str]] = {
    "rows of a weight": (Convolutional, (2, 3, 6, 6), swap_rows("inner.weight"), "inner"),
    "a statistic of a norm": (Convolutional, (2, 3, 6, 6), add("norm.running_mean", 2.0), "norm"),
    "a bias of the head": (Convolutional, (2, 3, 6, 6), add("head.bias", 1.0), "head"),
    "rows of the queries": (Attention, (2, 5, 6), swap_rows("qkv.weight"), "qkv"),
    "a scale of a norm": (Attention, (2, 5, 6), add("norm.weight", 1.0), "norm"),
    "an output of the attention": (Attention, (2, 5, 6), swap_rows("out.weight"), "out"),
}


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_small_network_that_is_something_else_is_refused_at_the_module_where_it_parts(name: str) -> None:
    kind, shape, sabotage, place = SABOTAGES[name]
    case = pruned(kind(), x(*shape))
    with torch.no_grad():
        sabotage(case[1])
    with pytest.raises(
        PruningError, match=rf"does not compute what the dense one does.*they part at {place}\. "
    ) as error:
        verify(*case)
    assert "ignore=" in str(error.value)


def test_a_small_mistake_is_told_from_rounding_in_double_precision() -> None:
    case = pruned(Convolutional(), x(2, 3, 6, 6))
    with torch.no_grad():
        case[1].get_parameter("head.bias")[0] += 3e-5
    with pytest.raises(
        PruningError, match=r"outputs differ by .*e-05 of their largest number, more than rounding explains"
    ):
        verify(*case)


def large(n: Any, value: Tensor) -> Tensor:
    """Numbers of which the last digits are lost in one order, and the next in another."""
    return n.b(n.a(value) + n.c(value) * 3000.0) - n.b(n.c(value) * 3000.0)


def insisting(n: Any, value: Tensor) -> Tensor:
    """The same, in float32 whatever comes."""
    return large(n, value.to(torch.float32))


@pytest.mark.parametrize("call", [large, insisting])
def test_rounding_that_is_larger_than_usual_is_no_mistake(call: Callable[..., Any]) -> None:
    layers = {"a": nn.Linear(64, 512), "b": nn.Linear(512, 32), "c": nn.Linear(64, 512)}
    result = verify(*pruned(Small(call, **layers), x(4, 64)))
    assert result.verified and result.error is not None and ROUNDING < result.error < 1e-3


def test_code_may_ask_for_devices_and_types_as_often_as_it_likes() -> None:
    def asking(n: Any, value: Tensor) -> Tensor:
        if value.device.type == "meta":
            _ = value.dtype, value.ndim, value.device
        hidden = n.a(value)
        result: Tensor = n.b(F.layer_norm(hidden, (hidden.shape[-1],)))
        return result

    assert verify(*pruned(Small(asking, **layers()), x(2, 6))).verified


def test_a_wrong_correction_is_refused() -> None:
    """Three heads of one dimension and one of three have the same tensors; the number tells them apart."""
    network, _, architecture, tracing, inputs = pruned(Attention(), x(2, 5, 6))
    (heads,) = [one for one in architecture.corrections if one.attribute == "heads"]
    (size,) = [one for one in architecture.corrections if one.attribute == "size"]
    assert (heads.small, size.small) == (1, 2)
    small = carve(network, architecture)
    small.heads, small.size = size.small, heads.small
    with pytest.raises(PruningError, match="they part at out"):
        verify(network, small, architecture, tracing, inputs)


def test_a_small_network_that_cannot_run_is_refused_at_the_module_where_it_stopped() -> None:
    case = pruned(Convolutional(), x(2, 3, 6, 6))
    case[1].outer = nn.Conv2d(10, 4, 1)
    with pytest.raises(PruningError, match="cannot run on the example inputs: RuntimeError at outer"):
        verify(*case)


def test_outputs_of_another_shape_or_number_are_refused() -> None:
    network, small, architecture, tracing, inputs = pruned(Convolutional(), x(2, 3, 6, 6))
    for other in (lambda n, value: n.small(value)[:1], lambda n, value: (n.small(value), value)):
        with pytest.raises(PruningError, match="outputs differ by inf"):
            verify(network, Small(other, small=small), architecture, tracing, inputs)


def test_not_a_number_is_a_difference() -> None:
    case = pruned(Convolutional(), x(2, 3, 6, 6))
    with torch.no_grad():
        case[1].get_parameter("head.bias").fill_(float("nan"))
    with pytest.raises(PruningError, match="outputs differ by inf"):
        verify(*case)


def test_without_numbers_nothing_is_verified() -> None:
    with torch.device("meta"):
        case = pruned(Convolutional(), torch.empty(2, 3, 6, 6))
    result = verify(*case)
    assert not result.verified and result.error is None
    assert str(result) == "not verified: the network is on the meta device, where there are no numbers to compare"


def layers() -> dict[str, nn.Module]:
    return {"a": nn.Linear(6, 8, bias=False), "b": nn.Linear(8, 3, bias=False)}


def test_a_comparison_that_could_not_have_failed_is_no_verification() -> None:
    result = verify(*pruned(Small(lambda n, value: n.b(n.a(value)), **layers()), torch.zeros(2, 6)))
    assert (
        str(result)
        == "not verified: all outputs are zero, for these example inputs and these weights; give other inputs, or weights that were trained"
    )
    result = verify(*pruned(Small(lambda n, value: n.b(n.a(value)).argmax(1), **layers()), x(2, 6)))
    assert str(result) == "not verified: the network returns no floating-point numbers, and only these are compared"


class Fickle(nn.Module):
    """Reads a size, or does not, as a number of its inputs says; every other time the number is another one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, value: Tensor) -> Tensor:
        y = self.a(value)
        y = y.reshape(y.shape) if torch.rand(()) < 2 and float(value.sum()) > -1e9 else y
        result: Tensor = self.b(F.layer_norm(y, (y.shape[-1],)))
        return result


def test_code_that_looks_at_numbers_is_verified_along_the_path_of_the_example() -> None:
    case = pruned(Fickle(), x(2, 6))
    assert case[3].on == "values" and verify(*case).verified


def test_another_path_than_the_traced_one_cannot_be_verified() -> None:
    case = pruned(
        Small(
            lambda n, y: n.b(F.layer_norm(n.a(y) if float(y[0, 0]) > 0 else n.a(y).relu(), (n.width,))),
            width=8,
            **layers(),
        ),
        torch.ones(2, 6),
    )
    result = verify(*case[:4], -torch.ones(2, 6))
    assert not result.verified and result.reason.startswith(
        "the network's path depends on the values of its inputs (call "
    )


def test_only_the_chosen_outputs_are_compared() -> None:
    parts = {**layers(), "c": nn.Linear(8, 5)}
    call = lambda n, value: {"y": n.b(n.a(value)), "state": n.c(n.a(value))}  # noqa: E731
    chosen = lambda result: result["y"]  # noqa: E731
    network, small, architecture, tracing, inputs = pruned(Small(call, **parts), x(2, 6), outputs=chosen)
    assert [group.name for group in tracing.groups] == ["a", "c"]
    assert verify(network, small, architecture, tracing, inputs, chosen).verified


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_coarse_numbers_are_compared_coarsely(dtype: torch.dtype) -> None:
    network = Small(lambda n, value: n.b(n.a(value).relu()), **layers()).to(dtype)
    assert verify(*pruned(network, x(2, 6).to(dtype))).tolerance == TOLERANCE[dtype]


def test_random_numbers_are_the_same_for_both() -> None:
    call = lambda n, value: n.b(n.a(value) + torch.rand(value.shape[0], 1))  # noqa: E731
    assert verify(*pruned(Small(call, **layers()), x(2, 6))).verified


def test_dropout_is_off_while_two_networks_are_compared() -> None:
    network = Small(lambda n, value: n.b(n.d(n.a(value))), d=nn.Dropout(), **layers())
    case = pruned(network, x(2, 6))
    network.train()
    case[1].train()
    assert verify(*case).verified


def test_what_was_compared_is_a_value() -> None:
    assert Verification(True, 0.0, 1e-8) == Verification(True, 0.0, 1e-8)


def test_traces_are_of_the_network_that_is_verified() -> None:
    network, small, architecture, _, inputs = pruned(Convolutional(), x(2, 3, 6, 6))
    assert verify(network, small, architecture, trace(network, inputs), inputs).verified
