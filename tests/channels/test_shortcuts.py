from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from regrow.channels.shortcuts import _SHORTCUTS, run

aten = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


IMAGES, ROWS, STATS = (2, 6, 5, 4), (3, 7, 8), (6,)
INPUTS: dict[str, Callable[[], Tensor]] = {
    "images": lambda: meta(*IMAGES),
    "doubles": lambda: meta(*IMAGES, dtype=torch.float64),
    "channels last": lambda: meta(*IMAGES).to(memory_format=torch.channels_last),
    "turned": lambda: meta(2, 6, 4, 5).transpose(2, 3),
    "a part": lambda: meta(2, 9, 5, 4)[:, :6],
}


def _normed(x: Tensor, training: bool) -> Any:
    parts = [torch.empty(STATS, dtype=x.dtype, device="meta") for _ in range(4)]
    return aten.native_batch_norm.default, (x, *parts, training, 0.1, 1e-5), {}


CALLS: dict[str, Callable[[Tensor], tuple[Any, tuple[Any, ...], dict[str, Any]]]] = {
    "add": lambda x: (aten.add.Tensor, (x, x), {}),
    "add in place": lambda x: (aten.add_.Tensor, (x, torch.empty_like(x)), {}),
    "multiply in place": lambda x: (aten.mul_.Tensor, (x, torch.empty_like(x)), {}),
    "add a row in place": lambda x: (aten.add_.Tensor, (x, meta(4).to(x.dtype)), {}),
    "add scaled": lambda x: (aten.add.Tensor, (x, x), {"alpha": 2}),
    "add a number": lambda x: (aten.add.Tensor, (x, 1.0), {}),
    "add a row": lambda x: (aten.add.Tensor, (x, meta(4)), {}),
    "add another type": lambda x: (aten.add.Tensor, (x, meta(*IMAGES, dtype=torch.float16)), {}),
    "gate": lambda x: (aten.mul.Tensor, (x, torch.empty(2, 6, 1, 1, dtype=x.dtype, device="meta")), {}),
    "gate first": lambda x: (aten.mul.Tensor, (torch.empty(1, 6, 1, 1, dtype=x.dtype, device="meta"), x), {}),
    "outer": lambda _: (aten.mul.Tensor, (meta(3, 1), meta(1, 4)), {}),
    "addmm": lambda _: (aten.addmm.default, (meta(7), meta(3, 5), meta(7, 5).t()), {}),
    "addmm full": lambda _: (aten.addmm.default, (meta(3, 7), meta(3, 5), meta(5, 7)), {}),
    "cat": lambda x: (aten.cat.default, ([x, x], 1), {}),
    "cat last": lambda x: (aten.cat.default, ([x, x], -1), {}),
    "cat with nothing": lambda x: (aten.cat.default, ([meta(0), x], 1), {}),
    "gelu": lambda x: (aten.gelu.default, (x,), {}),
    "gelu by tanh": lambda x: (aten.gelu.default, (x,), {"approximate": "tanh"}),
    "mean": lambda x: (aten.mean.dim, (x, [2, -1]), {}),
    "mean kept": lambda x: (aten.mean.dim, (x, [1], True), {}),
    "mean of all": lambda x: (aten.mean.dim, (x, []), {}),
    "mean in double": lambda x: (aten.mean.dim, (x, [1]), {"dtype": torch.float64}),
    "batch norm": lambda x: _normed(x, False),
    "batch norm in training": lambda x: _normed(x, True),
    "batch norm alone": lambda x: (aten.native_batch_norm.default, (x, None, None, None, None, True, 0.1, 1e-5), {}),
    "layer norm": lambda x: (aten.native_layer_norm.default, (x, [x.shape[-1]], None, None, 1e-5), {}),
    "layer norm of two": lambda x: (
        aten.native_layer_norm.default,
        (x, list(x.shape[2:]), torch.empty(x.shape[2:], dtype=x.dtype, device="meta"), None, 1e-5),
        {},
    ),
    "safe softmax": lambda x: (aten._safe_softmax.default, (x, -1), {}),
    **{
        name: (lambda x, name=name: (getattr(aten, name).default, (x,), {}))  # type: ignore[misc]
        for name in (
            "hardsigmoid",
            "hardswish",
            "hardtanh",
            "relu",
            "sigmoid",
            "silu",
            "hardswish_",
            "relu_",
            "hardtanh_",
            "silu_",
        )
    },
}


