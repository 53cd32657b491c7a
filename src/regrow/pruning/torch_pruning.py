"""Torch-Pruning's pruners as methods: they prune a network by their own rules, and what they leave is adopted and judged like ours.

Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, arXiv:2301.12900; package torch-pruning. It finds its own groups, by
autograd; layers whose channels are no prunable group here (the classifier, streams of networks of the zoo, attention) are
ignored, so that what it leaves is an architecture of the same groups.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional

from regrow.errors import MissingExtraError, PruningError
from regrow.networks.groups import Group
from regrow.pruning.method_sources import TORCH_PRUNERS, TORCH_PRUNING

_CLASSES: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "l1": ("GroupMagnitudeImportance", {"p": 1, "group_reduction": "first", "normalizer": None}),
    "l2": ("GroupMagnitudeImportance", {"p": 2, "group_reduction": "first", "normalizer": None}),
    "group-l1": ("GroupMagnitudeImportance", {"p": 1}),
    "group-l2": ("GroupMagnitudeImportance", {"p": 2}),
    "scale": ("BNScaleImportance", {}),
    "taylor": ("GroupTaylorImportance", {}),
    "lamp": ("LAMPImportance", {}),
    "fpgm": ("FPGMImportance", {}),
    "random": ("RandomImportance", {}),
}
"""Class of Torch-Pruning's importance for every row of TORCH_PRUNERS, and what it is given; its own defaults else."""


def torch_pruning_method(
    network: nn.Module,
    example_inputs: Any,
    *,
    name: str,
    fraction: float,
    groups: Sequence[Group],
    widths: Mapping[str, int] | None = None,
    scope: str = "group",
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]] | None = None,
) -> nn.Module:
    """`network`, pruned in place by Torch-Pruning with the importance of row `name` of TORCH_PRUNERS.

    Args:
        fraction: share of channels to remove.
        groups: what may go; every other layer keeps its output channels.
        widths: channels to keep, by name of the group; exactly so many stay, where Torch-Pruning's own arithmetic might round otherwise.
        scope: `group`, the same share of each, or `global`, one ranking over all. Of a layer that the ranking would empty
            Torch-Pruning takes nothing.
        batches: training examples, for the gradient of the mean cross-entropy (taylor).

    `random` draws from torch's global generator. Raises `MissingExtraError` where Torch-Pruning is not installed, `PruningError`
    where examples are needed and there are none.
    """
    row = TORCH_PRUNERS[name]
    if row.needs_data and batches is None:
        raise PruningError(
            f"{TORCH_PRUNING}:{name} looks at training examples (batches), and there are none here; use it in a study"
        )
    library = _library(name)
    kind, options = _CLASSES[name]
    network.eval()
    if batches is not None and row.needs_data:
        _gather_gradients(network, batches)
    with warnings.catch_warnings():
        # It says which parameters outside layers it will cut, and how; whether that was right is seen when the result is adopted.
        warnings.simplefilter("ignore", UserWarning)
        pruner = library.pruner.BasePruner(
            network,
            example_inputs,
            importance=getattr(library.importance, kind)(**options),
            global_pruning=scope == "global",
            pruning_ratio=fraction,
            pruning_ratio_dict=dict(_ratios(network, groups, widths)) if widths and scope == "group" else {},
            ignored_layers=list(_ignored(network, groups)),
            # Its defaults for these are dicts that all its pruners share, with what was put in for other networks.
            in_channel_groups={},
            out_channel_groups={},
            num_heads={},
        )
        pruner.step()
    network.zero_grad(set_to_none=True)
    return network


def _library(name: str) -> Any:
    try:
        return importlib.import_module("torch_pruning")
    except ModuleNotFoundError as error:
        if error.name != "torch_pruning":
            raise
        raise MissingExtraError(f"the method {TORCH_PRUNING}:{name}", TORCH_PRUNING) from None


def _gather_gradients(network: nn.Module, batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> None:
    """The gradient of the mean cross-entropy over all examples; norms use their running statistics."""
    device = next(network.parameters()).device
    examples = 0
    for images, labels in batches():
        functional.cross_entropy(network(images.to(device)), labels.to(device), reduction="sum").backward()  # type: ignore[no-untyped-call]
        examples += len(labels)
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad /= examples


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers whose output channels Torch-Pruning can take away."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return ((name, module) for name, module in network.named_modules() if isinstance(module, kinds))


def _prunable(network: nn.Module, groups: Sequence[Group]) -> dict[str, Group]:
    """Weights whose output channels are a group of plain channels, by name; heads of attention and what is inside them stay."""
    heads = {part.tensor for group in groups if group.role == "heads" for part in group.slices}
    linear = {f"{name}.weight" for name, module in _layers(network) if isinstance(module, nn.Linear)}
    return {
        part.tensor: group
        for group in groups
        for part in group.slices
        if part.axis == 0 and group.role == "channels" and part.tensor not in heads & linear
    }


def _ignored(network: nn.Module, groups: Sequence[Group]) -> Iterator[nn.Module]:
    free = _prunable(network, groups)
    return (module for name, module in _layers(network) if f"{name}.weight" not in free)


def _ratios(
    network: nn.Module, groups: Sequence[Group], widths: Mapping[str, int]
) -> Iterator[tuple[nn.Module, float]]:
    """Share to remove of each layer, half an index beside a whole number, so that int(n * (1 - ratio)) is the width."""
    free = _prunable(network, groups)
    for name, module in _layers(network):
        group = free.get(f"{name}.weight")
        if group is not None:
            indices = module.get_parameter("weight").shape[0]
            stay = widths[group.name] * indices // group.channels
            yield module, 1 - (stay + 0.5) / indices
