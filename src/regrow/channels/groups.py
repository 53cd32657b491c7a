"""Channel groups of a network: read from its own declaration, and checked against its tensors.

The value types `Group` and `Slice` stand in `regrow.networks.groups`, because networks declare them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.networks.removed import inside

__all__ = ["DeclaresGroups", "Group", "Slice", "channel_groups", "check_groups", "keep_masks", "surviving"]


@runtime_checkable
class DeclaresGroups(Protocol):
    """A network that knows which of its channels must go together."""

    def channel_groups(self) -> tuple[Group, ...]:
        """Its prunable groups, in forward order."""
        ...


def channel_groups(network: nn.Module) -> tuple[Group, ...]:
    """The prunable groups of a network, in forward order, each checked to lie inside the network's tensors.

    Groups of blocks in whose place an `nn.Identity` stands are gone, and are left out.

    Raises `PruningError` for a network that declares none.
    """
    if not isinstance(network, DeclaresGroups):
        raise PruningError(
            f"{type(network).__name__} does not say which of its channels go together. "
            "Take a network of `regrow list networks`, or give yours a channel_groups() method."
        )
    identities = [name for name, module in network.named_modules() if isinstance(module, nn.Identity)]
    groups = surviving(network.channel_groups(), identities)
    check_groups(groups, network.state_dict())
    return groups


def surviving(groups: Iterable[Group], removed: Iterable[str]) -> tuple[Group, ...]:
    """The groups without what lies in removed blocks; a group that lies in them whole is left out."""
    removed = tuple(removed)
    if not removed:
        return tuple(groups)
    found = []
    for group in groups:
        left = [(place, part) for place, part in enumerate(group.slices) if not inside(part.tensor, removed)]
        producers = sum(place < group.producers for place, _ in left)
        if left:
            found.append(replace(group, slices=tuple(part for _, part in left), producers=producers))
    return tuple(found)


def check_groups(groups: Iterable[Group], tensors: Mapping[str, Tensor]) -> None:
    """Refuse groups whose slices do not lie inside the named tensors: `PruningError`."""
    for group in groups:
        for part in group.slices:
            tensor = tensors.get(part.tensor)
            if tensor is None:
                raise PruningError(
                    f"group {group.name} names the tensor {part.tensor}, which the network does not have"
                )
            size = tensor.shape[part.axis] if part.axis < tensor.ndim else 0
            length = part.length(group.channels)
            if part.start < 0 or part.start + length > size:
                raise PruningError(
                    f"group {group.name} takes {length} indices from index {part.start} of axis {part.axis} of "
                    f"{part.tensor}, whose shape is {tuple(tensor.shape)}"
                )


def keep_masks(
    groups: Iterable[Group], kept: Mapping[str, Iterable[int]], tensors: Mapping[str, Tensor]
) -> dict[str, dict[int, Tensor]]:
    """Per tensor and axis, which indices stay: boolean, False where a channel of a group goes.

    `kept` gives the kept channels of each group by its name. Tensors and axes that no group touches are left out.
    """
    masks: dict[
        str, dict[int, NDArray[np.bool_]]
    ] = {}  # a dense block has thousands of slices: numpy's small steps are cheaper
    for group in groups:
        keep_C = np.zeros(group.channels, dtype=np.bool_)
        keep_C[list(kept[group.name])] = True
        laid_out: dict[tuple[int, int, tuple[int, ...] | None], NDArray[np.bool_]] = {(1, 1, None): keep_C}
        for part in group.slices:
            axes = masks.setdefault(part.tensor, {})
            if part.axis not in axes:
                axes[part.axis] = np.ones(tensors[part.tensor].shape[part.axis], dtype=np.bool_)
            layout = (part.repeat, part.tile, part.order)
            if layout not in laid_out:
                laid_out[layout] = _laid_out(keep_C, part)
            keep_here = laid_out[layout]
            axes[part.axis][part.start : part.start + len(keep_here)] &= keep_here
    return {name: {axis: torch.from_numpy(keep) for axis, keep in axes.items()} for name, axes in masks.items()}


def _laid_out(keep_C: NDArray[np.bool_], part: Slice) -> NDArray[np.bool_]:
    """One value per channel as they stand along the axis of a slice."""
    ordered = keep_C if part.order is None else keep_C[list(part.order)]
    return np.tile(np.repeat(ordered, part.repeat), part.tile)
