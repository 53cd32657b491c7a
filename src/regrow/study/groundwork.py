"""The work that comes before any training: decoding data, counting networks. A plan needs it, so it leaves the trainer unimported."""

from __future__ import annotations

from dataclasses import asdict, replace
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
    from regrow.channels.foreign import network_at, prunable_of, traced
    from regrow.pruning.norm_scales import norm_scales

    found, network = prunable_of(task.spec, task.access), network_at(task.spec, task.access, 0, "trace")
    groups = traced(task.spec, task.access).tracing.groups
    normless = tuple(group.name for group in groups if not norm_scales(network, group))
    return replace(found, normless=normless).to_json()


def find_widths(task: Task) -> Result:
    """The width of every group at which the network loses the share of MACs, parameters or latency that a study asks for."""
    from regrow.channels.foreign import network_at, traced
    from regrow.channels.groups import channel_groups
    from regrow.networks.foreign import made_up_images
    from regrow.pruning.guide import Guide
    from regrow.pruning.guide_widths import guided_shares
    from regrow.pruning.targets import widths_for

    spec, asked = task.spec, task.stage.settings
    network = network_at(spec, task.access, 0, "to be overwritten")
    tracing = traced(spec, task.access).tracing if is_foreign(spec.name) else None
    groups, links = (tracing.groups, tracing.links) if tracing is not None else (channel_groups(network), ())
    skip = tuple(map(str, asked.get("skip", ())))
    kept = guided_shares(Guide.from_json(asked["guide"]), spec) if "guide" in asked else None
    found = widths_for(network, groups, links, made_up_images(spec), asked["of"], asked["fraction"], skip, kept=kept)
    return {"widths": list(found.widths), "reached": dict(found.reached), "notes": list(found.notes)}


def count_cost(task: Task) -> Result:
    """MACs, parameters and activation memory; of a network from elsewhere also what had to be mended to draw it afresh."""
    if not is_foreign(task.spec.name):
        from regrow.networks.cost import cost

        return asdict(cost(task.spec))
    from regrow.channels.foreign import mended, network_at
    from regrow.networks.cost import cost_of

    counted = cost_of(network_at(task.spec, task.access, 0, "cost"), task.spec.shape)
    return {**asdict(counted), "notes": list(mended(task.spec, task.access))}
