"""Places of factors: behind which modules a network's channels or blocks can be multiplied, and which weights take the factors in.

A factor behind a layer must in the end be multiplied into weights, so that the network is an ordinary one again. A place is therefore a
module and the parameters whose scaling scales its output. Code can hide both: it may use a layer's weights without calling the layer, or
lay channels along another axis. `outputs` looks at one forward pass, so that such code is refused before anything is trained.

Shape suffix: F = indices along the channel axis of a module's output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.modes import evaluating
from regrow.pruning.norm_scales import is_norm, norm_scales

_LAST: Final = (nn.Linear, nn.LayerNorm, nn.RMSNorm)
"""Types whose channels lie along the last axis of the output; exactly these, because subclasses move axes. All others: axis 1."""

_Home = tuple[str, int, Tensor]
"""A weight that computes or scales channels of a group: its name, the index of the first, and the channel at each index."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A module whose output is multiplied by factors."""

    name: str
    """Dotted name of the module."""

    module: nn.Module

    numbers: Tensor
    """Number of the factor at each index along the channel axis, int64 F; how many factors there are where there is none (times 1).
    A single number where all of the output has one factor."""

    scaled: tuple[nn.Parameter, ...]
    """Parameters with the channels along axis 0: what takes the factors in."""

    axis: int = 1
    """The output's channel axis, 1 or -1."""

    first: int | None = None
    """The first number where they count up one by one and all stand for a factor: a view will do then. Known before the network is
    compiled, since a number that is read off a tensor would cut its graph in two."""

    def over(self, factors: Tensor, output: Tensor) -> Tensor:
        """The factors of this place, shaped to multiply the output."""
        factor = self._here(factors).to(output.dtype)
        if factor.ndim and self.axis == 1:
            factor = factor.reshape(-1, *[1] * (output.ndim - 2))
        return factor

    def fold(self, factors: Tensor) -> None:
        """Multiply the factors into the parameters."""
        factor = self._here(factors.detach())
        for parameter in self.scaled:
            shape = (-1, *[1] * (parameter.ndim - 1)) if factor.ndim else ()
            parameter.data.mul_(factor.reshape(shape).to(parameter.dtype))

    def _here(self, factors: Tensor) -> Tensor:
        if self.first is not None:
            end = self.first + self.numbers.numel()
            return factors[self.first : end].reshape(self.numbers.shape)
        return torch.cat([factors, factors.new_ones(1)])[self.numbers.to(factors.device)]


def places_of_blocks(network: nn.Module, blocks: Mapping[str, Sequence[str]]) -> tuple[Place, ...]:
    """Places behind the ends of the blocks' branches; the factor of block number n is number n.

    Raises `PruningError` where an end has no weights that could take a factor in.
    """
    places = []
    for number, (name, ends) in enumerate(blocks.items()):
        for end in ends:
            scaled = _at_end(network, name, end)
            places.append(Place(end, network.get_submodule(end), torch.tensor(number), scaled, first=number))
    return _untied(network, places)


def places_of_channels(network: nn.Module, groups: Sequence[Group], example: Any = None) -> tuple[Place, ...]:
    """Places behind all norms that hold a group's channels, or, without a norm, behind the layers that compute them.

    Factors are numbered through the groups in their order. A channel that two groups divide (attention heads and the channels inside
    them) has a place for each. Raises `PruningError` for channels that no layer's output holds.
    """
    total = sum(group.channels for group in groups)
    found: list[tuple[str, Tensor]] = []
    first = 0
    for group in groups:
        for tensor, start, channels in _homes(network, group):
            numbers_F = torch.full((len(network.get_parameter(tensor)),), total)
            numbers_F[start : start + len(channels)] = first + channels
            found.append((tensor.rpartition(".")[0], numbers_F))
        first += group.channels
    shapes = None if example is None else outputs(network, {name for name, _ in found}, example)
    return _untied(network, [_channel_place(network, *one, shapes, total) for one in _joined(found, total)])


def _joined(found: Iterable[tuple[str, Tensor]], total: int) -> list[tuple[str, Tensor]]:
    """As few places as possible: groups that hold different indices of one module share one."""
    joined: dict[str, list[Tensor]] = {}
    for name, numbers_F in found:
        for other_F in joined.setdefault(name, []):
            if bool(((other_F == total) | (numbers_F == total)).all()):
                torch.minimum(other_F, numbers_F, out=other_F)
                break
        else:
            joined[name].append(numbers_F)
    return [(name, numbers_F) for name, several in joined.items() for numbers_F in several]


