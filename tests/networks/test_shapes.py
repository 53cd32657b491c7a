from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from regrow.networks.shapes import SHAPES

aten = torch.ops.aten


def meta(*shape: int) -> Tensor:
    return torch.empty(*shape, device="meta")


CASES = [
    (aten.add.Tensor, (meta(1, 4, 5, 6), meta(1, 4, 5, 6)), {}),
    (aten.add.Tensor, (meta(1, 4, 1, 6), meta(4, 5, 1)), {"alpha": 2}),
    (aten.addmm.default, (meta(7), meta(2, 3), meta(3, 7)), {}),
    (aten.cat.default, ([meta(1, 4, 5, 6), meta(1, 2, 5, 6), meta(1, 1, 5, 6)], 1), {}),
    (aten.cat.default, ([meta(2, 3), meta(5, 3)],), {}),
    (aten.cat.default, ([meta(2, 3), meta(2, 5)], -1), {}),
    (aten.mean.dim, (meta(1, 4, 5, 6), [2, 3]), {}),
    (aten.mean.dim, (meta(1, 4, 5, 6), [-1, -2], True), {}),
    (aten.native_batch_norm.default, (meta(2, 4, 5, 6), meta(4), meta(4), meta(4), meta(4), False, 0.1, 1e-5), {}),
    (aten.native_batch_norm.default, (meta(2, 4), None, None, meta(4), meta(4), False, 0.1, 1e-5), {}),
]


def sizes(result: Any) -> list[tuple[torch.Size, torch.dtype, torch.device]]:
    tensors = result if isinstance(result, tuple) else (result,)
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]


@pytest.mark.parametrize(("operation", "args", "kwargs"), CASES, ids=[str(case[0]) for case in CASES])
def test_sizes_types_and_devices_are_pytorchs_own(
    operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert sizes(SHAPES[operation](*args, **kwargs)) == sizes(operation(*args, **kwargs))


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(SHAPES)
