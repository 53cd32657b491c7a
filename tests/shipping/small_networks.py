"""Networks for tests, with architectures written by hand: every tensor and every number that follows a width is listed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.channels.architecture import Architecture, Correction, KeptChannels
from regrow.channels.fingerprint import fingerprint
from regrow.networks.groups import Slice, norm, output, reads

WIDE, NARROW = (8, 6), (5, 4)
KEPT = ((0, 2, 3, 4, 7), (0, 1, 3, 5))


class Tiny(nn.Module):
    """Convolutions, batch norm, layer norm, a buffer that state_dict() leaves out, and a size kept as a number."""

    def __init__(self, widths: tuple[int, int] = WIDE, classes: int = 3) -> None:
        super().__init__()
        first, second = widths
        self.conv1 = nn.Conv2d(2, first, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3)
        self.norm = nn.LayerNorm(second)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(second * 4, classes)
        self.sizes = {"features": [second, 4]}
        self.register_buffer("shift", torch.linspace(0, 1, first), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(images)) + self.shift[:, None, None])
        x = functional.adaptive_avg_pool2d(self.conv2(x), 2).permute(0, 2, 3, 1)
        x = self.drop(self.norm(x)).permute(0, 3, 1, 2)
        features, places = self.sizes["features"]
        result: Tensor = self.head(x.reshape(x.shape[0], features * places))
        return result


class Counting(Tiny):
    """The same, but it asks Python for its batch size, which makes a number of it."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + torch.zeros(len(images), 1)


class Scaled(nn.Conv2d):
    """A convolution whose outputs are doubled; its tensors are those of any convolution."""

    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


class Tied(nn.Module):
    """A reader of words whose output weights are its input weights, around an LSTM."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.words = nn.Embedding(11, width)
        self.memory = nn.LSTM(width, 7, batch_first=True)
        self.back = nn.Linear(7, width)
        self.answer = nn.Linear(width, 11, bias=False)
        self.answer.weight = self.words.weight

    def forward(self, tokens: Tensor) -> Tensor:
        read, _ = self.memory(self.words(tokens))
        result: Tensor = self.answer(self.back(read))
        return result


class Words(nn.Module):
    """A reader of words whose output weights are its input weights."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.answer = nn.Linear(6, 11, bias=False)
        self.answer.weight = self.words.weight

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        read = self.words(tokens) * mask[..., None]
        return {"answer": self.answer(read.cumsum(1)), "length": mask.sum(1)}


def tiny_architecture(dense: nn.Module) -> Architecture:
    (first, second), (small_first, small_second) = WIDE, NARROW
    conv1 = (output("conv1"), Slice("conv1.bias", 0), *norm("bn1"), reads("conv2"), Slice("shift", 0))
    conv2 = (output("conv2"), Slice("conv2.bias", 0), Slice("norm.weight", 0), Slice("norm.bias", 0))
    conv2 = (*conv2, Slice("head.weight", 1, repeat=4))
    numbers = (
        ("conv1", "out_channels", first, small_first),
        ("bn1", "num_features", first, small_first),
        ("conv2", "in_channels", first, small_first),
        ("conv2", "out_channels", second, small_second),
        ("norm", "normalized_shape.0", second, small_second),
        ("head", "in_features", second * 4, small_second * 4),
        ("", "sizes.features.0", second, small_second),
    )
    return Architecture(
        dense=None,
        kept=(
            KeptChannels(group="conv1", channels=first, indices=KEPT[0], slices=conv1),
            KeptChannels(group="conv2", channels=second, indices=KEPT[1], slices=conv2),
        ),
        corrections=tuple(Correction(module=m, attribute=a, dense=d, small=s) for m, a, d, s in numbers),
        network="tests.shipping.small_networks:Tiny",
        fingerprint=fingerprint(dense),
        regrow="test",
    )


def tied_architecture(dense: nn.Module) -> Architecture:
    slices = (Slice("words.weight", 1), Slice("memory.weight_ih_l0", 1), Slice("back.weight", 0), Slice("back.bias", 0))
    numbers = (
        ("words", "embedding_dim"),
        ("memory", "input_size"),
        ("back", "out_features"),
        ("answer", "in_features"),
    )
    return Architecture(
        dense=None,
        kept=(KeptChannels(group="words", channels=8, indices=KEPT[0], slices=slices),),
        corrections=tuple(Correction(module=m, attribute=a, dense=8, small=5) for m, a in numbers),
        fingerprint=fingerprint(dense),
        regrow="test",
    )


def tiny() -> tuple[nn.Module, Architecture]:
    """A small network with weights of its own, as after training, and its architecture."""
    torch.manual_seed(0)
    return trained(Tiny(NARROW)), tiny_architecture(Tiny())


def tied() -> tuple[nn.Module, Architecture]:
    torch.manual_seed(0)
    return Tied(5).eval(), tied_architecture(Tied())


def trained(network: nn.Module) -> nn.Module:
    """Statistics of its norms as after training; in eval mode."""
    network.train()(images())
    return network.eval()


def images(batch: int = 4) -> Tensor:
    return torch.randn(batch, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def tokens(batch: int = 3) -> Tensor:
    return torch.randint(11, (batch, 5), generator=torch.Generator().manual_seed(1))
