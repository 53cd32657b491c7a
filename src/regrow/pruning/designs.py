"""Designs: predefined architectures of published papers, as the paper of this package's question compares them. No torch.

A design says what every group of one network keeps, in one of four ways: widths in forward order; shares to remove per stage, with a
skip list; widths by the names of groups, for networks from elsewhere; or another design's groups, each less a few channels. Or it says
which residual blocks go. Skip lists hold positions of convolutions, counted from 1 as in the source; they are the layers that its
authors found sensitive.

Which table of the paper a design is of (Liu et al. 2019, arXiv:1810.05270):

Table 1   vgg16-a, resnet56-a, -b, resnet110-a, -b, resnet34-a, -b: L1-norm pruning (Li et al. 2017).
Table 2   thinet-conv, -gap, -tiny, resnet50-30, -50, -70: ThiNet (Luo et al. 2017). The two VGGs without fully connected layers are cut
          from a dense network that has none either, `vgg16-gap`; the paper compares them with the whole VGG-16.
Table 3   vgg16-5x: regression (He et al. 2017). Its ResNet-50-2x is left out: the widths of its 16 blocks and the channels that each
          block reads stand in a file beside the paper's released code, and were not established.
Table 5   sss-resnet41, -32, -26: what sparse structure selection (Huang and Wang 2018) found, as far as blocks can go whole here. A block
          that makes the image smaller or the stream wider has a shortcut with weights; in the source its branch alone goes, and here it
          stays. So these are larger than the published networks: 44, 35 and 35 layers.
Table 4 is automatic: slimming finds its architectures; torchvision:vgg11_bn needs no design.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regrow.table import Table

Widths = tuple[tuple[str, int], ...]
"""Names of groups, and how many channels each keeps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """One predefined way to prune one network: one of `widths`, `stages` (with `skip`), `named`, `like` (with `fewer`) and `blocks`."""

    summary: str
    """One line of help."""

    network: str
    """The network it is for: a row of `regrow list networks`, or one from elsewhere."""

    also: tuple[str, ...] = ()
    """Other networks with the same groups."""

    widths: tuple[int, ...] = ()
    """Channels to keep per group at width multiplier 1, in forward order; scaled with the multiplier as the network is."""

    stages: tuple[float, ...] = ()
    """Share to remove per stage."""

    skip: tuple[int, ...] = ()
    """Positions of convolutions that stay whole."""

    named: Widths = ()
    """Channels to keep by name of the group; groups that are not named stay whole."""

    like: str = ""
    """The design that says which groups lose channels."""

    fewer: int = 0
    """How many channels each of those groups loses, at any width multiplier."""

    blocks: tuple[str, ...] = ()
    """Residual blocks that go whole; for a method that removes blocks."""

    source: str = "Li et al. 2017, arXiv:1608.08710"
    """Where it was published."""

    @property
    def networks(self) -> tuple[str, ...]:
        """All networks that it is for."""
        return (self.network, *self.also)


_THINET: Final = "Luo et al. 2017, arXiv:1707.06342"
_REGRESSION: Final = "He et al. 2017, arXiv:1707.06168"
_SSS: Final = "Huang and Wang 2018, arXiv:1707.01213"
_FLOAT_MASK: Final = "released code of Liu et al. 2019, arXiv:1810.05270"

_VGG16_CONVOLUTIONS: Final = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Places of the convolutions in torchvision's `vgg16().features`."""

_RESNET50_BLOCKS: Final = (3, 4, 6, 3)


def _convolutions(*widths: int) -> Widths:
    """The first convolutions of torchvision's VGG-16."""
    return tuple((f"features.{place}", width) for place, width in zip(_VGG16_CONVOLUTIONS, widths, strict=False))


def _basic_blocks(*stages: tuple[int, ...]) -> Widths:
    """The first convolution of every block of a ResNet of torchvision, stage by stage."""
    return tuple(
        (f"layer{stage}.{block}.conv1", width)
        for stage, widths in enumerate(stages, start=1)
        for block, width in enumerate(widths)
    )


def _bottlenecks(*widths: int) -> Widths:
    """The first two convolutions of every block of torchvision's ResNet-50, one width for each stage."""
    return tuple(
        (f"layer{stage}.{block}.conv{inner}", width)
        for stage, (width, blocks) in enumerate(zip(widths, _RESNET50_BLOCKS, strict=True), start=1)
        for block in range(blocks)
        for inner in (1, 2)
    )


def _resnet50(percent: int, *widths: int) -> Design:
    return Design(
        summary=f"ThiNet's ResNet-50: both inner convolutions of every block keep {percent} % of their channels",
        network="torchvision:resnet50",
        named=_bottlenecks(*widths),
        source=_THINET,
    )


