"""Pruning after the transfer (the paper's Prune-D): a trained detector's backbone becomes the small network of a study.

The dense backbone, as detection has trained it, is pruned by the study's method to the widths of the study's own small network of the
same seed. Which channels stay is decided anew, on the weights of now. Everything else of the detector is kept; only the pyramid's lateral
convolutions lose the inputs that are gone. Running statistics of batch norms are estimated anew on the training images that come next:
removed inputs shift them, and norms that stay frozen would keep what is no longer true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.channels.carve import carve
from regrow.channels.foreign import traced
from regrow.channels.groups import channel_groups, keep_masks
from regrow.channels.masks import axis_masks, named_tensors
from regrow.channels.trace import trace
from regrow.detection.batches import Batch
from regrow.detection.detector import build_detector, trunk_of
from regrow.detection.levels import SIDES, Level, hooked
from regrow.detection.settings import DetectionSettings
from regrow.detection.sources import Source
from regrow.errors import PruningError
from regrow.networks.foreign import made_up_images
from regrow.networks.groups import Group
from regrow.networks.modes import evaluating
from regrow.networks.sources import Access, is_foreign
from regrow.networks.spec import NetworkSpec
from regrow.pruning.decide import Amount, Subject
from regrow.pruning.methods import METHODS
from regrow.pruning.norms import reestimate_norms
from regrow.pruning.prune import prune
from regrow.study.stage import Stage

NORM_BATCHES: Final = 20
"""Batches of training images from which norm statistics are estimated, as in a study."""

_NETWORK, _LATERALS = "network.", "laterals."


def check_pruning(pruning: Stage | None) -> Stage:
    """Refuse what cannot be done again on a detector's backbone: `PruningError`."""
    if pruning is None:
        raise PruningError(
            "the study has no pruning of its dense network on record, so there is none to do after the transfer."
        )
    asked = pruning.settings
    name = str(asked["method"])
    row = METHODS.get(name)
    if (
        row is None
        or row.needs_data
        or row.while_training
        or row.kind in ("reconstruction", "whole")
        or "round" in asked
    ):
        plain = ", ".join(name for name, row in METHODS.items() if row.kind == "criterion" and not row.needs_data)
        raise PruningError(
            f"{name} needs classified images, a training of its own or several rounds, which a detector does not have, so it cannot "
            f"be pruned after the transfer. Leave --prune-after out, or take a method that reads weights once: {plain}."
        )
    if asked.get("amount", {}).get("remove", "channels") != "channels":
        raise PruningError(
            f"{name} removes {asked['amount']['remove']} here; only channels can be pruned after the transfer."
        )
    return pruning


def prune_later(detector: nn.Module, source: Source, classes: int, settings: DetectionSettings, seed: int) -> nn.Module:
    """The detector on its pruned backbone, to be trained on. `detector` stands on the dense network and gives its parts away.

    Raises `PruningError` where `check_pruning` does, or where the widths do not fit.
    """
    pruning = check_pruning(source.pruning)
    found = source.store.result(pruning.key)
    if found is None:
        raise PruningError(f"{pruning.label} is not in the store. Run the study again to finish it.")
    asked = pruning.settings
    spec = NetworkSpec.from_json(asked["dense"])
    detector.cpu()
    trunk = trunk_of(detector)
    trunk.network.requires_grad_(True)  # the carved copy inherits what may train; the new trunk decides that anew
    amount = Amount.from_json({**asked, "widths": found["widths"]})
    subject = _subject(trunk.network, spec, Access.from_local(pruning.local))
    architecture, _ = prune(subject, spec, str(asked["method"]), amount, seed=asked["seed"] or 0)
    small = carve(trunk.network, architecture)
    after = build_detector(small, source.images, classes, settings, seed)
    kept = kept_inputs(trunk.network, axis_masks(trunk.network, architecture), trunk.levels, source.images.channels)
    after.load_state_dict(_inherited(detector, after, kept))
    return after


