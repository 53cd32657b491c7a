"""Trust: a study that names code of somebody's own runs it, so its reader must say that he wants that. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from regrow.config.faults import fault, key_of, refuse
from regrow.errors import Fault
from regrow.networks.sources import is_foreign, name_fault, split
from regrow.pruning.method_sources import untrusted_methods

if TYPE_CHECKING:
    from regrow.config.study import Study


_HINT: Final = "Look at it, then add --trust (from Python: trust=True)."


def untrusted(study: Study) -> Iterator[Fault]:
    """A fault for every network and every method whose code came with the study."""
    for i, network in enumerate(getattr(study, "network", ())):
        if not is_foreign(network.name) or name_fault(network.name) is not None:
            continue
        if split(network.name)[0].needs_trust:
            rule = f"runs code that regrow does not know, {network.name}, and you have not said that you trust it"
            yield fault(key_of("network", i, study.network, "name"), rule, _HINT)
    for i, prune in enumerate(getattr(study, "prune", ())):
        for method in untrusted_methods(prune.methods, study.folder):
            rule = f"runs code that regrow does not know, {method}, and you have not said that you trust it"
            yield fault(key_of("prune", i, study.prune, "method"), rule, _HINT)


def require_trust(study: Study) -> None:
    """Raise `ConfigError` where a study names code that its reader has not said he trusts."""
    if not study.trusted:
        refuse(list(untrusted(study)))
