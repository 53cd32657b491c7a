from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from regrow.channels.ids import Demands
from regrow.channels.labels import labels_of
from regrow.channels.sizes import Extent, Size, source_of
from regrow.channels.watch import Watch, function_name, plain_functions, tensor_first

from .rules.labelled import Sheet
from .traced import look, x


def test_sizes_that_are_read_know_their_axis() -> None:
    sheet = Sheet()
    y = sheet.tensor("-ch", 2, 3, 4)
    for read in (lambda: y.shape, lambda: y.size(), lambda: torch.Size((y.size(0), y.size(1), y.size(dim=-1)))):
        shape = sheet.watch(read)
        assert tuple(shape) == (2, 3, 4) and type(shape[0]) is int
        assert [sheet.read(source_of(size).ids) for size in shape[1:]] == ["c0 c1 c2", "h0 h1 h2 h3"]  # type: ignore[union-attr]


def test_sizes_of_constants_are_plain() -> None:
    sheet = Sheet()
    assert all(type(size) is int for size in sheet.watch(lambda: torch.zeros(2, 3).shape))
    assert type(sheet.watch(lambda: torch.zeros(2, 3).numel())) is int
    assert sheet.demands.journal == {}


def test_the_number_of_elements_is_a_product_of_sizes() -> None:
    sheet = Sheet()
    y = sheet.tensor("-ch", 2, 3, 4)
    count = sheet.watch(lambda: y.numel())
    assert isinstance(count, Size) and int(count) == 24


def test_calls_that_read_sizes_are_written_into_the_journal() -> None:
    sheet = Sheet()
    y = sheet.tensor("-c", 2, 3)

    def run() -> None:
        _ = y.relu()
        _ = y.shape
        F.layer_norm(y, (3,))

    sheet.watch(run)
    assert [(number, entry.name) for number, entry in sheet.demands.journal.items()] == [
        (2, "shape"),
        (3, "layer_norm"),
    ]


def test_functions_are_named_as_people_call_them() -> None:
    assert function_name(torch.Tensor.view) == "view"
    assert function_name(torch.Tensor.shape.__get__) == "shape"
    assert function_name(F.layer_norm) == "layer_norm"


def test_a_tensor_given_by_keyword_comes_first() -> None:
    y = torch.ones(1)
    assert tensor_first((), {"input": y, "dim": 1}) == ((y,), {"dim": 1})
    assert tensor_first((), {"query": y, "key": y}) == ((y,), {"key": y})
    assert tensor_first((3,), {"input": y}) == ((3,), {"input": y})
    assert tensor_first((), {"size": (2,)}) == ((), {"size": (2,)})


def test_functions_of_pytorch_are_plain_while_it_is_asked_for() -> None:
    before = F.has_torch_function
    with pytest.raises(RuntimeError, match="stop"), plain_functions():
        assert F.has_torch_function(()) is False and F.has_torch_function is not before
        raise RuntimeError("stop")
    assert F.has_torch_function is before


def test_a_watch_counts_every_call() -> None:
    demands = Demands()
    with Watch(demands):
        torch.ones(2).relu().sum()
    assert demands.calls == 3


HEADS = {"a": nn.Linear(6, 8), "b": nn.Linear(8, 3), "heads": 2, "size": 4}


def forward(reshape: Callable[..., Any]) -> Callable[..., Any]:
    return lambda n, value: n.b(reshape(n, n.a(value)).flatten(1))


