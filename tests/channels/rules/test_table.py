"""Every row of the table, by a call that reaches it; by small networks in tests/channels/test_trace.py."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from regrow.channels.labels import labels_of
from regrow.channels.rules import indexing, normalisation, pointwise, table
from regrow.channels.rules.table import RULES, operation_name, rule_of

from .labelled import Sheet

aten = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def whole(*shape: int) -> Tensor:
    return meta(*shape, dtype=torch.int64)


SOMEWHERE_ELSE = {
    # devices that this test cannot have
    "cudnn_batch_norm",
    "miopen_batch_norm",
    "_batch_norm_with_update",
    "_batch_norm_no_update",
    "mkldnn::_linear_pointwise",
    "convolution_overrideable",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    # what PyTorch takes apart before it comes here, on every device known today
    "_batch_norm_impl_index",
    "_convolution",
    "_native_batch_norm_legit_functional",
    "narrow",
}


class Names(TorchDispatchMode):
    """Which rows of the table a call reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(operation_name(func))
        return func(*args, **(kwargs or {}))


def test_operations_are_known_by_their_names_without_overloads() -> None:
    assert operation_name(aten.add_.Tensor) == "add" == operation_name(aten.add.Scalar)
    assert operation_name(aten.relu_.default) == "relu"
    assert operation_name(aten.__or__.Tensor) == "__or__"
    torchvision = pytest.importorskip("torchvision")
    assert torchvision is not None and operation_name(torch.ops.torchvision.nms.default) == "torchvision::nms"


def chosen(operation: Any) -> Any:
    rule = rule_of(operation)
    return getattr(rule, "func", rule)


def test_a_row_comes_first_then_what_pytorch_says_then_nothing_goes() -> None:
    assert chosen(aten.convolution.default) is RULES["convolution"]
    assert chosen(aten.sin.default) is pointwise.pointwise and "sin" not in RULES
    assert chosen(aten._cdist_forward.default) is indexing.unknown
    assert chosen(aten.mean.dim) is normalisation.reduction


def test_no_row_is_written_twice() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(table)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_rows"
    ]
    names = [name for call in calls for name in ast.literal_eval(call.args[1]).split()]
    assert sorted(names) == sorted(RULES)


def test_every_row_is_an_operation_of_pytorch_or_torchvision() -> None:
    pytest.importorskip("torchvision")
    names = {schema.name for schema in torch._C._jit_get_all_schemas()}
    plain = {name.removeprefix("aten::") for name in names}
    known = plain | {name.removesuffix("_") for name in plain}
    assert set(RULES) - known - SOMEWHERE_ELSE == set()


def live(axes: str, *shape: int) -> Callable[[Sheet], Tensor]:
    return lambda sheet: sheet.tensor(axes, *shape)


ACTIVATIONS = (
    "hardswish hardsigmoid hardtanh selu celu elu leaky_relu mish silu relu6 gelu softshrink hardshrink logsigmoid"
)

