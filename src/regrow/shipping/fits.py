"""Do network, architecture and record belong together? Asked of the small network before saving, of the dense one before loading."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from torch import nn

from regrow.channels.architecture import Architecture, Correction
from regrow.channels.duplicate import duplicate
from regrow.channels.groups import check_groups
from regrow.errors import ConfigError, PruningError
from regrow.networks.build import blueprint
from regrow.networks.removed import inside
from regrow.networks.without import stand_ins
from regrow.shipping.numbers import check_numbers
from regrow.shipping.record import ModuleRow, Record, TensorRow
from regrow.shipping.tensors import groups_of, is_of_zoo, modules_of, registered, rows_of, with_dense_shapes


def check_small(network: nn.Module, rows: tuple[TensorRow, ...], architecture: Architecture) -> None:
    """Refuse a network that was not pruned to this architecture: `ConfigError`."""
    way_out = "Save the small network, not the dense one, together with the architecture that regrow.prune gave."
    check_blocks_gone(network, architecture)
    check_numbers(network, left_corrections(architecture), small=True, way_out=way_out)
    if not is_of_zoo(architecture):
        return
    expected = {row.name: row.shape for row in rows_of(blueprint(architecture.pruned_spec()))}
    found = {row.name: row.shape for row in rows}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ConfigError(
                f"the architecture gives {name} the shape {_shown(expected.get(name))}, in this network it is "
                f"{_shown(found.get(name))}. {way_out}"
            )


def check_dense(network: nn.Module, record: Record, architecture: Architecture) -> None:
    """Refuse a factory whose network is not, class by class and shape by shape, the one that was pruned: `ConfigError`.

    Blocks that the architecture removes were taken out of it before, as they were of the network that was saved.
    """
    _check_classes(network, record)
    _check_shapes(rows_of(network), record)
    _check_groups(network, architecture)
    # The record's shapes came from a file as well: they must follow from the architecture.
    if with_dense_shapes(record.tensors, architecture) != record.tensors:
        raise ConfigError(
            "the shapes in the record do not follow from the architecture: the bundle was put together from two. "
            "Fetch it again, or save the network again."
        )
    way_out = f"The factory must build the network that was pruned, as it was then ({_versions(record)})."
    check_numbers(network, left_corrections(architecture), small=False, way_out=way_out)


def left_corrections(architecture: Architecture) -> list[Correction]:
    """The numbers that follow the sizes, but for those of modules in blocks that are gone."""
    return [one for one in architecture.corrections if not inside(one.module, architecture.missing)]


def check_blocks_gone(network: nn.Module, architecture: Architecture) -> None:
    """Refuse a small network that still has a block that its architecture removes: `ConfigError`."""
    modules = dict(network.named_modules(remove_duplicate=False))
    for name in architecture.missing:
        found = modules.get(name)
        if not isinstance(found, nn.Identity):
            there = f"a {type(found).__name__}" if found is not None else "nothing"
            raise ConfigError(
                f"the architecture removes the block {name}, so an Identity must stand there; found {there}. Save the network that "
                "was carved or regrown from this architecture."
            )


def without_removed(network: nn.Module, record: Record, architecture: Architecture) -> nn.Module:
    """The factory's network with identities where the architecture removes blocks, around the same tensors; itself where it removes none.

    The network that the factory gave stays as it is. `ConfigError` where it has no such blocks.
    """
    if not architecture.removed:
        return network
    modules = dict(network.named_modules(remove_duplicate=False))
    memo: dict[int, Any] = {id(tensor): tensor for _, tensor, _ in registered(network)}
    try:
        memo |= {id(modules[name]): one for name, one in stand_ins(network, architecture.removed).items()}
    except PruningError as error:
        raise ConfigError(
            f"the architecture removes what the factory's network lacks: {error} {_way_out(record)}"
        ) from None
    return duplicate(network, memo)


def _check_classes(network: nn.Module, record: Record) -> None:
    for found, saved in zip_longest(modules_of(network), record.modules):
        if _class_of(found) != _class_of(saved):
            raise ConfigError(
                f"the factory builds another network than the one that was saved ({record.network}): "
                f"{_described(found)} where the bundle has {_described(saved)}. Pass the function that built the dense network, with "
                f"its arguments of then ({_versions(record)})."
            )


def _check_shapes(rows: tuple[TensorRow, ...], record: Record) -> None:
    found = {row.name: row for row in rows}
    saved = {row.name: row for row in record.tensors}
    for name in sorted(found.keys() | saved.keys()):
        here, there = found.get(name), saved.get(name)
        if here is None or there is None:
            missing = "has no tensor" if here is None else "has a tensor too many,"
            raise ConfigError(f"the factory's network {missing} {name}. {_way_out(record)}")
        if (here.kind, here.shape) != (there.kind, there.dense):
            raise ConfigError(
                f"{name} is a {here.kind} of shape {list(here.shape)} in the factory's network; in the dense network that was pruned "
                f"it was a {there.kind} of shape {list(there.dense)}. {_way_out(record)}"
            )
        if here.same_as != there.same_as:
            raise ConfigError(
                f"{name} is {_tie(here)} in the factory's network and {_tie(there)} in the bundle. {_way_out(record)}"
            )


def _tie(row: TensorRow) -> str:
    return f"the same tensor as {row.same_as}" if row.same_as else "a tensor of its own"


def _check_groups(network: nn.Module, architecture: Architecture) -> None:
    """Every slice lies inside its tensor, so no number in the file can ask for more memory than the network has."""
    try:
        check_groups(groups_of(architecture), {name: tensor for name, tensor, _ in registered(network)})
    except PruningError as error:
        raise ConfigError(f"the architecture does not belong to the network in this bundle: {error}") from None


def _way_out(record: Record) -> str:
    return (
        "Pass the function that built the dense network, with its arguments of then (number of classes, image size; "
        f"{_versions(record)})."
    )


def _versions(record: Record) -> str:
    return "saved with " + ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))


def _class_of(row: ModuleRow | None) -> tuple[str, str] | None:
    return (row.name, row.kind) if row else None


def _described(row: ModuleRow | None) -> str:
    if row is None:
        return "no further module"
    return f"{row.kind} at {row.name}" if row.name else row.kind


def _shown(shape: tuple[int, ...] | None) -> str:
    return "none, there is no such tensor" if shape is None else str(list(shape))
