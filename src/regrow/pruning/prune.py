"""Prune: decide what stays, and write it down as an architecture. The network itself is not changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.fingerprint import fingerprint
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.spec import NetworkSpec
from regrow.pruning.decide import Amount, Batches, Decision, Subject, decide_channels
from regrow.pruning.evidence import Criterion


def prune(
    subject: Subject,
    dense: NetworkSpec,
    method: str | Criterion,
    amount: Amount,
    *,
    scales: Mapping[str, Tensor] | None = None,
    batches: Batches | None = None,
    seed: int = 0,
) -> tuple[Architecture, Decision]:
    """The architecture that `method` leaves of a network, and the decision that it rests on.

    Where `amount` gives widths, exactly as many channels stay. `seed` matters to seeded methods only; their draws differ from group to
    group. Raises `PruningError` where widths do not fit, where `dense` does not describe the network, and what `decide_channels` raises.
    """
    _check(subject.groups, dense, amount.widths)
    decision = decide_channels(subject, method, amount, scales=scales, batches=batches, seed=seed)
    return architecture_of(subject, dense, decision), decision


def architecture_of(subject: Subject, dense: NetworkSpec | None, decision: Decision) -> Architecture:
    """What is left, as a value; groups of networks from elsewhere say where they live. `dense` is None where a study cannot name it."""
    network, tracing = subject.network, subject.tracing
    widths = [len(decision.kept[group.name]) for group in subject.groups]
    return Architecture(
        dense=dense,
        kept=tuple(
            KeptChannels(
                group=group.name,
                channels=group.channels,
                indices=decision.kept[group.name],
                slices=group.slices if tracing is not None else (),
            )
            for group in subject.groups
        ),
        corrections=tracing.corrections(widths) if tracing is not None else (),
        removed=decision.removed,
        network=f"{type(network).__module__}:{type(network).__qualname__}" if tracing is not None else "",
        fingerprint=fingerprint(network),
        regrow=regrow_version(),
    )


def _check(groups: Sequence[Group], dense: NetworkSpec, widths: Sequence[int] | None) -> None:
    found = tuple(group.channels for group in groups)
    if found != dense.widths:
        raise PruningError(
            f"the network's groups have {list(found)} channels, its specification says {list(dense.widths)}"
        )
    if widths is not None and len(widths) != len(groups):
        raise PruningError(
            f"{dense.name} has {len(groups)} channel groups and needs one width for each; found {len(widths)}"
        )
