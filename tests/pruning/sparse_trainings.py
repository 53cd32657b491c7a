"""Real digits and small networks of the zoo, for tests of what takes a hand in a training."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regrow.data.examples import Examples
from regrow.data.stream import Stream
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.training.compute import Compute
from regrow.training.loop import train
from regrow.training.recipe import Recipe

BATCH = 64


def zoo(name: str = "vgg11", width: float = 0.0625) -> nn.Module:
    """A freshly drawn network for digits."""
    return build(dense_spec(NetworkSettings(name=name, width=width), classes=10, shape=(3, 32, 32)), 0, "test")


@functools.cache
def digits(count: int = 640) -> Examples:
    """scikit-learn's handwritten digits, each pixel four wide and high, in three equal channels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = torch.from_numpy(found.images[:count] * 15).to(torch.uint8)
    images = grey.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None].expand(-1, 3, -1, -1).contiguous()
    return Examples(images, torch.from_numpy(found.target[:count]).long(), (0.3,) * 3, (0.3,) * 3)


def trained(
    network: nn.Module, folder: Path, intervention: Any = None, *, epochs: int = 4, lr: float = 0.1
) -> nn.Module:
    """The network after a short training."""
    recipe = Recipe(
        epochs=epochs, schedule="cosine", peak_lr=lr, final_lr=lr / 100, schedule_epochs=epochs, batch=BATCH
    )
    train(
        network,
        stream=Stream(digits(), batch=BATCH, seed=0, augment="none", channels_last=True),
        first_epoch=0,
        validation=None,
        recipe=recipe,
        compute=Compute(channels_last=True),
        folder=folder,
        intervention=intervention,
    )
    return network.eval()