CALLS: dict[str, Callable[[Tensor], Any]] = {
    # calls on x of shape (2, 4, 6, 6), all of whose axes are live
    "activations": lambda x: [getattr(F, name)(x) for name in ACTIVATIONS.split()],
    "in place": lambda x: [x.clone().relu_(), F.threshold(x, 0.1, 2.0), F.rrelu(x), F.rrelu(x, training=True)],
    "functions": lambda x: [x.logit(), x.nan_to_num(), x.erf(), x.tanh(), x.sigmoid(), F.softplus(x), x.atan2(x)],
    "prelu": lambda x: [F.prelu(x, meta(1)), torch.prelu(x, meta(4))],
    "chosen": lambda x: [torch.where(x > 0, x, 0.0), x.masked_fill(x > 0, 0), x.clamp(0, 1), x.clamp_min(0)],
    "clamped": lambda x: [x.clamp_max(1), x // 2, torch.polar(x, x), aten.bernoulli.default(x)],
    "dropout": lambda x: [
        aten.native_dropout.default(x, 0.5, True),
        aten.native_dropout_backward.default(x, x > 0, 2.0),
    ],
    "drawn": lambda x: [x.clone().uniform_(), x.clone().normal_(), x.clone().random_(), x.clone().exponential_()],
    "same": lambda x: [aten.alias.default(x), x.detach(), x.clone(), x.mT.contiguous(), x.to(torch.float64)],
    "lifted": lambda x: [aten.lift_fresh.default(x), aten.lift_fresh_copy.default(x)],
    "complex": lambda x: [
        torch.complex(x, x).conj().resolve_conj(),
        torch.complex(x, x).real,
        torch.complex(x, x).imag,
    ],
    "like": lambda x: [torch.empty_like(x), torch.full_like(x, 1), torch.ones_like(x), torch.zeros_like(x)],
    "random like": lambda x: [torch.rand_like(x), torch.randn_like(x), torch.randint_like(x, 3), x.clone().fill_(1)],
    "written over": lambda x: [x.clone().zero_(), torch.empty_like(x).copy_(x)],
    "triangles": lambda x: [x.tril(), x.triu()],
    "created": lambda x: [
        x.new_zeros(2),
        x.new_ones(2),
        x.new_full((2,), 1),
        x.new_empty(2),
        x.new_empty_strided((2,), (1,)),
    ],
    "scaled indices": lambda x: [torch.bucketize(x, meta(3)), torch.searchsorted(meta(3), x)],
    "products": lambda x: [x[0, 0] @ x[0, 1], x[0] @ x[1], torch.addmm(x[0, 0], x[0, 0], x[0, 1])],
    "more products": lambda x: [
        torch.baddbmm(x[0], x[0], x[1]),
        torch.mv(x[0, 0], x[0, 0, 0]),
        x[0, 0, 0] @ x[0, 0, 0],
    ],
    "dots": lambda x: [torch.vdot(x[0, 0, 0], x[0, 0, 0]), aten.linear.default(x, meta(3, 6))],
    "trilinear": lambda x: F.bilinear(x[0, 0], x[0, 1], meta(3, 6, 6)),
    "convolution": lambda x: [
        F.conv2d(x, meta(8, 2, 3, 3), groups=2),
        F.conv_transpose2d(x, meta(4, 3, 2, 2), meta(3)),
    ],
    "embedding": lambda x: F.embedding(whole(3), x[0, 0]),
    "weight norm": lambda x: torch._weight_norm(x, meta(2, 1, 1, 1)),
    "attention": lambda x: aten._scaled_dot_product_flash_attention_for_cpu.default(x, x, x),
    "batch norms": lambda x: [F.batch_norm(x, meta(4), meta(4)), F.batch_norm(x, None, None, training=True)],
    "legit": lambda x: [
        aten._native_batch_norm_legit.default(x, meta(4), meta(4), meta(4), meta(4), True, 0.1, 1e-5),
        aten._native_batch_norm_legit_no_training.default(x, meta(4), meta(4), meta(4), meta(4), 0.1, 1e-5),
    ],
    "norms": lambda x: [F.layer_norm(x, (6,)), F.rms_norm(x, (6,)), F.group_norm(x, 2)],
    "fused": lambda x: aten._fused_rms_norm.default(x, [6], meta(6), 1e-5),
    "softmax": lambda x: [x.softmax(1), x.log_softmax(1), aten._safe_softmax.default(x, 1)],
    "running": lambda x: [x.cumsum(1), x.cumprod(1), x.logcumsumexp(1), x.cummax(1), x.cummin(1)],
    "ordered": lambda x: [x.topk(2, 1), x.sort(1), x.kthvalue(2, 1), x.argsort(1), x.msort()],
    "glu": lambda x: F.glu(x, 1),
    "reductions": lambda x: [
        getattr(x, name)(1)
        for name in ["sum", "mean", "prod", "amax", "amin", "max", "min", "var", "std", "argmax", "argmin"]
    ],
    "more reductions": lambda x: [
        torch.var_mean(x, 1),
        torch.std_mean(x, 1),
        x.logsumexp(1),
        (x > 0).any(1),
        (x > 0).all(1),
    ],
    "lengths": lambda x: [x.norm(dim=1), torch.linalg.vector_norm(x, dim=1), x.median(1), x.mode(1), x.nanmean(1)],
    "extremes": lambda x: [x.nansum(1), torch.aminmax(x, dim=1)],
    "pools": lambda x: [F.avg_pool1d(x[0], 2), F.avg_pool2d(x, 2), F.avg_pool3d(x, 2), F.adaptive_avg_pool1d(x[0], 2)],
    "adaptive": lambda x: [F.adaptive_avg_pool2d(x, 2), F.adaptive_avg_pool3d(x, 2), F.adaptive_max_pool1d(x[0], 2)],
    "largest": lambda x: [F.max_pool1d(x[0], 2), F.max_pool2d(x, 2), F.max_pool3d(x, 2), F.adaptive_max_pool2d(x, 2)],
    "largest of volumes": lambda x: [F.adaptive_max_pool3d(x, 2), F.fractional_max_pool2d(x, 2, output_size=2)],
    "interpolated": lambda x: [
        F.interpolate(x[0], size=3, mode="nearest"),
        F.interpolate(x, size=3, mode="nearest"),
        F.interpolate(x[:, None], size=3, mode="nearest"),
        F.interpolate(x[0], size=3, mode="linear"),
        F.interpolate(x, size=3, mode="bilinear"),
        F.interpolate(x[:, None], size=3, mode="trilinear"),
        F.interpolate(x, size=3, mode="bicubic"),
        F.interpolate(x, size=3, mode="bilinear", antialias=True),
        F.interpolate(x, size=3, mode="bicubic", antialias=True),
        F.interpolate(x[0], size=3, mode="nearest-exact"),
        F.interpolate(x, size=3, mode="nearest-exact"),
    ],
    "padded": lambda x: [
        F.pad(value, (1, 1) * n, mode=mode)
        for mode in ("reflect", "replicate")
        for n, value in ((1, x[0]), (2, x), (3, x[:, None].expand(2, 3, 4, 6, 6)))
    ],
    "views": lambda x: [
        x.view(8, 36),
        x.flatten(1),
        x.unflatten(1, (2, 2)),
        x.mT.reshape(-1),
        aten._unsafe_view.default(x, [8, 36]),
    ],
    "laid out": lambda x: [x.as_strided((2, 2), (1, 1)), aten._reshape_alias.default(x, [8, 36], [36, 1])],
    "turned": lambda x: [
        x.permute(1, 0, 2, 3),
        x.transpose(0, 1),
        x[0, 0].t(),
        x.swapaxes(0, 1),
        aten.t.default(x[0, 0]),
    ],
    "stretched": lambda x: [x.unsqueeze(0), x[:1].squeeze(0), x[:1].expand(3, 4, 6, 6), x.repeat(1, 2, 1, 1)],
    "repeated": lambda _: torch.repeat_interleave(torch.ones(4, dtype=torch.int64), output_size=4),
    "joined": lambda x: [torch.cat([x, x], 1), torch.concat([x, x]), torch.stack([x, x])],
    "cut": lambda x: [x.split(2, 1), x.split([1, 3], 1), torch.unsafe_split(x, 2, 1), x[:, 1:3], x.narrow(1, 0, 2)],
    "cut more": lambda x: [
        torch.unsafe_split_with_sizes(x, [1, 3], 1),
        torch.split_copy(x, 2, 1),
        x[:, 0],
        x.unbind(1),
    ],
    "moved": lambda x: [F.pad(x, (1, 1)), x.roll(1, 1), x.flip(1), x.unfold(2, 2, 1), x.diagonal(dim1=2, dim2=3)],
    "pixels": lambda x: [F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2), F.channel_shuffle(x, 2)],
    "shuffled": lambda x: [aten.native_channel_shuffle.default(x, 2)],
    "folded": lambda x: [F.unfold(x, 2), F.fold(x.flatten(1, 2)[..., :4], (3, 3), 2)],
    "pairs": lambda x: [torch.view_as_real(torch.view_as_complex(x.reshape(2, 4, 6, 3, 2)))],
    "indexed": lambda x: [x[:, whole(3)], aten._unsafe_index.Tensor(x, [None, whole(3)]), x.index_select(1, whole(3))],
    "gathered": lambda x: [x.gather(1, whole(2, 4, 6, 6)), x.scatter(1, whole(2, 4, 6, 6), x)],
    "scattered": lambda x: [
        x.scatter_add(1, whole(2, 4, 6, 6), x),
        x.scatter_reduce(1, whole(2, 4, 6, 6), x, "sum"),
        x.index_add(1, whole(4), x),
        x.index_copy(1, whole(4), x),
        x.index_fill(1, whole(3), 0.0),
    ],
    "put": lambda x: [
        x.index_put((whole(3),), meta()),
        aten._unsafe_index_put.default(x, [whole(3)], meta()),
        aten._index_put_impl_.default(x.clone(), [whole(3)], meta()),
    ],
    "grids": lambda x: [
        F.grid_sample(x, meta(2, 3, 3, 2), align_corners=False),
        F.grid_sample(x[:, None], meta(2, 3, 3, 3, 3), align_corners=False),
    ],
}

