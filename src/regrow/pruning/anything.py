"""Prune any network in one call: trace it, choose channels, carve the small network, and check it against the dense one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from regrow.channels.architecture import Architecture
from regrow.channels.carve import carve
from regrow.channels.trace import Tracing, trace
from regrow.channels.verify import Verification
from regrow.channels.verify import verify as compare
from regrow.pruning.attention_scale import fold_scale
from regrow.pruning.choice import Budget, By, choose
from regrow.pruning.costs import cost_model
from regrow.pruning.report import Report, Untouched, reported
from regrow.pruning.scores import Batches, Criterion
from regrow.pruning.shares import Wish
from regrow.pruning.targets import milliseconds_of

UNASKED: Final = Verification(False, None, None, "verify=False was asked for")


@dataclass(frozen=True)
class Pruned:
    """A small network and its architecture; unpacks into these two: `small, architecture = regrow.prune(...)`."""

    network: nn.Module
    """The small network: an ordinary module of the dense network's class, with smaller tensors."""

    architecture: Architecture
    tracing: Tracing
    notes: tuple[str, ...]
    """What should be known: groups that could not get the fraction, statistics that change, modes that were not traced."""

    verification: Verification
    """What was compared and how close it came, or why nothing was."""

    _dense: nn.Module
    _inputs: Any

    def __iter__(self) -> Iterator[Any]:
        return iter((self.network, self.architecture))

    @functools.cached_property
    def report(self) -> Report:
        """What was removed, what could not be and why, and what it saves; costs two forward passes without numbers."""
        return reported(
            self._dense,
            self.network,
            self.architecture,
            self._inputs,
            untouched=[
                Untouched(what=one.what, channels=one.channels, reason=one.reason) for one in self.tracing.frozen
            ],
            notes=self.notes,
            verification=str(self.verification),
        )


def prune_network(
    network: nn.Module,
    example_inputs: Any,
    *,
    fraction: float | Mapping[str, float] = 0.5,
    criterion: str | Criterion = "l1",
    ignore: str | Sequence[str] = (),
    round_to: int = 1,
    min_channels: int = 1,
    outputs: Callable[[Any], Any] | None = None,
    allow_inexact: Sequence[str] = (),
    verify: bool = True,
    seed: int = 0,
    keep_attention_scale: bool = False,
    batches: Batches | None = None,
    reduce: str = "sum",
    normalise: str = "mean",
    of: str = "channels",
    scope: str = "group",
    floor: float = 0.1,
) -> Pruned:
    """Remove channels of any network, exactly: the small network computes what the dense one does with those channels silenced.

    The network is left untouched; dtype, device, `requires_grad`, ties, hooks, buffers and modes are inherited.

        small, architecture = regrow.prune(network, torch.zeros(1, 3, 224, 224), fraction=0.5)

    Args:
        network: an `nn.Module`. On the meta device only shapes are found, and nothing is verified.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        fraction: share of channels to REMOVE from every group, or one per pattern of group, module or tensor names, the first match
            counting. A plain number leaves attention heads whole and prunes inside them; `{"*": 0.5}` prunes both.
        criterion: a row of `regrow list methods`, or a function that names what it looks at by its parameters, e.g. of a weight (output
            channels first) and a generator, or of a weight and its gradient (rows of `regrow.pruning.evidence`).
        ignore: patterns of modules or tensors that keep all their output channels.
        round_to: kept channels are a multiple of this.
        min_channels: kept channels are at least this many, or all.
        outputs: from the network's output to the tensors that must keep their width; None for all of it.
        allow_inexact: patterns of modules or classes with statistics over channels that may change.
        verify: compare the small network with the silenced dense one, and raise where they part.
        seed: of criteria that draw.
        keep_attention_scale: fold the change of a default attention scale, 1 / sqrt(head size), into the queries.
        batches: training examples for criteria that look at them (taylor, hrank): a list of (images, labels), or a function that gives
            them again at every call. The network sees them in eval mode.
        reduce: over the weights that compute a channel: sum, mean, max, prod or first.
        normalise: of each such weight's scores before that: none, mean, sum, max, gaussian or lamp.
        of: what the fraction is a share of: channels; macs or params of the whole network, met within 1 % of them; latency, measured here;
            or zeros, which takes the channels whose score is exactly 0 and reads no fraction.
        scope: group, the same share of every group, or global, one ranking over all of them.
        floor: with scope global, the share of every group that always stays; one channel stays in any case.

    Raises `ConfigError` for arguments that fit no network or not this one, and `PruningError` where the network cannot be traced or
    copied, where nothing would be removed, where a budget cannot be reached, and where verification fails.
    """
    wish = Wish(
        fraction=fraction,
        ignore=(ignore,) if isinstance(ignore, str) else tuple(ignore),
        round_to=round_to,
        min_channels=min_channels,
    )
    tracing = trace(network, example_inputs, outputs=outputs, allow_inexact=allow_inexact)
    by = By(batches=batches, example=example_inputs, reduce=reduce, normalise=normalise)
    budget = Budget(
        of=of,
        scope=scope,
        floor=floor if scope == "global" else 0.0,
        model=cost_model(network, tracing.groups, example_inputs, outputs=outputs, allow_inexact=allow_inexact)
        if of in ("macs", "params")
        else None,
        latency=milliseconds_of(network, tracing.groups, example_inputs, tracing) if of == "latency" else None,
    )
    choice = choose(network, tracing, wish, criterion, seed, by=by, budget=budget)
    architecture = choice.architecture
    # Other weights are allowed, because these were fingerprinted a moment ago.
    small = carve(network, architecture, other_weights=True)
    checked = UNASKED
    if verify:
        checked = compare(network, small, architecture, tracing, example_inputs, outputs)
    folded = fold_scale(network, small, architecture, tracing, example_inputs) if keep_attention_scale else ()
    return Pruned(
        network=small,
        architecture=architecture,
        tracing=tracing,
        notes=(*tracing.notes, *choice.notes, *folded),
        verification=checked,
        _dense=network,
        _inputs=example_inputs,
    )
