"""The tensors of a network by every name it registers them under, and the shapes they had before pruning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture
from regrow.channels.groups import channel_groups, keep_masks, surviving
from regrow.errors import ConfigError
from regrow.networks.build import blueprint
from regrow.networks.groups import Group
from regrow.networks.zoo import NETWORKS
from regrow.shipping.record import ModuleRow, TensorRow

STORABLE: Final = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
        *(torch.float8_e4m3fn, torch.float8_e5m2),
    )
}
"""Types that safetensors has a name for."""


def registered(network: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """Every name under which a parameter or buffer is registered, the tensor, and whether `state_dict()` holds it."""
    for prefix, module in network.named_modules(remove_duplicate=False):
        start = f"{prefix}." if prefix else ""
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            yield start + name, parameter, True
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            yield start + name, buffer, name not in module._non_persistent_buffers_set


def rows_of(network: nn.Module) -> tuple[TensorRow, ...]:
    """One row per registered name, with the shapes of this network in both columns."""
    rows, first = [], dict[int, str]()
    for name, tensor, persistent in registered(network):
        row = TensorRow(
            name=name,
            kind="parameter" if isinstance(tensor, nn.Parameter) else "buffer",
            dtype=str(tensor.dtype).removeprefix("torch."),
            shape=tuple(tensor.shape),
            dense=tuple(tensor.shape),
            trainable=tensor.requires_grad and isinstance(tensor, nn.Parameter),
            persistent=persistent,
            same_as=first.get(id(tensor)),
        )
        first.setdefault(id(tensor), name)
        rows.append(row)
    return tuple(rows)


def modules_of(network: nn.Module) -> tuple[ModuleRow, ...]:
    """One row per module, in the order of registration."""
    return tuple(
        ModuleRow(name=name, kind=type(module).__qualname__, training=module.training)
        for name, module in network.named_modules()
    )


def class_label(network: nn.Module) -> str:
    """`module:name` of its class."""
    return f"{type(network).__module__}:{type(network).__qualname__}"


def is_of_zoo(architecture: Architecture) -> bool:
    """Whether it is that of a network of `regrow list networks`, which can be built at any widths without its owner's code."""
    return architecture.dense is not None and architecture.dense.name in NETWORKS


def groups_of(architecture: Architecture) -> tuple[Group, ...]:
    """The channel groups of the dense network: the architecture's own, or those that a network of the zoo declares.

    What lies in blocks that are gone whole is left out: a bundle holds nothing of them.
    """
    if architecture.dense is not None and is_of_zoo(architecture):
        return surviving(channel_groups(blueprint(architecture.dense)), architecture.missing)
    groups = (Group(entry.group, entry.channels, entry.slices, producers=0) for entry in architecture.kept)
    return surviving(groups, architecture.missing)


def with_dense_shapes(rows: tuple[TensorRow, ...], architecture: Architecture) -> tuple[TensorRow, ...]:
    """The rows of a small network, `dense` filled in from what the architecture took away.

    Raises `ConfigError` where the architecture does not fit these tensors.
    """
    groups = groups_of(architecture)
    shapes = {row.name: row.shape for row in rows}
    removed = _removed(groups, architecture, shapes)
    dense: dict[str, tuple[int, ...]] = {}
    for row in rows:
        shape = list(row.shape)
        for axis, (gone, covered) in removed.get(row.name, {}).items():
            shape[axis] += gone
            if shape[axis] < covered:
                raise ConfigError(
                    f"the architecture keeps {covered - gone} indices of axis {axis} of {row.name}, whose shape is "
                    f"{list(row.shape)}: it does not belong to this network. Save the two that regrow.prune gave together."
                )
        dense[row.name] = dense[row.same_as] if row.same_as else tuple(shape)
    return tuple(replace(row, dense=dense[row.name]) for row in rows)


def _removed(
    groups: tuple[Group, ...], architecture: Architecture, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, dict[int, tuple[int, int]]]:
    """Per tensor and axis: indices that went, and the length that the groups cover."""
    reach: dict[str, dict[int, int]] = {}
    for group in groups:
        for part in group.slices:
            if part.axis >= len(shapes.get(part.tensor, ())):
                raise ConfigError(
                    f"the architecture names axis {part.axis} of the tensor {part.tensor}, which this network does not have. "
                    "Save the network together with the architecture that regrow.prune gave."
                )
            axes = reach.setdefault(part.tensor, {})
            axes[part.axis] = max(axes.get(part.axis, 0), part.start + part.length(group.channels))
    masks = keep_masks(groups, architecture.indices, {name: _hull(shapes[name], reach[name]) for name in reach})
    return {
        name: {axis: (int((~keep).sum()), len(keep)) for axis, keep in axes.items()} for name, axes in masks.items()
    }


def _hull(shape: tuple[int, ...], reach: Mapping[int, int]) -> Tensor:
    """A tensor without memory, just as long along each axis as the groups reach."""
    return torch.empty([reach.get(axis, 0) for axis in range(len(shape))], device="meta")


def storable(network: nn.Module, rows: tuple[TensorRow, ...]) -> dict[str, Tensor]:
    """Every tensor once, dense, contiguous, on the CPU, sharing memory with no other.

    Raises `ConfigError` for a tensor that no safetensors file can hold.
    """
    tensors = {name: tensor for name, tensor, _ in registered(network)}
    found, seen = {}, set[int]()
    for row in rows:
        if row.same_as is None:
            tensor = _plain(row, tensors[row.name]).detach().to("cpu").contiguous()
            storage = tensor.untyped_storage()
            shared = storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes
            found[row.name] = tensor.clone() if shared else tensor
            seen.add(found[row.name].untyped_storage().data_ptr())
    return found


def _plain(row: TensorRow, tensor: Tensor) -> Tensor:
    if tensor.is_meta:
        raise ConfigError(f"{row.name} is on the meta device and holds no numbers. Give the network its weights first.")
    if tensor.layout != torch.strided or row.dtype not in STORABLE or tensor.is_quantized:
        raise ConfigError(
            f"{row.name} is a {row.dtype} tensor of layout {tensor.layout}; a safetensors file holds plain tensors of the "
            f"types {', '.join(STORABLE)}. Convert it before saving."
        )
    return tensor
