from torch import nn


class Block(nn.Module):
    """Two convolutions and a sum; the last norm starts at zero, so that the block starts as nothing."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(2 * channels)
        self.conv2 = nn.Conv2d(2 * channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, maps):
        return (maps + self.norm2(self.conv2(self.norm1(self.conv1(maps)).relu()))).relu()


def step(before, after):
    """Halve the maps."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


def build(classes, shape, width=12):
    return nn.Sequential(
        step(shape[0], width),
        Block(width),
        step(width, 2 * width),
        Block(2 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, classes),
    )