def _selected(published: int, left: int, *stages: tuple[int, ...]) -> Design:
    """A ResNet-50 without some blocks of its stages, by their places; place 0 is the block that begins a stage, and cannot go."""
    return Design(
        summary=f"ResNet-50 with {left} layers left: the blocks that SSS removed for its ResNet-{published}, less those that begin a stage",
        network="torchvision:resnet50",
        blocks=tuple(f"layer{stage}.{place}" for stage, places in enumerate(stages, start=1) for place in places),
        source=_SSS,
    )


DESIGNS: Final[Table[Design]] = Table(
    "design",
    {
        "vgg16-a": Design(
            summary="VGG-16 with the first and the last six convolutions halved",
            network="vgg16",
            widths=(32, 64, 128, 128, 256, 256, 256, 256, 256, 256, 256, 256, 256),
        ),
        "resnet56-a": Design(
            summary="ResNet-56 less 10 % inside its blocks, four sensitive blocks whole",
            network="resnet56",
            also=("resnet56-detached",),
            stages=(0.1, 0.1, 0.1),
            skip=(16, 20, 38, 54),
        ),
        "resnet56-b": Design(
            summary="ResNet-56 less 60, 30 and 10 % inside the blocks of its stages, six sensitive blocks whole",
            network="resnet56",
            also=("resnet56-detached",),
            stages=(0.6, 0.3, 0.1),
            skip=(16, 18, 20, 34, 38, 54),
        ),
        "resnet110-a": Design(
            summary="ResNet-110 less 50 % inside the blocks of its first stage, one sensitive block whole",
            network="resnet110",
            also=("resnet110-detached",),
            stages=(0.5, 0.0, 0.0),
            skip=(36,),
        ),
        "resnet110-b": Design(
            summary="ResNet-110 less 50, 40 and 30 % inside the blocks of its stages, three sensitive blocks whole",
            network="resnet110",
            also=("resnet110-detached",),
            stages=(0.5, 0.4, 0.3),
            skip=(36, 38, 74),
        ),
        "resnet34-a": Design(
            summary="ResNet-34 less 30 % inside the blocks of its first three stages, the sensitive ones whole",
            network="torchvision:resnet34",
            named=_basic_blocks((64, 44, 44), (128, 89, 89, 128), (256, 179, 179, 179, 179, 256)),
        ),
        "resnet34-b": Design(
            summary="ResNet-34 less 50, 60 and 40 % inside the blocks of its first three stages, the sensitive ones whole",
            network="torchvision:resnet34",
            named=_basic_blocks((64, 32, 32), (128, 51, 51, 128), (256, 153, 153, 153, 153, 256)),
        ),
        "thinet-conv": Design(
            summary="ThiNet's VGG-Conv: VGG-16 with the first ten convolutions halved",
            network="torchvision:vgg16",
            named=_convolutions(32, 32, 64, 64, 128, 128, 128, 256, 256, 256),
            source=_THINET,
        ),
        "thinet-gap": Design(
            summary="ThiNet's VGG-GAP: the first ten convolutions halved, no fully connected layers",
            network="vgg16-gap",
            widths=(32, 32, 64, 64, 128, 128, 128, 256, 256, 256, 512, 512, 512),
            source=_THINET,
        ),
        "thinet-tiny": Design(
            summary="ThiNet's VGG-Tiny: a quarter of the channels, half of them at the end, no fully connected layers",
            network="vgg16-gap",
            widths=(16, 16, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 256),
            source=_THINET,
        ),
        "resnet50-30": _resnet50(30, 19, 38, 76, 153),
        "resnet50-50": _resnet50(50, 32, 64, 128, 256),
        "resnet50-70": _resnet50(70, 44, 89, 179, 358),
        # How many blocks each stage loses is published; those behind its first have one shape, so which of them go changes no size.
        "sss-resnet41": _selected(41, 44, (1, 2), (), (), ()),
        "sss-resnet32": _selected(32, 35, (2,), (), (4, 5), (1, 2)),
        "sss-resnet26": _selected(26, 35, (1, 2), (3,), (), (1, 2)),
        "vgg16-5x": Design(
            summary="VGG-16 made five times as fast by regression: the first ten convolutions at widths of its authors' choice",
            network="torchvision:vgg16",
            named=_convolutions(24, 22, 41, 51, 108, 89, 111, 184, 276, 228),
            source=_REGRESSION,
        ),
        "vgg16-float-mask": Design(
            summary="a defect of the released lottery code: of each group that vgg16-a prunes, two channels go; for the method position",
            network="vgg16",
            like="vgg16-a",
            fewer=2,
            source=_FLOAT_MASK,
        ),
        "resnet56-float-mask": Design(
            summary="a defect of the released lottery code: of each group that resnet56-b prunes, two channels go; for the method position",
            network="resnet56",
            also=("resnet56-detached",),
            like="resnet56-b",
            fewer=2,
            source=_FLOAT_MASK,
        ),
    },
)