PLAIN: dict[str, Callable[[], Any]] = {
    # calls that make tensors, or read them
    "created": lambda: [
        torch.arange(3),
        torch.zeros(2),
        torch.ones(2),
        torch.full((2,), 1),
        torch.empty(2),
        torch.rand(2),
    ],
    "more": lambda: [torch.randn(2), torch.randint(3, (2,)), torch.randperm(3), torch.eye(2), torch.linspace(0, 1, 3)],
    "scalars": lambda: [
        torch.scalar_tensor(1.0),
        torch.empty_strided((2,), (1,)),
        torch.tril_indices(2, 2),
        torch.triu_indices(2, 2),
    ],
    "read": lambda: [torch.ones(2)[0].item(), torch.ones(2).nonzero(), torch.equal(torch.ones(2), torch.ones(2))],
    "unique": lambda: [torch.ones(2).unique(), torch.ones(2, 2).unique(dim=0), torch.ones(2).unique_consecutive()],
    "counted": lambda: [torch.ones(3, dtype=torch.int64).bincount(), torch.ones(3).multinomial(2)],
}


def reached(call: Callable[[], Any]) -> set[str]:
    names = Names()
    with torch.no_grad(), names:
        call()
    return names.seen


NEVER_BY_ITSELF = {
    # composites: PyTorch hands their parts to the tracer, these rows stand in for versions that may not
    "dropout", "contiguous", "to", "conj", "real", "imag", "log_sigmoid", "relu6", "item",
    "one_hot", "log_softmax", "softmax", "argsort", "msort", "batch_norm", "rms_norm", "swapaxes", "flatten", "unflatten",
    "reshape", "concat", "grid_sampler", "max_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d", "avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "max_pool2d", "max_pool3d", "linear", "_weight_norm", "nanmean",
    "sym_size", "sym_numel", "sym_stride", "is_same_size",
    "native_channel_shuffle", "selu", "rrelu", "norm", "_fused_rms_norm", "prelu",
}  # fmt: skip


def test_every_row_is_reached_by_a_call() -> None:
    def labelled(call: Callable[[Tensor], Any]) -> Callable[[], Any]:
        return lambda: call(Sheet().tensor("nchw", 2, 4, 6, 6))

    seen = set().union(
        *(reached(labelled(call)) for call in CALLS.values()), *(reached(call) for call in PLAIN.values())
    )
    unseen = set(RULES) - seen - SOMEWHERE_ELSE - NEVER_BY_ITSELF
    assert sorted(name for name in unseen if "::" not in name) == []


@pytest.mark.parametrize("name", CALLS)
def test_results_are_labelled_on_every_axis_and_nothing_is_lost(name: str) -> None:
    """Ids along an axis are as many as its positions; an axis that a result has no ids for is frozen, united or summed over."""
    sheet = Sheet()
    x = sheet.tensor("nchw", 2, 4, 6, 6)
    for result in _flat(sheet.run(lambda: CALLS[name](x))):
        for size, ids in zip(result.shape, labels_of(result).axes, strict=True):
            assert ids is None or len(ids) == size


def _flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [one for part in value for one in _flat(part)] if isinstance(value, (list, tuple)) else []