def _channel_place(
    network: nn.Module, name: str, numbers_F: Tensor, shapes: Mapping[str, tuple[int, ...]] | None, total: int
) -> Place:
    module, axis = network.get_submodule(name), 1
    if type(module) in _LAST:
        axis = -1
    if shapes is not None:
        if name not in shapes:
            raise PruningError(
                f"the network uses the weights of {name} without calling it, so nothing can be multiplied behind it. {_OTHERWISE}"
            )
        fits = [one for one in (axis, -axis) if shapes[name][one] == len(numbers_F)]
        if not fits:
            raise PruningError(
                f"the output of {name}, of shape {shapes[name]}, holds its {len(numbers_F)} channels neither along axis 1 nor along "
                f"the last axis. {_OTHERWISE}"
            )
        axis = fits[0]
    is_run = bool((numbers_F.diff() == 1).all()) and int(numbers_F[-1]) < total
    return Place(name, module, numbers_F, _own(module, name), axis, int(numbers_F[0]) if is_run else None)


_OTHERWISE: Final = "Leave the group out with prune.skip, or use another method."


def _homes(network: nn.Module, group: Group) -> list[_Home]:
    """Where the channels of a group are scaled: by norms, or where they are computed."""
    if norms := norm_scales(network, group):
        return [(norm.tensor, norm.start, norm.channels) for norm in norms]
    producers = group.slices[: group.producers]
    for part in producers:
        owner, _, name = part.tensor.rpartition(".")
        transposed = isinstance(network.get_submodule(owner), nn.modules.conv._ConvTransposeNd)
        if part.axis != 0 or name != "weight" or transposed:
            raise PruningError(
                f"sss multiplies the outputs of layers, and the channels of {group.name} are computed by {part.tensor}, along its axis "
                f"{part.axis}. {_OTHERWISE}"
            )
    return [(part.tensor, part.start, torch.tensor(list(part.channels_at(group.channels)))) for part in producers]


def _at_end(network: nn.Module, block: str, end: str) -> tuple[nn.Parameter, ...]:
    """The parameters that scale all of an end's output: its own, its last layer's, or those of the last layer before it."""
    module = network.get_submodule(end)
    if own := _own(module, ""):
        return own
    if layer := _last_layer([module]):
        return _own(layer, "")
    before = []
    for name, one in network.get_submodule(block).named_modules(prefix=block):
        if name == end:
            break
        before.append(one)
    if layer := _last_layer(before):
        return _own(layer, "")
    raise PruningError(
        f"{end}, the end of block {block}, is a {type(module).__name__}, and neither it nor what stands before it in the block has "
        "weights that a factor could be multiplied into. Use another method."
    )


def _own(module: nn.Module, name: str) -> tuple[nn.Parameter, ...]:
    """Weight and bias of a layer, or the only parameter of a module that scales; raises where a `name` is given and there are none."""
    own = dict(module.named_parameters(recurse=False))
    if isinstance(module, nn.MultiheadAttention):
        return _own(module.out_proj, name)
    if isinstance(own.get("weight"), nn.Parameter):
        return tuple(own[key] for key in ("weight", "bias") if key in own)
    if len(own) == 1 and not any(module.children()):  # the gamma of a layer scale
        return tuple(own.values())
    if name:
        raise PruningError(
            f"{name} is a {type(module).__name__} without a weight that could take factors in. {_OTHERWISE}"
        )
    return ()


def _last_layer(modules: Iterable[nn.Module]) -> nn.Module | None:
    """The last layer with weights, in the order in which they were registered."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    layers = [one for outer in modules for one in outer.modules() if isinstance(one, kinds) or is_norm(one)]
    return next((one for one in reversed(layers) if _own(one, "")), None)


def _untied(network: nn.Module, places: Sequence[Place]) -> tuple[Place, ...]:
    """The places, unless a parameter that takes factors in also belongs to another module."""
    owners: dict[int, set[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), set()).add(name)
    for place in places:
        for parameter in place.scaled:
            if len(owners.get(id(parameter), ())) > 1:
                names = " and ".join(sorted(owners[id(parameter)]))
                raise PruningError(
                    f"{names} are one tensor, so a factor behind {place.name} alone cannot be multiplied into it. {_OTHERWISE}"
                )
    return tuple(places)


def outputs(network: nn.Module, names: Iterable[str], example: Any) -> dict[str, tuple[int, ...]]:
    """The shape of what each named module gives in one forward pass in eval mode; modules that are not called are left out."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        return lambda _module, _inputs, output: shapes.__setitem__(name, tuple(first_of(output).shape))

    hooks = [network.get_submodule(name).register_forward_hook(note(name)) for name in names]
    try:
        evaluated(network, example)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def first_of(output: Any) -> Tensor:
    """The tensor that a module gives; the first of several, as attention layers give them."""
    tensor = output[0] if isinstance(output, tuple | list) else output
    assert isinstance(tensor, Tensor)
    return tensor


def evaluated(network: nn.Module, example: Any) -> Tensor:
    """The output for an example in eval mode, without gradients; modes are left as they were."""
    with evaluating(network), torch.no_grad():
        return first_of(network(example))
