"""Which sub-block of every tensor an architecture keeps: shapes and indices, for tensors of any values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from regrow.channels.architecture import Architecture
from regrow.channels.groups import check_groups, keep_masks
from regrow.networks.groups import Group


@dataclass(frozen=True, slots=True, eq=False)
class SubBlock:
    """What is left of one tensor."""

    dense: tuple[int, ...]
    """Its shape in the dense network."""

    keep: Mapping[int, Tensor]
    """Per axis that lost something, which indices stay: boolean, of the dense length."""

    @property
    def small(self) -> tuple[int, ...]:
        """Its shape in the small network."""
        return tuple(int(self.keep[axis].sum()) if axis in self.keep else size for axis, size in enumerate(self.dense))

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether every axis of a shape has its dense or its small size."""
        return len(shape) == len(self.dense) and all(
            size in sizes for size, sizes in zip(shape, zip(self.dense, self.small, strict=True), strict=True)
        )

    def cut(self, tensor: Tensor) -> Tensor:
        """The kept block; axes that already have their small size are left. The tensor itself where nothing is to be cut."""
        block = tensor.detach()
        for axis, keep in self.keep.items():
            if block.shape[axis] == self.dense[axis]:
                block = block.index_select(axis, keep.nonzero().flatten().to(block.device))
        return tensor if block.shape == tensor.shape else block


def kept_subblocks(architecture: Architecture, tensors: Mapping[str, Tensor]) -> dict[str, SubBlock]:
    """The sub-block that the architecture keeps of each of the dense network's tensors, by name; only their shapes are looked at.

    Raises `PruningError` where the architecture names a tensor that is not there, or indices outside it.
    """
    groups = [Group(entry.group, entry.channels, entry.slices) for entry in architecture.kept]
    check_groups(groups, tensors)
    masks = keep_masks(groups, architecture.indices, tensors)
    return {
        name: SubBlock(
            tuple(tensor.shape), {axis: keep for axis, keep in masks.get(name, {}).items() if not bool(keep.all())}
        )
        for name, tensor in tensors.items()
    }
