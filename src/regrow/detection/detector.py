"""The detector: torchvision's Faster R-CNN with a feature pyramid on the maps of a trained classifier.

Everything that classification did not train is drawn afresh, each layer from a seed of its own, (seed, "detection", name): so two
arms of a seed have the same fresh layers bit for bit, wherever their backbones' widths allow it.

Anchors are as in torchvision, 8 pixels of a level's stride (32 at stride 4), at the ratios 1:2, 1:1 and 2:1. Images are normalised as they
were for classification.

Source: Ren et al. 2015, arXiv:1506.01497; Lin et al. 2017, arXiv:1612.03144
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from regrow.detection.levels import Level, levels_of
from regrow.detection.settings import DetectionSettings
from regrow.detection.trunk import Trunk
from regrow.randomness import seeded

ANCHOR: Final = 8
"""Side of an anchor, in pixels of its level's map."""

RATIOS: Final = (0.5, 1.0, 2.0)
POOLED: Final = 7
"""Side of the map that is cut out for a proposal."""

HIDDEN: Final = 4
"""Units of the box head's hidden layers for each channel of the pyramid: 1024 for 256."""

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """How the classifier saw its images."""

    channels: int
    mean: tuple[float, ...]
    """Per channel, of pixel values scaled to 0..1."""

    std: tuple[float, ...]


class Backbone(nn.Module):
    """Trunk and pyramid."""

    def __init__(self, trunk: Trunk, pyramid: nn.Module, channels: int) -> None:
        super().__init__()
        self.trunk, self.pyramid, self.out_channels = trunk, pyramid, channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Images [B, C, H, W] to maps [B, out_channels, ...] by level, and one more at twice the largest stride."""
        maps: OrderedDict[str, Tensor] = self.pyramid(self.trunk(images))
        return maps


def build_detector(
    network: nn.Module, images: Images, classes: int, settings: DetectionSettings, seed: int
) -> nn.Module:
    """A detector of `classes` kinds of objects on a trained classifier, which becomes part of it.

    Raises `PruningError` where the classifier has no maps that can be used.
    """
    levels = levels_of(network, images.channels)
    trunk = Trunk(network, levels, images.channels, frozen_norms=settings.norms == "frozen")
    channels = settings.channels
    anchors = _anchors(levels)
    names = [str(number) for number in range(len(levels))]
    pooling = MultiScaleRoIAlign(featmap_names=names, output_size=POOLED, sampling_ratio=2)
    detector: nn.Module = FasterRCNN(
        Backbone(trunk, _pyramid(levels, channels, seed), channels),
        min_size=settings.image_size,
        max_size=settings.longest_side,
        image_mean=list(images.mean),
        image_std=list(images.std),
        rpn_anchor_generator=anchors,
        rpn_head=_fresh(seed, "proposals", lambda: RPNHead(channels, anchors.num_anchors_per_location()[0])),
        box_roi_pool=pooling,
        box_head=_fresh(seed, "box head", lambda: TwoMLPHead(channels * POOLED**2, HIDDEN * channels)),
        box_predictor=_fresh(seed, "boxes", lambda: FastRCNNPredictor(HIDDEN * channels, classes + 1)),
        box_batch_size_per_image=settings.regions,
        rpn_batch_size_per_image=settings.regions // 2,
        size_divisible=levels[-1].stride,
    )
    return detector


def trunk_of(detector: nn.Module) -> Trunk:
    """The classifier inside a detector."""
    trunk = detector.get_submodule("backbone.trunk")
    assert isinstance(trunk, Trunk)
    return trunk


def _anchors(levels: Sequence[Level]) -> AnchorGenerator:
    strides = [level.stride for level in levels]
    sizes = tuple((ANCHOR * stride,) for stride in (*strides, 2 * strides[-1]))
    return AnchorGenerator(sizes, (RATIOS,) * len(sizes))


def _pyramid(levels: Sequence[Level], channels: int, seed: int) -> nn.Module:
    """The pyramid, each of its convolutions drawn from a seed of its own as torchvision draws them."""
    sizes = [level.channels for level in levels]
    pyramid: nn.Module = _fresh(
        seed, "pyramid", lambda: FeaturePyramidNetwork(sizes, channels, extra_blocks=LastLevelMaxPool())
    )
    for name, module in pyramid.named_modules():
        if isinstance(module, nn.Conv2d):
            with seeded(seed, "detection", "pyramid", name):
                nn.init.kaiming_uniform_(module.weight, a=1)
    return pyramid


def _fresh(seed: int, name: str, make: Callable[[], ModuleT]) -> ModuleT:
    with seeded(seed, "detection", name):
        return make()
