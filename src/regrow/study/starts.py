"""Starts: the network and the optimiser's state that a training begins with. Run by workers only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from regrow.channels.architecture import Architecture, read_architecture
from regrow.channels.carve import carve
from regrow.channels.foreign import carved_shell, network_at
from regrow.channels.masks import axis_masks
from regrow.networks.sources import is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.pruning.holding import without_removed
from regrow.pruning.mask_draws import scale_to_kept
from regrow.pruning.mask_files import read_masks
from regrow.pruning.sparsity import Masks, apply_masks
from regrow.study.artifacts import ARCHITECTURE, MASK, STATE, WEIGHTS
from regrow.study.task import Task
from regrow.training.checkpoint import load_weights
from regrow.training.state import State, load_state


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a training begins with."""

    network: nn.Module
    masks: Masks | None = None
    """Of a network whose weights are masked."""

    state: State | None = None
    """The optimiser's, and where random numbers stand; None where a training begins with neither."""


def start(task: Task) -> Start:
    """The start state that a train stage asks for."""
    asked = task.stage.settings["start"]
    masks = read_masks(task.input_file("pruned", MASK)) if "mask" in task.stage.settings else None
    if asked["weights"] == "rewound":
        return _rewound(task, asked, masks)
    if asked["weights"] == "carved":
        network = loaded(task, "pruned", task.spec)
    else:
        network = network_at(task.spec, task.access, asked["seed"], asked["role"])
    if masks is not None:
        if task.stage.settings["mask"] == "kept-weights":
            scale_to_kept(network, masks)
        apply_masks(network, masks)
    return Start(network=network, masks=masks)


def _rewound(task: Task, asked: dict[str, object], masks: Masks | None) -> Start:
    """The dense network at a step of its run, without what was pruned since."""
    architecture = None if masks is not None else read_architecture(task.input_file("pruned", ARCHITECTURE))
    spec = task.spec if architecture is None else architecture.dense
    assert spec is not None  # a study's architectures say how their dense network is built
    dense = network_at(spec, task.access, int(str(asked["seed"])), str(asked["role"]))
    state = load_state(task.input_file("state", STATE)) if asked["step"] else None
    if state is not None:
        dense.load_state_dict(dict(state.weights))
    if masks is not None:
        apply_masks(dense, masks)
        left = state and replace(state, optimizer=without_removed(state.optimizer, dense, masks))
        return Start(network=dense, masks=masks, state=left)
    assert architecture is not None
    small = carve(dense, architecture, other_weights=True)
    return Start(
        network=small, state=state and replace(state, optimizer=_cut(state.optimizer, dense, architecture, small))
    )


def _cut(
    optimizer: Mapping[str, Tensor], dense: nn.Module, architecture: Architecture, small: nn.Module
) -> dict[str, Tensor]:
    """The optimiser's state of the parameters that are left, without the rows and columns that went."""
    axes = axis_masks(dense, architecture)
    left = [name for name, parameter in small.named_parameters() if parameter.requires_grad]
    before = [name for name, parameter in dense.named_parameters() if parameter.requires_grad]
    cut: dict[str, Tensor] = {}
    for key, tensor in optimizer.items():
        position, _, rest = key.partition(".")
        name = before[int(position)]
        if name not in left:
            continue
        if tensor.ndim:
            for axis, keep in axes.get(name, {}).items():
                tensor = tensor.index_select(axis, keep.nonzero().flatten())
        cut[f"{left.index(name)}.{rest}"] = tensor
    return cut


def loaded(task: Task, role: str, spec: NetworkSpec) -> nn.Module:
    """The network of an earlier stage. One that was carved from elsewhere keeps what carving kept and no weights hold."""
    if is_foreign(spec.name) and (task.input_folder(role) / ARCHITECTURE).exists():
        network = carved_shell(read_architecture(task.input_file(role, ARCHITECTURE)), task.access)
    else:
        network = network_at(spec, task.access, 0, "to be overwritten")
    load_weights(network, task.input_file(role, WEIGHTS))
    return network
