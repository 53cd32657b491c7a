"""All torchvision classification networks of up to 200 million parameters, without trained weights."""

from __future__ import annotations

from functools import partial

import torchvision
from benchmarks.exactness.cases import Case, images

TOO_LARGE = ("regnet_y_128gf", "vit_h_14", "vit_l_16", "vit_l_32")
"""Above 200 million parameters."""

SIZES = {"vit_": 224, "maxvit": 224, "inception": 299, "alexnet": 96, "swin_v2": 128}
"""Side of the images, by the start of the name; 64 pixels elsewhere. The auxiliary head of Inception needs maps of 17 x 17."""


def names() -> tuple[str, ...]:
    """Their names, as torchvision lists them."""
    listed = torchvision.models.list_models(module=torchvision.models)
    return tuple(name for name in listed if name not in TOO_LARGE)


def case(name: str) -> Case:
    """One of them."""
    side = next((size for start, size in SIZES.items() if name.startswith(start)), 64)
    more = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    return Case(name, partial(torchvision.models.get_model, name, weights=None, **more), images(side))