VIEWS: dict[str, tuple[Callable[..., Any], dict[str, int], dict[str, int]]] = {
    # n.a(x) of 8 channels as heads of size 4; the groups; what changes where one head and three dimensions are left
    "view": (lambda n, y: y.view(-1, n.heads, n.size), {"a": 2, "a#2": 4}, {"heads": 1, "size": 3}),
    "view of a tuple": (lambda n, y: y.view((-1, n.heads, n.size)), {"a": 2, "a#2": 4}, {"heads": 1, "size": 3}),
    "reshape": (lambda n, y: torch.reshape(y, (-1, n.heads, n.size)), {"a": 2, "a#2": 4}, {"heads": 1, "size": 3}),
    "reshape by keywords": (
        lambda n, y: torch.reshape(input=y, shape=(-1, n.heads, n.size)),
        {"a": 2, "a#2": 4},
        {"heads": 1, "size": 3},
    ),
    "unflatten": (lambda n, y: y.unflatten(1, (n.heads, n.size)), {"a": 2, "a#2": 4}, {"heads": 1, "size": 3}),
    "quotient": (lambda n, y: y.view(-1, n.heads, y.shape[1] // n.heads), {"a": 2, "a#2": 4}, {"heads": 1}),
    "as many as fit": (lambda n, y: y.view(y.shape[0], -1, n.size), {"a": 2, "a#2": 4}, {"size": 3}),
    "as large as they are": (lambda n, y: y.view(y.shape[0], n.heads, -1), {"a": 2, "a#2": 4}, {"heads": 1}),
    "two heads in the code": (lambda n, y: y.view(-1, 2, n.size), {"a": 4}, {"size": 3}),
    "four in the code": (lambda n, y: y.view(-1, n.heads, 4), {"a": 2}, {"heads": 1}),
    "all in the code": (lambda _, y: y.view(-1, 2, 4), {}, {}),
}


@pytest.mark.parametrize("name", VIEWS)
def test_numbers_of_a_view_follow_the_axes_that_they_make(name: str) -> None:
    reshape, groups, corrected = VIEWS[name]
    found = look(forward(reshape), x(2, 6), **HEADS)
    assert found.groups == groups
    widths = [{2: 1, 4: 3}[group.channels] for group in found.tracing.groups]
    assert {one.attribute: one.small for one in found.tracing.corrections(widths)} == corrected


def test_sizes_of_another_tensor_are_taken_over() -> None:
    found = look(
        lambda n, value: n.b(n.a(value).view_as(n.c(value)).flatten(1)) + n.d(n.c(value).flatten(1)),
        x(2, 6),
        a=nn.Linear(6, 8),
        b=nn.Linear(8, 3),
        c=nn.Sequential(nn.Linear(6, 8), nn.Unflatten(1, (2, -1))),
        d=nn.Linear(8, 3),
    )
    assert all({("a.weight", 0), ("c.0.weight", 0)} <= places for places in found.places.values())


@pytest.mark.parametrize(
    "spread",
    [
        lambda p, q: p.expand_as(q),
        lambda p, q: torch.broadcast_tensors(p, q)[0],
        lambda p, q: p.expand(q.shape),
        lambda p, q: p.expand(-1, -1, q.size(2)),
        lambda p, q: p.repeat(1, 1, q.size(2)),
        lambda p, q: p.broadcast_to(q.shape),
        lambda p, q: p.repeat_interleave(q.size(2), 2),
    ],
)
def test_copies_of_one_position_are_as_many_as_another_axis_has(spread: Callable[..., Any]) -> None:
    found = look(
        lambda n, value: n.b(spread(n.p(value), n.q(value)).flatten(1)) + n.c(n.q(value)).sum(1),
        x(2, 5, 6),
        p=nn.Linear(6, 1),
        q=nn.Linear(6, 8),
        b=nn.Linear(40, 3),
        c=nn.Linear(8, 3),
    )
    for name, places in found.places.items():
        assert {("q.weight", 0), ("b.weight", 1)} <= places, name


def test_copies_of_one_position_by_a_number_in_the_code_stay() -> None:
    sheet = Sheet()
    y = sheet.tensor("-c-", 2, 3, 1)
    for call in (
        lambda: y.tile((4,)),
        lambda: y.repeat(1, 1, 4),
        lambda: y.expand(2, -1, 4),
        lambda: y.expand(4, -1, -1, 1),
    ):
        assert "0 0 0 0" in sheet.seen(sheet.watch(call))
    assert sheet.seen(y)[1] == "c0 c1 c2"


def test_how_often_something_is_repeated_stays_where_it_was_more_than_one_position() -> None:
    sheet = Sheet()
    y, times = sheet.tensor("-c", 2, 3), sheet.tensor("t", 4)
    sheet.watch(lambda: y.repeat(1, times.shape[0]))
    (equation,) = sheet.demands.equations
    assert isinstance(equation.expression, Extent) and equation.target == 4


def test_keys_repeated_for_their_queries_are_as_many_as_the_module_says() -> None:
    sheet = Sheet()
    keys, times = sheet.tensor("-k--", 1, 2, 5, 4), sheet.tensor("t", 3)
    assert sheet.seen(sheet.watch(lambda: keys.repeat_interleave(3, 1)))[1] == "k0 k0 k0 k1 k1 k1"
    sheet.watch(lambda: keys.repeat_interleave(times.shape[0], dim=1))
    (equation,) = sheet.demands.equations
    assert isinstance(equation.expression, Extent) and sheet.read(equation.expression.ids) == "t0 t1 t2"
    assert isinstance(equation.target, Extent) and len(equation.target.ids) == 3


CREATED: dict[str, Callable[..., Any]] = {
    "zeros": lambda _, y: torch.zeros(y.shape[0], y.shape[1]),
    "zeros of a tuple": lambda n, _: torch.zeros((2, n.width)),
    "ones by keyword": lambda _, y: torch.ones(size=y.shape),
    "new zeros": lambda n, y: y.new_zeros(2, n.width),
    "full": lambda n, _: torch.full((2, n.width), 0.5),
    "like": lambda _, y: torch.zeros_like(y),
}


@pytest.mark.parametrize("name", CREATED)
def test_a_new_tensor_whose_size_is_known_carries_channels(name: str) -> None:
    found = look(
        lambda n, value: n.b(n.a(value) + CREATED[name](n, n.a(value)).to(value.device)),
        x(2, 6),
        a=nn.Linear(6, 8),
        b=nn.Linear(8, 3),
        width=8,
    )
    assert found.groups == {"a": 8}
    if "width" in CREATED[name].__code__.co_names:
        assert found.corrections(a=3) == {"width": 3}


def test_a_new_tensor_whose_size_is_written_in_the_code_meets_channels_as_a_constant() -> None:
    call = lambda n, value: n.b(n.a(value) + torch.zeros(2, 8, device=value.device))  # noqa: E731
    found = look(call, x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(8, 3))
    assert found.groups == {} and "meets a constant" in found.frozen["a.weight"][1]


def test_positions_that_are_counted_keep_their_number() -> None:
    call = lambda n, value: n.b(n.a(value) * torch.arange(n.width, device=value.device))  # noqa: E731
    found = look(call, x(2, 6), a=nn.Linear(6, 8), b=nn.Linear(8, 3), width=8)
    assert found.groups == {}


def test_groups_of_a_convolution_follow_its_blocks() -> None:
    found = look(
        lambda n, value: n.b(n.c(n.a(value)).mean((2, 3))),
        x(2, 6, 5, 5),
        a=nn.Conv2d(6, 8, 1),
        c=nn.Conv2d(8, 8, 3, groups=8),
        b=nn.Linear(8, 3),
    )
    assert found.groups == {"a": 8}
    assert found.corrections(a=5)["c.groups"] == 5


def test_groups_written_in_the_code_stay() -> None:
    found = look(
        lambda n, value: n.b(F.conv2d(n.a(value), n.w, groups=2).mean((2, 3))),
        x(2, 6, 5, 5),
        a=nn.Conv2d(6, 8, 1),
        w=nn.Parameter(torch.randn(8, 4, 3, 3)),
        b=nn.Linear(8, 3),
    )
    assert set(found.groups.values()) == {4} and found.heads == {}


def test_groups_of_a_norm_follow_its_blocks() -> None:
    found = look(
        lambda n, value: n.b(n.g(n.a(value)).mean(2)),
        x(2, 6, 5),
        a=nn.Conv1d(6, 8, 1),
        g=nn.GroupNorm(4, 8),
        b=nn.Linear(8, 3),
    )
    assert sorted(found.groups.values()) == [2, 4]
    groups = next(group.name for group in found.tracing.groups if group.channels == 4)
    assert found.corrections(**{groups: 3})["g.num_groups"] == 3


def test_the_shape_of_a_norm_follows_its_channels() -> None:
    found = look(
        lambda n, value: n.b(n.g(n.a(value))), x(2, 6), a=nn.Linear(6, 8), g=nn.LayerNorm(8), b=nn.Linear(8, 3)
    )
    assert found.corrections(a=5) == {"g.normalized_shape.0": 5}
    assert found.tracing.notes == ("g: statistics over the kept channels",)


ATTENTIONS: dict[str, tuple[Callable[..., Any], bool]] = {
    "positional": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), True),
    "keywords": (lambda q, k, v: F.scaled_dot_product_attention(query=q, key=k, value=v), True),
    "written scale": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.5), False),
    "by division": (lambda q, k, v: (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v, True),
    "by a tensor": (lambda q, k, v: (q @ k.mT / torch.tensor(q.shape[-1]).sqrt().to(q.device)).softmax(-1) @ v, True),
    "by a size": (lambda q, k, v: (q @ k.mT / q.shape[-1]).softmax(-1) @ v, True),
    "unscaled": (lambda q, k, v: (q @ k.mT).softmax(-1) @ v, False),
}


