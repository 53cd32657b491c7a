"""Losses on training images, against a calculation by hand and against one pass over everything at once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.data.examples import AnyExamples, Examples, FolderExamples
from regrow.evaluation.accuracy import BATCH
from regrow.evaluation.losses import measure_loss, measuring, sample


def examples(count: int, classes: int = 4) -> Examples:
    """Random pixels, labels in the order of their classes."""
    pixels = torch.randint(0, 256, (count, 5, 5, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    labels = torch.arange(count) * classes // count
    return Examples(pixels.permute(0, 3, 1, 2), labels, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Dropout(0.5), nn.Linear(54, 4))


class Constant(nn.Module):
    """The same logits whatever it sees."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def test_of_a_network_that_always_says_the_same_it_is_what_a_hand_finds() -> None:
    found = measure_loss(Constant(math.log(3), 0.0), examples(4, classes=2), channels_last=False)
    assert found.loss == pytest.approx((2 * math.log(4 / 3) + 2 * math.log(4)) / 4, abs=1e-7)
    assert (found.accuracy, found.images) == (50.0, 4)


def test_it_is_the_loss_of_evaluation_mode_whatever_the_batches() -> None:
    one, held = network(), examples(BATCH + 7)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (held.mean, held.std))
    one.eval()
    logits = one((held.images.float() / 255 - mean) / std)
    one.train()
    found = measure_loss(one, held, channels_last=False)
    assert found.loss == pytest.approx(float(functional.cross_entropy(logits, held.labels).detach()), rel=1e-5)
    assert found.accuracy == pytest.approx(100 * float((logits.argmax(1) == held.labels).float().mean()))
    assert all(module.training for module in one.modules())


def test_outputs_that_are_not_finite_have_no_loss_and_are_wrong() -> None:
    found = measure_loss(Constant(math.nan, 0.0), examples(4, classes=2), channels_last=False)
    assert (found.loss, found.accuracy) == (None, 0.0)


def test_a_sample_has_its_size_and_every_class_in_equal_shares() -> None:
    held = examples(1000)
    chosen = sample(held, 100)
    assert chosen.labels.bincount().tolist() == [25, 25, 25, 25]
    assert isinstance(chosen, Examples)
    assert torch.equal(chosen.images[3], held.images[30])
    assert sample(held, 1000) is held


def test_a_sample_of_files_has_the_paths_of_its_labels() -> None:
    paths, labels = [f"{place}.png" for place in range(10)], torch.arange(10)
    held: AnyExamples = FolderExamples(Path(), paths, labels, (3, 5, 5), (0.5,), (0.5,), torch.device("cpu"))
    chosen = sample(held, 4)
    assert isinstance(chosen, FolderExamples)
    assert list(chosen.paths) == ["0.png", "2.png", "5.png", "7.png"]
    assert chosen.labels.tolist() == [0, 2, 5, 7]


def test_modes_come_back_when_something_fails() -> None:
    one = network()
    with pytest.raises(ZeroDivisionError), measuring(one):
        assert not any(module.training for module in one.modules())
        _ = 1 / 0
    assert all(module.training for module in one.modules())