def _subject(network: nn.Module, spec: NetworkSpec, access: Access) -> Subject:
    if is_foreign(spec.name):
        tracing = traced(spec, access).tracing
        groups, links = tracing.groups, tracing.links
        return Subject(network=network, groups=groups, links=links, example=made_up_images(spec), tracing=tracing)
    return Subject(network=network, groups=channel_groups(network), example=made_up_images(spec))


def _inherited(before: nn.Module, after: nn.Module, kept: Sequence[Tensor]) -> dict[str, Tensor]:
    """The new detector's own backbone, and everything else of the old one, lateral inputs that are gone left out."""
    old, state = before.state_dict(), dict(after.state_dict())
    for name, tensor in state.items():
        if name.startswith("backbone.trunk."):
            continue
        part = old[name]
        if name.startswith("backbone.pyramid.inner_blocks.") and name.endswith(".weight"):
            part = part.index_select(1, kept[int(name.split(".")[3])])
        if part.shape != tensor.shape:
            raise PruningError(f"{name} has shape {tuple(part.shape)} after pruning; {tuple(tensor.shape)} is needed.")
        state[name] = part
    return state


def refresh_norms(detector: nn.Module, batches: Iterable[Batch]) -> None:
    """Estimate the running statistics of the backbone's batch norms anew, on up to `NORM_BATCHES` batches of two images or more."""
    prepare = detector.get_submodule("transform")

    def prepared() -> Iterator[tuple[Tensor, Tensor]]:
        for images, _ in islice(batches, NORM_BATCHES):
            together, _ = prepare(images)
            yield together.tensors, torch.empty(0)

    with evaluating(detector):
        reestimate_norms(trunk_of(detector), prepared())


class _Lateral(nn.Module):
    """A classifier and one convolution on each of its maps: what has to be traced to know which channels a map holds."""

    def __init__(self, network: nn.Module, levels: Sequence[Level]) -> None:
        super().__init__()
        self.network, self.names = network, [level.module for level in levels]
        self.laterals = nn.ModuleList(nn.Conv2d(level.channels, 1, 1, bias=False) for level in levels)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: dict[str, Tensor] = {}

        def note(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
            del module, inputs
            maps[name] = output

        with hooked(self.network, note, *self.names):
            self.network(images)
        return [convolution(maps[name]) for convolution, name in zip(self.laterals, self.names, strict=True)]


def kept_inputs(
    network: nn.Module, masks: Mapping[str, Mapping[int, Tensor]], levels: Sequence[Level], image_channels: int
) -> list[Tensor]:
    """Which channels of each level's map stay: indices, int64. `masks` says what stays of the network's tensors, by axis."""
    whole = _Lateral(network, levels)
    groups = trace(whole, torch.zeros(1, image_channels, SIDES[0], SIDES[0])).groups
    kept = {group.name: _kept(group, masks) for group in groups}
    found = keep_masks(groups, kept, named_tensors(whole))
    everything = [torch.ones(level.channels, dtype=torch.bool) for level in levels]
    return [
        found.get(f"{_LATERALS}{number}.weight", {}).get(1, plain).nonzero().flatten()
        for number, plain in enumerate(everything)
    ]


def _kept(group: Group, masks: Mapping[str, Mapping[int, Tensor]]) -> list[int]:
    """The channels of a group of the whole that stay, read off a weight that computes them; all where nothing goes."""
    for part in group.slices:
        mask = masks.get(part.tensor.removeprefix(_NETWORK), {}).get(part.axis)
        if part.tensor.startswith(_NETWORK) and mask is not None:
            stays = mask[part.start : part.start + part.length(group.channels)].tolist()
            gone = {channel for channel, keep in zip(part.channels_at(group.channels), stays, strict=True) if not keep}
            return [channel for channel in range(group.channels) if channel not in gone]
    return list(range(group.channels))
