"""Kernel shares: where masks keep weights, by stage of the network and by position inside 3x3 kernels.

The patterns that unstructured pruning leaves (Liu et al. 2019, arXiv:1810.05270, section 5): in which stages weights stay, and whether
the centre of a kernel stays more often than its corners. Stages count from 0, as in `regrow.networks.layouts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from regrow.networks.layouts import GroupInfo

SIDE: Final = 3
"""Of the kernels whose positions are told apart; all others count in their stage's share alone."""


def has_positions(shape: Sequence[int]) -> bool:
    """Whether a weight is one of 3x3 kernels.

    >>> has_positions((64, 32, 3, 3)), has_positions((64, 32, 1, 1)), has_positions((10, 64))
    (True, False, False)
    """
    return len(shape) == 4 and tuple(shape[2:]) == (SIDE, SIDE)


def stages_of(tensors: Iterable[str], groups: Sequence[GroupInfo]) -> dict[str, int]:
    """The stage that every weight belongs to.

    A weight belongs to the stage of the groups that stand in the same module, the innermost that holds any: `stage2.block1.conv2` and
    the block's shortcut to that of `stage2.block1.conv1`. A weight that shares none with a group (a stem, a classifier's hidden layer)
    belongs to the stage of the weight before it; the first ones to stage 0.

    >>> groups = [GroupInfo(name="stage1.block1.conv1", position=2, stage=0, channels=16)]
    >>> groups += [GroupInfo(name="stage2.block1.conv1", position=4, stage=1, channels=32)]
    >>> stages_of(["stem.weight", "stage2.block1.shortcut.weight", "head.weight"], groups)
    {'stem.weight': 0, 'stage2.block1.shortcut.weight': 1, 'head.weight': 1}
    """
    around = _stage_of_modules(groups)
    found: dict[str, int] = {}
    last = 0
    for tensor in tensors:
        parts = tensor.split(".")[:-1]
        names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
        last = next((around[name] for name in names if name in around), last)
        found[tensor] = last
    return found


def _stage_of_modules(groups: Sequence[GroupInfo]) -> dict[str, int]:
    """The stage of every module that holds groups; modules with groups of several stages are left out."""
    stages: dict[str, set[int]] = {}
    for group in groups:
        parts = group.name.split(".")
        for length in range(1, len(parts) + 1):
            stages.setdefault(".".join(parts[:length]), set()).add(group.stage)
    return {name: min(found) for name, found in stages.items() if len(found) == 1}


def shares_by_stage(masks: Mapping[str, Tensor], stages: Mapping[str, int]) -> dict[str, float]:
    """Share of all masked weights kept, by stage; keys are text, as JSON has them."""
    kept, total = dict[int, int](), dict[int, int]()
    for name, mask in masks.items():
        stage = stages[name]
        kept[stage] = kept.get(stage, 0) + int(mask.count_nonzero())
        total[stage] = total.get(stage, 0) + mask.numel()
    return {str(stage): kept[stage] / total[stage] for stage in sorted(total)}


def shares_by_position(masks: Mapping[str, Tensor], stages: Mapping[str, int]) -> dict[str, list[list[float]]]:
    """Share of weights kept at each position of the 3x3 kernels of a stage, rows from the top; stages without any are left out.

    >>> mask = torch.zeros(2, 1, 3, 3, dtype=torch.bool)
    >>> mask[:, :, 1, 1], mask[0, :, 0, 2] = True, True
    >>> shares_by_position({"conv.weight": mask}, {"conv.weight": 4})
    {'4': [[0.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]}
    """
    kept, total = dict[int, Tensor](), dict[int, int]()
    for name, mask in masks.items():
        if has_positions(mask.shape):
            stage = stages[name]
            counts = mask.cpu().sum(dim=(0, 1), dtype=torch.int64)
            kept[stage] = kept.get(stage, torch.zeros(SIDE, SIDE, dtype=torch.int64)) + counts
            total[stage] = total.get(stage, 0) + mask.shape[0] * mask.shape[1]
    return {str(stage): (kept[stage].double() / total[stage]).tolist() for stage in sorted(total)}
