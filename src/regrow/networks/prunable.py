"""What of a dense network can be pruned: its groups and what binds them to each other. A plain value; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from regrow.networks.layouts import GroupInfo
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS


@dataclass(frozen=True, kw_only=True, slots=True)
class Prunable:
    """The prunable groups of one dense network, in forward order."""

    groups: tuple[GroupInfo, ...]

    heads: frozenset[str] = frozenset()
    """Names of groups whose channels are blocks that another group divides (attention heads): a share of all channels leaves them."""

    links: tuple[tuple[int, ...], ...] = ()
    """Positions (from 0) of groups that must keep the same share of their channels."""

    notes: tuple[str, ...] = ()
    """For people: what cannot be pruned, and why."""

    normless: tuple[str, ...] = ()
    """Names of groups that no norm layer with a scale follows."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every group."""
        return tuple(group.channels for group in self.groups)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "groups": [asdict(group) for group in self.groups],
            "heads": sorted(self.heads),
            "links": [list(link) for link in self.links],
            "notes": list(self.notes),
            "normless": list(self.normless),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Prunable:
        """The inverse of `to_json`."""
        return cls(
            groups=tuple(GroupInfo(**group) for group in value["groups"]),
            heads=frozenset(value["heads"]),
            links=tuple(tuple(link) for link in value["links"]),
            notes=tuple(value["notes"]),
            normless=tuple(value.get("normless", ())),
        )


def prunable_of_zoo(dense: NetworkSpec) -> Prunable:
    """The groups that a network of the zoo declares. Raises `UnknownNameError` for another network."""
    row = NETWORKS[dense.name]
    groups = row.groups(dense.width)
    return Prunable(groups=groups, normless=() if row.normed else tuple(group.name for group in groups))
