"""The work that comes before any training: decoding data, counting networks. A plan needs it, so it leaves the trainer unimported."""

from __future__ import annotations

from typing import Any

from regrow.networks.sources import is_foreign
from regrow.study.task import Task

Result = dict[str, Any]


def prepare_data(task: Task) -> Result:
    """Decode and split; needs no torch."""
    from regrow.data.prepare import prepare
    from regrow.data.settings import DataSettings

    settings = {name: value for name, value in task.stage.settings.items() if name != "content"}
    return prepare(DataSettings(**settings, **task.stage.local), task.folder)


def trace_network(task: Task) -> Result:
    """The groups of a network from elsewhere."""
    from regrow.channels.foreign import prunable_of

    return prunable_of(task.spec, task.access).to_json()


def count_cost(task: Task) -> Result:
    """MACs, parameters and activation memory."""
    if is_foreign(task.spec.name):
        from regrow.channels.foreign import network_at
        from regrow.networks.cost import cost_of

        counted = cost_of(network_at(task.spec, task.access, 0, "cost"), task.spec.shape)
    else:
        from regrow.networks.cost import cost

        counted = cost(task.spec)
    return {"macs": counted.macs, "params": counted.params, "peak_activation_bytes": counted.peak_activation_bytes}