@pytest.mark.parametrize("name", ATTENTIONS)
def test_a_scale_that_is_computed_from_a_size_is_known_to_change(name: str) -> None:
    call, changes = ATTENTIONS[name]
    layers = {"q": nn.Linear(6, 8), "k": nn.Linear(6, 8), "v": nn.Linear(6, 4), "o": nn.Linear(4, 3)}
    found = look(lambda n, value: n.o(call(n.q(value), n.k(value), n.v(value))), x(2, 5, 6), **layers)
    assert found.groups == {"q": 8, "v": 4}
    assert found.tracing.scales([4, 4]) is changes and not found.tracing.scales([8, 2])


KEYWORDS: dict[str, Callable[..., Any]] = {
    "mean": lambda y: torch.mean(input=y, dim=1),
    "sum": lambda y: torch.sum(input=y, dim=1),
    "layer norm": lambda y: F.layer_norm(input=y, normalized_shape=(y.shape[-1],)).mean(1),
    "cat": lambda y: torch.cat(tensors=[y, y], dim=0)[:2].mean(1),
    "unflatten": lambda y: torch.mean(torch.transpose(input=y, dim0=0, dim1=1), dim=0),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_functions_may_be_called_by_keywords(name: str) -> None:
    found = look(lambda n, value: n.b(KEYWORDS[name](n.a(value))), x(2, 5, 6), a=nn.Linear(6, 8), b=nn.Linear(8, 3))
    assert found.groups == {"a": 8}


def test_written_out_statistics_of_a_norm_layer_are_noted_for_the_silent_network() -> None:
    class RmsNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return value * torch.rsqrt(value.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight

    found = look(lambda n, value: n.b(n.g(n.a(value))), x(2, 6), a=nn.Linear(6, 8), g=RmsNorm(), b=nn.Linear(8, 3))
    assert found.groups == {"a": 8}
    assert [entry.name for entry in found.tracing.journal.values()] == ["mean"]


def test_labels_do_not_stay_on_the_caller_s_tensors() -> None:
    weight = nn.Linear(6, 8)
    value = x(2, 6)
    look(lambda n, value: n.b(n.a(value)), value, a=weight, b=nn.Linear(8, 3))
    assert labels_of(weight.weight).live == [] and weight.weight.__dict__ == {} and value.__dict__ == {}


def test_following_sizes_asks_nothing_of_them() -> None:
    """The questions that are kept are those of the network's code, not the tracer's own."""
    sheet = Sheet()
    y = sheet.tensor("-c", 2, 4)

    def run() -> None:
        width = y.shape[1]
        torch.zeros(2, width, device="meta")
        y.new_zeros(width, 3)
        y.view(2, width, 1).expand(2, width, 5).repeat(1, 1, width)
        y.unflatten(1, (width // 2, 2)).flatten(1).split(width // 2, 1)
        _ = y[:, : width // 2], y.narrow(1, 0, width // 2), y.repeat_interleave(width, 1)
        F.layer_norm(y, (width,))
        y.tensor_split(width // 2, 1)

    sheet.watch(run)
    assert sheet.demands.diary.comparisons == []
