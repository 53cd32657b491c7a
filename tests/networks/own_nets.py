"""A person's own module, as text: written beside a study, found there, imported only when trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NETS: Final = '''
"""A small residual network of one's own."""

from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(2 * width)
        self.conv2 = nn.Conv2d(2 * width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        return (x + self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))).relu()


class Net(nn.Module):
    def __init__(self, width, classes, channels):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.body = nn.Sequential(Block(width), nn.MaxPool2d(2), Block(width))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.body(self.norm(self.stem(x)).relu()).mean((2, 3)))


def build(classes, shape, width=8):
    return Net(width, classes, shape[0])


def plain():
    return Net(4, 10, 1)


def anything(**options):
    return Net(options.get("width", 4), options["classes"], options["shape"][0])


def needy(classes, depth):
    return build(classes, (1, 8, 8), depth)


def nothing(classes):
    return None


NUMBER = 3
'''


def write_nets(folder: Path, name: str = "nets", text: str = NETS) -> Path:
    """The module as `folder/name.py`; dots make packages."""
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