def _convolved(x: Tensor, out: int, kernel: tuple[int, int], *settings: Any, groups: int = 1) -> Any:
    weight = torch.empty(out, x.shape[1] // groups, *kernel, dtype=x.dtype, device="meta")
    return aten.convolution.default, (x, weight, None, *settings, False, [0, 0], groups), {}


CALLS |= {
    "convolution": lambda x: _convolved(x, 8, (3, 3), [1, 1], [1, 1], [1, 1]),
    "convolution 1x1": lambda x: _convolved(x, 8, (1, 1), [1, 1], [0, 0], [1, 1]),
    "convolution with steps": lambda x: _convolved(x, 8, (3, 2), [2, 3], [2, 1], [1, 2]),
    "convolution by groups": lambda x: _convolved(x, 6, (3, 3), [2, 2], [1, 1], [1, 1], groups=6),
    "convolution in one number": lambda x: _convolved(x, 6, (3, 3), [2], [1], [1]),
    "convolution of a point": lambda _: _convolved(meta(2, 6, 1, 1), 8, (1, 1), [1, 1], [0, 0], [1, 1]),
    "convolution of one channel": lambda _: _convolved(meta(2, 1, 5, 5), 8, (3, 3), [1, 1], [1, 1], [1, 1]),
    "convolution of a line": lambda _: (
        aten.convolution.default,
        (meta(2, 6, 9), meta(4, 6, 3), meta(4), [2], [1], [1], False, [0], 1),
        {},
    ),
    "convolution back": lambda x: (
        aten.convolution.default,
        (x, torch.empty(6, 3, 2, 2, dtype=x.dtype, device="meta"), None, [2, 2], [0, 0], [1, 1], True, [0, 0], 1),
        {},
    ),
}


def described(result: Any) -> Any:
    if isinstance(result, Tensor):
        return tuple(result.shape), result.stride() if result.numel() else (), result.dtype, result.device.type
    return [described(part) for part in result]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("given", INPUTS)
def test_the_result_has_the_sizes_strides_and_type_of_pytorch_s_own(call: str, given: str) -> None:
    func, args, kwargs = CALLS[call](INPUTS[given]())
    expected = func(*args, **kwargs)
    assert described(run(func, args, kwargs)) == described(expected)


def test_every_shortcut_is_compared_and_taken() -> None:
    taken = set()
    for make in CALLS.values():
        func, args, kwargs = make(INPUTS["images"]())
        if func in _SHORTCUTS and _SHORTCUTS[func](*args, **kwargs) is not None:
            taken.add(func)
    assert taken == set(_SHORTCUTS)


def test_in_place_operations_give_their_own_input_back() -> None:
    x = INPUTS["images"]()
    assert run(aten.silu_.default, (x,), {}) is x


def test_real_tensors_are_computed() -> None:
    x = torch.tensor([[1.0, -2.0]])
    assert torch.equal(run(aten.relu.default, (x,), {}), x.relu())
    assert torch.equal(run(aten.addmm.default, (torch.ones(2), x, torch.eye(2)), {}), x + 1)


def test_whole_numbers_are_left_to_pytorch() -> None:
    assert run(aten.sigmoid.default, (meta(3, dtype=torch.int64),), {}).dtype == torch.float32


def test_a_network_runs_on_shortcuts() -> None:
    class Short(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return run(func, args, kwargs or {})

    with torch.device("meta"):
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3),
            torch.nn.BatchNorm2d(6),
            torch.nn.Hardswish(),
            torch.nn.Flatten(),
            torch.nn.LazyLinear(4),
        )
        with torch.no_grad(), Short():
            assert network(torch.empty(2, 3, 8, 8)).shape == (2, 4)


REFUSED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "addmm, inner": (aten.addmm.default, (meta(7), meta(3, 5), meta(4, 7))),
    "addmm, bias": (aten.addmm.default, (meta(6), meta(3, 5), meta(5, 7))),
    "cat": (aten.cat.default, ([meta(2, 3), meta(3, 3)], 1)),
    "add": (aten.add.Tensor, (meta(2, 3), meta(2, 4))),
    "layer norm": (aten.native_layer_norm.default, (meta(2, 3), [4], None, None, 1e-5)),
    "layer norm, weight": (aten.native_layer_norm.default, (meta(2, 3), [3], meta(4), None, 1e-5)),
    "convolution": (aten.convolution.default, (meta(2, 3, 5, 5), meta(4, 2, 3, 3), None, [1], [0], [1], False, [0], 1)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorch_refuses_is_left_to_pytorch(name: str) -> None:
    func, args = REFUSED[name]
    assert func not in _SHORTCUTS or _SHORTCUTS[func](*args) is None
    with pytest.raises(RuntimeError):
        run(func, args, {})
