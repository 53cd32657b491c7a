"""The zoo: the paper's networks for small images, with the widths of every prunable group as arguments. Imports no torch.

Variants, where the literature has several:

vgg16       Li et al. 2017 as in the paper's L1 experiments: Linear-BatchNorm-ReLU-Linear head, 14.99 M parameters.
vgg11/13/19 network slimming's (Liu et al. 2017): one linear layer as the head; vgg19 has 20.04 M parameters.
            The paper has no VGG-11 or VGG-13 for small images; they take the plainer head.
vgg16-gap   what ThiNet's VGG-GAP and VGG-Tiny (Luo et al. 2017) are cut from: VGG-16 without norm layers, its fully connected head
            replaced by an average and one linear layer. Meant for 224x224; at smaller sizes it is no published network.
resnet      He et al. 2016 for CIFAR, shortcuts of kind A (2x2 average pool, zeros for the new channels), with their gradient.
-detached   the same networks with a defect of the released code of Liu et al. 2019: the two shortcuts that halve the image cut the
            gradient. Tensors, widths, costs and first weights are those of the plain network, so that only training differs.
preresnet   He et al. 2016b with bottlenecks: 9n + 2 layers.
densenet40  growth 12, no bottleneck, no compression. densenet-bc100: growth 12, bottlenecks, compression 2: the true 0.77 M one.

All take images from 8x8 up and any number of input channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from regrow.errors import ConfigError, Fault, did_you_mean
from regrow.networks.layouts import (
    GroupInfo,
    densenet_groups,
    preresnet_groups,
    preresnet_removable,
    resnet_groups,
    resnet_removable,
    vgg_groups,
)
from regrow.networks.removed import inside, removed_faults
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.table import Table

SMALLEST_SIDE: Final = 8
"""Pixels; the networks halve the image at least twice and then still need a map to look at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRow:
    """One network of the zoo."""

    summary: str
    """One line of help."""

    target: str
    """`module:attribute` of the factory, called with arguments, options, width, widths, classes and shape."""

    layout: Callable[..., tuple[GroupInfo, ...]]
    """The family's layout function, called with the width multiplier and `arguments`."""

    arguments: Mapping[str, Any]
    """What makes the network this one of its family, e.g. its depth; layout and factory both take it."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """What only the factory takes: the head, the initial scale of norm layers."""

    source: str
    """Where the network and its initialisation come from."""

    removable: tuple[str, ...] = ()
    """Residual blocks that can go whole, in forward order: those whose shortcut is the identity."""

    def groups(self, width: float = 1.0) -> tuple[GroupInfo, ...]:
        """The prunable groups of the dense network at a width multiplier, in forward order."""
        return self.layout(width, **self.arguments)

    @property
    def normed(self) -> bool:
        """Whether a norm layer with a scale follows the channels of every group."""
        return self.options.get("norm_scale", 1.0) is not None

    @property
    def stages(self) -> int:
        """How many stages the groups are spread over."""
        return 1 + max(group.stage for group in self.groups())


_LI = "Li et al. 2017, arXiv:1608.08710"
_SLIMMING = "Liu et al. 2017, arXiv:1708.06519"
_THINET = "Luo et al. 2017, arXiv:1707.06342"
_RETHINKING = "Liu et al. 2019, arXiv:1810.05270"
_RESNET = "He et al. 2016, arXiv:1512.03385"
_PRERESNET = "He et al. 2016, arXiv:1603.05027"
_DENSENET = "Huang et al. 2017, arXiv:1608.06993"


def _vgg(depth: int, head: str, source: str) -> NetworkRow:
    return NetworkRow(
        summary=f"VGG-{depth} with batch norm for small images, {head} head",
        target="regrow.networks.vgg:VGG",
        layout=vgg_groups,
        arguments={"depth": depth},
        options={"head": head, "norm_scale": 0.5},
        source=source,
    )


def _vgg_gap() -> NetworkRow:
    return NetworkRow(
        summary="VGG-16 without norm layers, its head an average and one linear layer: what ThiNet's VGG-GAP is cut from",
        target="regrow.networks.vgg:VGG",
        layout=vgg_groups,
        arguments={"depth": 16},
        options={"head": "linear", "norm_scale": None},
        source=_THINET,
    )


def _resnet(depth: int) -> NetworkRow:
    return NetworkRow(
        summary=f"ResNet-{depth} for CIFAR: basic blocks, parameter-free shortcuts",
        target="regrow.networks.resnet:ResNet",
        layout=resnet_groups,
        arguments={"depth": depth},
        options={"norm_scale": 1.0},
        source=_RESNET,
        removable=resnet_removable(depth),
    )


def _detached(depth: int) -> NetworkRow:
    plain = _resnet(depth)
    return replace(
        plain,
        summary=f"ResNet-{depth} with a defect of the paper's released code: the shortcuts that halve the image cut the gradient",
        options={**plain.options, "detached": True},
        source=f"{_RETHINKING}; {_RESNET}",
    )


def _preresnet(depth: int, norm_scale: float, source: str) -> NetworkRow:
    return NetworkRow(
        summary=f"PreResNet-{depth} for CIFAR: pre-activation bottlenecks",
        target="regrow.networks.preresnet:PreResNet",
        layout=preresnet_groups,
        arguments={"depth": depth},
        options={"norm_scale": norm_scale},
        source=source,
        removable=preresnet_removable(depth),
    )


def _densenet(depth: int, compact: bool, norm_scale: float, source: str) -> NetworkRow:
    return NetworkRow(
        summary=f"DenseNet-{'BC-' if compact else ''}{depth} for CIFAR, growth 12"
        + (", bottlenecks, compression 2" if compact else ""),
        target="regrow.networks.densenet:DenseNet",
        layout=densenet_groups,
        arguments={"depth": depth, "growth": 12, "bottleneck": compact, "compression": 2 if compact else 1},
        options={"norm_scale": norm_scale},
        source=source,
    )


NETWORKS: Final[Table[NetworkRow]] = Table(
    "network",
    {
        "vgg11": _vgg(11, "linear", _SLIMMING),
        "vgg13": _vgg(13, "linear", _SLIMMING),
        "vgg16": _vgg(16, "hidden", _LI),
        "vgg19": _vgg(19, "linear", _SLIMMING),
        "vgg16-gap": _vgg_gap(),
        "resnet20": _resnet(20),
        "resnet32": _resnet(32),
        "resnet44": _resnet(44),
        "resnet56": _resnet(56),
        "resnet110": _resnet(110),
        "resnet20-detached": _detached(20),
        "resnet56-detached": _detached(56),
        "resnet110-detached": _detached(110),
        # The paper's slimming experiments start norm scales at 0.5, its weight-level ones (PreResNet-110, DenseNet-BC) at 1.
        "preresnet20": _preresnet(20, 0.5, f"{_PRERESNET}; {_SLIMMING}"),
        "preresnet38": _preresnet(38, 0.5, f"{_PRERESNET}; {_SLIMMING}"),
        "preresnet56": _preresnet(56, 0.5, f"{_PRERESNET}; {_SLIMMING}"),
        "preresnet110": _preresnet(110, 1.0, _PRERESNET),
        "preresnet164": _preresnet(164, 0.5, f"{_PRERESNET}; {_SLIMMING}"),
        "densenet40": _densenet(40, False, 0.5, f"{_DENSENET}; {_SLIMMING}"),
        "densenet-bc100": _densenet(100, True, 1.0, _DENSENET),
    },
)


def dense_spec(settings: NetworkSettings, *, classes: int, shape: tuple[int, int, int]) -> NetworkSpec:
    """The dense network that a study names, for its classes and its images.

    Raises `UnknownNameError` for a name the zoo lacks, `ConfigError` for images it cannot take.
    """
    groups = NETWORKS[settings.name].groups(settings.width)
    spec = NetworkSpec(
        name=settings.name,
        width=settings.width,
        widths=tuple(group.channels for group in groups),
        classes=classes,
        shape=shape,
    )
    check(spec)
    return spec


def check(spec: NetworkSpec, where: str = "network") -> None:
    """Refuse a specification that cannot be built: `UnknownNameError`, or `ConfigError` with every fault, located in `where`."""
    groups = NETWORKS[spec.name].groups(spec.width)
    faults = [*_width_faults(spec, groups, where), *_shape_faults(spec, where), *_removed_faults(spec, groups, where)]
    if faults:
        raise ConfigError(faults=faults)


def _width_faults(spec: NetworkSpec, groups: tuple[GroupInfo, ...], where: str) -> list[Fault]:
    if len(spec.widths) != len(groups):
        rule = f"{spec.name} has {len(groups)} prunable groups and needs one width for each; found {len(spec.widths)}"
        return [Fault(where=where, key="widths", rule=rule)]
    return [
        Fault(
            where=where,
            key=f"widths.{index}",
            rule=f"{group.name} has {group.channels} channels at width {spec.width:g}; "
            f"a width must lie between 1 and that; found {width}",
        )
        for index, (group, width) in enumerate(zip(groups, spec.widths, strict=True))
        if not 1 <= width <= group.channels
    ]


def _removed_faults(spec: NetworkSpec, groups: tuple[GroupInfo, ...], where: str) -> list[Fault]:
    faults = [Fault(where=where, key=f"removed.{index}", rule=rule) for index, rule in removed_faults(spec.removed)]
    removable = NETWORKS[spec.name].removable
    for index, name in enumerate(spec.removed):
        if name not in removable:
            rule = f"{name} is no block of {spec.name} that can go whole"
            hint = (
                did_you_mean(name, removable) if removable else f"{spec.name} has none: no shortcut passes a layer by."
            )
            faults.append(Fault(where=where, key=f"removed.{index}", rule=rule, hint=hint))
    for group, width in zip(groups, spec.widths, strict=False):
        if inside(group.name, spec.removed) and width != group.channels:
            rule = f"{group.name} goes with its block, so its width stays the dense network's, {group.channels}; found {width}"
            faults.append(Fault(where=where, key="widths", rule=rule))
    return faults


def _shape_faults(spec: NetworkSpec, where: str) -> list[Fault]:
    channels, height, width = spec.shape
    if channels >= 1 and min(height, width) >= SMALLEST_SIDE:
        return []
    rule = f"images must be at least {SMALLEST_SIDE}x{SMALLEST_SIDE} with 1 channel or more; found {height}x{width} with {channels}"
    return [Fault(where=where, key="shape", rule=rule, hint="Use larger images, or enlarge them before training.")]
