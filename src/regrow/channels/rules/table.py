"""The table of primitive operations: name of the operation (namespace `aten` unless written) -> what it does to channel ids.

An operation that is not here and is not pointwise freezes what it touches, and is reported.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

import torch

from regrow.channels.rules import contraction, cutting, indexing, normalisation, pointwise, shape

Rule = Callable[..., None]


def _rows(rule: Rule, names: str) -> Iterable[tuple[str, Rule]]:
    return ((name, rule) for name in names.split())


RULES: Final[dict[str, Rule]] = dict(
    [
        # position by position
        *_rows(
            pointwise.pointwise,
            "where masked_fill clamp clamp_min clamp_max native_dropout dropout bernoulli prelu _prelu_kernel",
        ),
        *_rows(
            pointwise.pointwise,
            "alias detach clone contiguous lift_fresh lift_fresh_copy _to_copy to _conj conj real imag",
        ),
        *_rows(
            pointwise.pointwise,
            "polar atan2 rrelu_with_noise native_dropout_backward uniform normal random exponential floor_divide",
        ),
        *_rows(
            pointwise.pointwise,
            "hardswish hardsigmoid hardtanh softplus selu celu elu leaky_relu mish silu relu6 threshold gelu",
        ),
        *_rows(
            pointwise.pointwise,
            "log_sigmoid_forward log_sigmoid softshrink hardshrink logit nan_to_num erf rrelu relu tanh sigmoid",
        ),
        *_rows(pointwise.like, "empty_like full_like ones_like rand_like randn_like randint_like"),
        *_rows(pointwise.fill, "fill"),
        *_rows(pointwise.zeros_like, "zeros_like zero"),
        *_rows(pointwise.copy, "copy"),
        *_rows(pointwise.triangle, "tril triu"),
        *_rows(
            pointwise.constant,
            "_local_scalar_dense sym_size sym_numel sym_stride is_same_size item nonzero bucketize searchsorted",
        ),
        *_rows(
            pointwise.constant,
            "torchvision::nms equal _unique2 unique_dim unique_consecutive bincount multinomial one_hot",
        ),
        *_rows(
            pointwise.constant,
            "arange zeros ones full empty rand randn randint randperm eye linspace scalar_tensor empty_strided",
        ),
        *_rows(pointwise.constant, "new_zeros new_ones new_full new_empty new_empty_strided tril_indices triu_indices"),
        # products and sums
        *_rows(contraction.mm, "mm bmm"),
        *_rows(contraction.addmm, "addmm baddbmm"),
        *_rows(contraction.mv, "mv"),
        *_rows(contraction.dot, "dot vdot"),
        *_rows(contraction.linear, "linear mkldnn::_linear_pointwise"),
        *_rows(contraction.bilinear, "_trilinear"),
        *_rows(contraction.convolution, "convolution _convolution convolution_overrideable"),
        *_rows(contraction.embedding, "embedding"),
        *_rows(contraction.weight_norm, "_weight_norm_interface _weight_norm"),
        *_rows(
            contraction.attention, "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention"
        ),
        *_rows(contraction.attention, "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention"),
        # norm layers and what is computed over axes
        *_rows(
            normalisation.batch_norm,
            "native_batch_norm cudnn_batch_norm _native_batch_norm_legit miopen_batch_norm batch_norm",
        ),
        *_rows(
            normalisation.batch_norm,
            "_native_batch_norm_legit_no_training _batch_norm_with_update _batch_norm_no_update",
        ),
        *_rows(normalisation.batch_norm, "_batch_norm_impl_index _native_batch_norm_legit_functional"),
        *_rows(normalisation.layer_norm, "native_layer_norm _fused_rms_norm rms_norm"),
        *_rows(normalisation.group_norm, "native_group_norm"),
        *_rows(normalisation.softmax, "_softmax _log_softmax _safe_softmax softmax log_softmax"),
        *_rows(normalisation.cumulative, "cumsum cumprod logcumsumexp cummax cummin"),
        *_rows(normalisation.ordered, "topk sort kthvalue argsort msort"),
        *_rows(normalisation.glu, "glu"),
        *_rows(
            normalisation.reduction, "sum mean prod amax amin max min var std var_mean std_mean logsumexp argmax argmin"
        ),
        *_rows(normalisation.reduction, "any all norm linalg_vector_norm median mode nanmean nansum aminmax"),
        *_rows(
            normalisation.pool,
            "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d _adaptive_avg_pool2d",
        ),
        *_rows(
            normalisation.pool,
            "adaptive_avg_pool3d _adaptive_avg_pool3d max_pool1d max_pool2d max_pool3d max_pool2d_with_indices",
        ),
        *_rows(
            normalisation.pool, "max_pool3d_with_indices adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"
        ),
        *_rows(
            normalisation.pool,
            "fractional_max_pool2d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d",
        ),
        *_rows(
            normalisation.pool, "upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d _upsample_bilinear2d_aa"
        ),
        *_rows(
            normalisation.pool,
            "_upsample_bicubic2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d reflection_pad1d",
        ),
        *_rows(
            normalisation.pool,
            "reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d",
        ),
        # positions moved about
        *_rows(shape.view, "view _unsafe_view reshape _reshape_alias flatten unflatten"),
        *_rows(shape.strided, "as_strided"),
        *_rows(shape.permute, "permute"),
        *_rows(shape.transpose, "transpose swapaxes"),
        *_rows(shape.t, "t"),
        *_rows(shape.unsqueeze, "unsqueeze"),
        *_rows(shape.squeeze, "squeeze"),
        *_rows(shape.expand, "expand"),
        *_rows(shape.repeat, "repeat"),
        *_rows(shape.repeat_interleave, "repeat_interleave"),
        *_rows(cutting.cat, "cat concat"),
        *_rows(cutting.stack, "stack"),
        *_rows(cutting.split, "split split_with_sizes unsafe_split unsafe_split_with_sizes split_copy"),
        *_rows(cutting.cut, "slice narrow"),
        *_rows(cutting.select, "select"),
        *_rows(cutting.unbind, "unbind"),
        *_rows(cutting.pad, "constant_pad_nd"),
        *_rows(cutting.roll, "roll"),
        *_rows(cutting.flip, "flip"),
        *_rows(shape.pixel_shuffle, "pixel_shuffle"),
        *_rows(shape.pixel_unshuffle, "pixel_unshuffle"),
        *_rows(shape.channel_shuffle, "native_channel_shuffle channel_shuffle"),
        *_rows(shape.im2col, "im2col"),
        *_rows(shape.col2im, "col2im"),
        *_rows(cutting.unfold, "unfold"),
        *_rows(cutting.diagonal, "diagonal"),
        *_rows(cutting.complex_pairs, "view_as_complex view_as_real"),
        # positions picked by index
        *_rows(indexing.index, "index _unsafe_index"),
        *_rows(indexing.index_select, "index_select"),
        *_rows(indexing.gather, "gather"),
        *_rows(indexing.scatter, "scatter scatter_add scatter_reduce index_add index_copy index_fill"),
        *_rows(indexing.index_put, "index_put _unsafe_index_put _index_put_impl"),
        *_rows(indexing.roi, "torchvision::roi_align torchvision::roi_pool"),
        *_rows(indexing.grid_sample, "grid_sampler_2d grid_sampler_3d grid_sampler"),
        *_rows(indexing.deformable, "torchvision::deform_conv2d"),
    ]
)


@functools.cache
def rule_of(operation: Any) -> Rule:
    """The rule of an operation: by name, in-place ones like their plain kin; else pointwise if PyTorch says so; else freeze."""
    name = operation_name(operation)
    rule = RULES.get(name)
    named = functools.partial
    if rule in (normalisation.reduction, normalisation.pool, pointwise.pointwise):
        return named(rule, name=name)
    if rule is not None:
        return rule
    if torch.Tag.pointwise in operation.tags:
        return named(pointwise.pointwise, name=name)
    return named(indexing.unknown, name=name)


def operation_name(operation: Any) -> str:
    """`aten::add_.Tensor` -> `add`; other namespaces are kept.

    >>> operation_name(torch.ops.aten.relu_.default)
    'relu'
    """
    space, _, name = operation._schema.name.partition("::")
    plain = name.rstrip("_") if name.endswith("_") and not name.endswith("__") else name
    return plain if space == "aten" else f"{space}::{plain}"
