"""Reconstruction: channels are chosen by what the layers that read them lose, and these layers get new weights.

One walk serves every such method. Groups are taken in the order in which their channels are computed; a method chooses the channels of
a group and gives the layers that read it new weights, in a working copy of full size; the next group sees what that made of the
network. Nothing is trained, the network itself is not changed, and what comes back fits `carve`: the architecture from `kept`, and
a dense copy with `weights` loaded.

Layers that read a group and can be rebuilt are linear layers and convolutions with one group that hold their own weight. Grouped
convolutions, attention's packed projections, layers with a forward of their own and tied weights keep their weights, and have no voice
in the choice. A group that no layer of the first kind reads keeps the channels with the largest L1 norms. Notes say where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from regrow.channels.groups import check_groups
from regrow.channels.masks import named_tensors
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.modes import evaluating
from regrow.pruning.reconstruction_work import Batches, Reader, Work
from regrow.pruning.selection import keep_highest

IMAGES: Final = 2000
"""Examples that a reconstruction looks at, where there are as many."""

POSITIONS: Final = 10
"""Sampled places of a layer's output per example, as in both sources."""


_NAMED: Final = 3
"""Tensors that a note names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerError:
    """How far a layer's output is from what it should be, on the sampled places."""

    group: str
    """The group that lost channels."""

    reader: str
    """The layer that reads it."""

    before: float
    """With the channels removed and the weights as they were; squared error over the variance of what is wanted, so 1 is as bad
    as a constant."""

    after: float
    """The same with the new weights."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What a method chose, and the weights that go with it."""

    kept: dict[str, tuple[int, ...]]
    """The channels that stay, increasing, by group."""

    weights: dict[str, Tensor]
    """New tensors of the dense shapes, by name; columns of removed channels are zero. Tensors that stay as they were are left out."""

    errors: tuple[LayerError, ...]
    notes: tuple[str, ...]


Rebuild: TypeAlias = Callable[[Work, Group, int, Sequence[Reader]], Iterable[LayerError]]
"""Chooses `width` channels of a group, silences the others in the working copy, and gives the readers new weights there."""


def reconstruct(
    method: str,
    rebuild: Rebuild,
    network: nn.Module,
    groups: Sequence[Group],
    widths: Sequence[int],
    batches: Batches | None,
    generator: torch.Generator,
    *,
    images: int = IMAGES,
    positions: int = POSITIONS,
) -> Reconstruction:
    """Walk over the groups with one method.

    Raises `PruningError` without examples, and for groups or widths that do not fit.
    """
    if batches is None:
        raise PruningError(
            f"{method} looks at what layers compute on training examples, and there are none. Use it in a study, pass "
            "batches=..., or choose a method that needs no examples, such as l1."
        )
    _check(network, groups, widths)
    with evaluating(network):
        work = Work(network, groups, batches, generator, images=images, positions=positions)
    wanted = {group.name: width for group, width in zip(groups, widths, strict=True)}
    errors: list[LayerError] = []
    for group in work.order:
        width = wanted[group.name]
        if width == group.channels:
            work.silence(group, range(width))
            continue
        readers = work.readers[group.name]
        work.notes += _notes(method, work, group)
        if readers:
            errors += rebuild(work, group, width, readers)
        else:
            work.silence(group, largest(group, width, work.tensors))
    return Reconstruction(
        kept={group.name: work.kept[group.name] for group in groups},
        weights={name: work.tensors[name].detach() for name in sorted(work.changed)},
        errors=tuple(errors),
        notes=tuple(work.notes),
    )


def _check(network: nn.Module, groups: Sequence[Group], widths: Sequence[int]) -> None:
    check_groups(groups, named_tensors(network))
    if len(widths) != len(groups):
        raise PruningError(
            f"the network has {len(groups)} channel groups and needs one width for each; found {len(widths)}"
        )
    for group, width in zip(groups, widths, strict=True):
        if not 1 <= width <= group.channels:
            raise PruningError(f"{group.name} keeps 1 to {group.channels} channels; asked for {width}")


def _notes(method: str, work: Work, group: Group) -> list[str]:
    unread = work.unread(group)
    which = ", ".join(unread[:_NAMED]) + (f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else "")
    if not work.readers[group.name]:
        reason = "no layer that reads it can be rebuilt" + (f" ({which})" if which else "")
        return [f"{group.name}: {reason}, so its channels were chosen by L1 norm, not by {method}"]
    return (
        [f"{group.name}: {which} also holds its channels, stays as it is and had no voice in the choice"]
        if which
        else []
    )


def largest(group: Group, width: int, tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The channels with the largest sums of absolute weights over all producers, each divided by its mean."""
    scores_C = torch.zeros(group.channels, dtype=torch.float64)
    for part in group.slices[: group.producers]:
        rows = part.length(group.channels)
        weight_R = tensors[part.tensor].detach().movedim(part.axis, 0).narrow(0, part.start, rows)
        norms_R = weight_R.reshape(rows, -1).abs().sum(dim=1, dtype=torch.float64).cpu()
        norms_C = torch.zeros_like(scores_C).index_add_(
            0, torch.tensor(list(part.channels_at(group.channels))), norms_R
        )
        scores_C += norms_C / norms_C.mean().clamp_min(torch.finfo(torch.float64).tiny)
    keep_C = keep_highest(scores_C, group.channels - width)
    return tuple(keep_C.nonzero().flatten().tolist())
