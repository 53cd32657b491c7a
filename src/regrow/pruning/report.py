"""The report of a pruning: what was removed, what could not be and why, whether it was verified, and what it saves. As text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from regrow.channels.architecture import Architecture
from regrow.networks.cost import Cost, cost_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Untouched:
    """Channels that could not be pruned."""

    what: str
    channels: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a pruning did; `print(report)` shows it as a table."""

    network: str
    """Class of the network."""

    groups: tuple[tuple[str, int, int], ...]
    """Per group its name, its channels before and after, in forward order."""

    untouched: tuple[Untouched, ...]
    """What could not be pruned, with the reason."""

    notes: tuple[str, ...]
    """What else should be known."""

    verification: str
    """What was compared and how close it came, or why nothing was."""

    parameters: tuple[int, int]
    """Parameters before and after."""

    macs: tuple[int, int] | None
    """Multiply-accumulates of the forward pass of the example inputs, before and after; None where they could not be counted."""

    def __str__(self) -> str:
        lines = [self.network, f"  {_change('parameters', self.parameters)}"]
        lines.append(f"  {_change('MACs of the example inputs', self.macs)}" if self.macs else "  MACs: not counted")
        lines += ["", *_columns([("group", "channels", "kept"), *self.groups])]
        if self.untouched:
            rows = [(one.what, one.channels, one.reason) for one in self.untouched]
            lines += ["", *_columns([("not pruned", "channels", "reason"), *rows])]
        if self.notes:
            lines += ["", "notes", *(f"  {note}" for note in _gathered(self.notes))]
        return "\n".join([*lines, "", f"verification: {self.verification}"])

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "network": self.network,
            "parameters": {"dense": self.parameters[0], "small": self.parameters[1]},
            "macs": {"dense": self.macs[0], "small": self.macs[1]} if self.macs else None,
            "groups": [{"group": name, "channels": channels, "kept": kept} for name, channels, kept in self.groups],
            "not_pruned": [asdict(one) for one in self.untouched],
            "notes": list(self.notes),
            "verification": self.verification,
        }


def reported(
    dense: nn.Module,
    small: nn.Module,
    architecture: Architecture,
    example_inputs: Any,
    *,
    untouched: Sequence[Untouched] = (),
    notes: Sequence[str] = (),
    verification: str = "not verified",
) -> Report:
    """Compare a dense network with the small one carved from it. Costs two forward passes without numbers (meta device)."""
    before, after = cost_with(dense, example_inputs), cost_with(small, example_inputs)
    return Report(
        network=architecture.network,
        groups=tuple((entry.group, entry.channels, len(entry.indices)) for entry in architecture.kept),
        untouched=tuple(untouched),
        notes=tuple(notes),
        verification=verification,
        parameters=(_parameters(dense), _parameters(small)),
        macs=(before.macs, after.macs) if before and after else None,
    )


def cost_with(network: nn.Module, example_inputs: Any) -> Cost | None:
    """Cost of one forward pass with these inputs: a tensor, a tuple, or a dict of keywords.

    None where the network does not run on them.
    """
    try:
        return cost_of(_Called(network, example_inputs), shape=())
    except Exception:  # whatever a stranger's forward raises
        return None


class _Called(nn.Module):
    """A network together with its inputs: the inputs are buffers, so that they move to the meta device with it."""

    def __init__(self, network: nn.Module, example_inputs: Any) -> None:
        super().__init__()
        self.network = network
        self.leaves, self.structure = tree_flatten(example_inputs)
        for number, leaf in enumerate(self.leaves):
            if isinstance(leaf, Tensor):
                self.register_buffer(f"input{number}", leaf.detach())

    def forward(self, _: Tensor) -> Any:
        """Run the network on its inputs."""
        inputs = dict(self.named_buffers(recurse=False))
        leaves = [inputs.get(f"input{number}", leaf) for number, leaf in enumerate(self.leaves)]
        given = tree_unflatten(leaves, self.structure)
        if isinstance(given, Mapping):
            return self.network(**given)
        return self.network(*given) if isinstance(given, tuple) else self.network(given)


def _gathered(notes: Sequence[str]) -> list[str]:
    """Notes of many places that say the same, as one.

    >>> _gathered(["a.norm1: statistics change", "b.norm1: statistics change", "c: other"])
    ['statistics change: a.norm1, b.norm1', 'c: other']
    """
    places: dict[str, list[str]] = {}
    for note in notes:
        place, colon, what = note.partition(": ")
        places.setdefault(what if colon else note, []).append(place)
    return [
        (f"{names[0]}: {what}" if names[0] != what else what) if len(names) == 1 else f"{what}: {_few(names)}"
        for what, names in places.items()
    ]


def _few(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _change(what: str, pair: tuple[int, int]) -> str:
    """One line: `parameters: 25.56 M before, 6.92 M after (-73 %)`."""
    before, after = pair
    percent = f" ({100 * (after / before - 1):+.0f} %)" if before else ""
    return f"{what}: {_short(before)} before, {_short(after)} after{percent}"


def _short(number: int) -> str:
    """Three digits and a unit.

    >>> _short(25_557_032), _short(4_100_000_000), _short(810)
    ('25.6 M', '4.1 G', '810')
    """
    for size, unit in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def _columns(rows: Sequence[tuple[str, object, object]]) -> list[str]:
    """Three columns under their headings: numbers stand right, words left."""
    first, second, third = (max(len(str(row[place])) for row in rows) for place in range(3))
    numbers = all(isinstance(row[2], int) for row in rows[1:])
    return [
        f"{name:<{first}}  {channels!s:>{second}}  " + (f"{rest!s:>{third}}" if numbers else str(rest))
        for name, channels, rest in rows
    ]
