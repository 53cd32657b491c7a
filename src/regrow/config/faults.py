"""Faults: how mistakes in a study are named and raised together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

from regrow.errors import ConfigError, Fault, ProtocolError

MISSING: Final = {
    "data": 'Write [data] and below it, for instance, name = "digits".',
    "network": 'Write [network] and below it, for instance, name = "vgg11".',
    "prune": 'Write [prune] and below it, for instance, method = "l1".',
    "data.name": 'For instance name = "digits"; `regrow list data` shows all.',
    "network.name": 'For instance name = "vgg11"; `regrow list networks` shows all.',
    "prune.method": 'For instance method = "l1"; `regrow list methods` shows all.',
}
"""Hints for the keys that a study must give."""


class ProtocolFault(Fault):
    """A mistake that is no slip: the comparison asked for could not be a fair one."""


def refuse(faults: Sequence[Fault]) -> None:
    """Raise the faults, if there are any, as one error."""
    if faults and all(isinstance(fault, ProtocolFault) for fault in faults):
        raise ProtocolError("\n".join(str(fault) for fault in faults))
    if faults:
        raise ConfigError(faults=faults)


def overlaps(first: str, second: str) -> bool:
    """Whether two dotted keys are the same or one lies inside the other; the numbers of tables and of items do not count.

    >>> overlaps("prune", "prune #2.fraction"), overlaps("train.lr", "train.final_lr")
    (True, False)
    """
    one, two = ([part.partition(" #")[0] for part in key.split(".")] for key in (first, second))
    shorter = min(len(one), len(two))
    return one[:shorter] == two[:shorter]


def key_of(section: str, index: int, tables: Sequence[Any], field: str = "") -> str:
    """The dotted key of a field in a section that may stand several times; tables are counted from 1, and only if several.

    >>> key_of("network", 1, ["a", "b"], "name"), key_of("network", 0, ["a"], "name")
    ('network #2.name', 'network.name')
    """
    place = f"{section} #{index + 1}" if len(tables) > 1 else section
    return f"{place}.{field}" if field else place


def fault(key: str, rule: str, hint: str = "") -> Fault:
    """A fault whose file is filled in later."""
    return Fault(where="study", key=key, rule=rule, hint=hint)


def twice(values: Iterable[Hashable]) -> list[Any]:
    """The values that stand more than once, each once, in the order of their first appearance."""
    return [value for value, count in Counter(values).items() if count > 1]
