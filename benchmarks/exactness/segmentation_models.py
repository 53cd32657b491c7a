"""All torchvision segmentation networks, without trained weights."""

from __future__ import annotations

from functools import partial

import torchvision
from benchmarks.exactness.cases import Case, images


def names() -> tuple[str, ...]:
    """Their names, and two with the auxiliary head that training may use."""
    listed = torchvision.models.list_models(module=torchvision.models.segmentation)
    return (*listed, "fcn_resnet50 with aux", "deeplabv3_mobilenet_v3_large with aux")


def case(name: str) -> Case:
    """One of them, on images of 64 pixels."""
    model, _, aux = name.partition(" with ")
    more = {"aux_loss": True} if aux else {}
    build = partial(torchvision.models.get_model, model, weights=None, weights_backbone=None, **more)
    return Case(name, build, images(64))
