from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import normalize

from regrow.data.augmentation import Windows, draw
from regrow.data.examples import Examples
from regrow.data.settings import Augmentation
from regrow.data.stream import Portion, Stream, batch_sizes, batches, open_stream, steps
from regrow.randomness import generator
from tests.data.samples import noise

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def examples(count: int = 50, shape: tuple[int, int, int] = (3, 8, 8), device: str = "cpu") -> Examples:
    """Labels are the examples' own numbers, so that each can be followed."""
    images = torch.from_numpy(noise(count, shape)).to(device).permute(0, 3, 1, 2)
    return Examples(images, torch.arange(count, device=device), MEAN[: shape[0]], STD[: shape[0]])


def stream(batch: int = 16, seed: int = 0, augment: Augmentation = "crop-flip", channels_last: bool = True) -> Stream:
    return Stream(examples(), batch, seed, augment, channels_last)


def by_example(read: Stream, epoch: int) -> Tensor:
    """What each example looks like in an epoch, by its number."""
    images, numbers = (torch.cat(parts) for parts in zip(*read.epoch(epoch), strict=True))
    return images[numbers.argsort()]


def order(read: Stream, epoch: int) -> list[int]:
    return torch.cat([numbers for _, numbers in read.epoch(epoch)]).tolist()


def test_every_example_comes_once_an_epoch_in_a_new_order() -> None:
    read = stream()
    orders = [order(read, epoch) for epoch in range(3)]
    assert all(sorted(found) == list(range(50)) for found in orders)
    assert all(one != two for one, two in pairwise([list(range(50)), *orders]))


def test_batches_differ_by_one_example_at_most() -> None:
    read = stream(batch=16)
    assert [len(numbers) for _, numbers in read.epoch(0)] == [13, 13, 12, 12]
    assert read.steps_per_epoch == 4


def test_steps_are_rounded_up() -> None:
    assert [steps(n, 128) for n in (1, 128, 129, 45_000)] == [1, 1, 2, 352]


class TestFunctionOfSeedAndEpoch:
    def test_an_epoch_is_the_same_whatever_was_read_before(self) -> None:
        read = stream()
        for epoch in (0, 1, 2):
            list(read.epoch(epoch))
        again, fresh = list(read.epoch(1)), list(stream().epoch(1))
        assert all(
            torch.equal(a, b) for one, two in zip(again, fresh, strict=True) for a, b in zip(one, two, strict=True)
        )

    def test_interleaved_epochs_do_not_disturb_each_other(self) -> None:
        read = stream()
        together = [(one[0], two[0]) for one, two in zip(read.epoch(0), read.epoch(1), strict=True)]
        for epoch in (0, 1):
            alone = [images for images, _ in stream().epoch(epoch)]
            assert all(torch.equal(pair[epoch], images) for pair, images in zip(together, alone, strict=True))

    def test_another_seed_or_epoch_gives_other_windows(self) -> None:
        first = by_example(stream(seed=0), 0)
        assert not torch.equal(first, by_example(stream(seed=1), 0))
        assert not torch.equal(first, by_example(stream(seed=0), 1))

    def test_an_examples_window_does_not_depend_on_its_batch(self) -> None:
        assert torch.equal(by_example(stream(batch=7), 3), by_example(stream(batch=50), 3))

    def test_windows_are_drawn_in_the_order_of_the_examples(self) -> None:
        data = examples()
        windows = Windows((3, 8, 8), "crop-flip", 50, torch.device("cpu"))
        starts = windows.starts(draw(50, (3, 8, 8), generator(0, "augment", 5)))
        cut = windows.cut(data.images.permute(0, 2, 3, 1), starts).permute(0, 3, 1, 2)
        expected = torch.cat([images for images, _ in batches(Examples(cut, data.labels, data.mean, data.std), 50)])
        assert torch.equal(by_example(stream(), 5), expected)

    def test_order_does_not_depend_on_augmentation(self) -> None:
        assert order(stream(augment="none"), 0) == order(stream(augment="crop-flip"), 0)

    def test_torchs_own_generator_is_neither_read_nor_moved(self) -> None:
        torch.manual_seed(1)
        before = torch.get_rng_state()
        one = by_example(stream(), 0)
        assert torch.equal(before, torch.get_rng_state())
        torch.manual_seed(2)
        assert torch.equal(one, by_example(stream(), 0))


class TestNormalisation:
    def test_it_is_torchvisions(self) -> None:
        expected = normalize(examples().images / 255, list(MEAN), list(STD))
        assert torch.allclose(by_example(stream(augment="none"), 0), expected, atol=2e-6)

    def test_a_pixel_by_hand(self) -> None:
        images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1)
        read = batches(Examples(images, torch.arange(3), (0.5,), (0.25,)), 3)
        # (0 - 0.5) / 0.25 = -2; 51 is a fifth of 255: (0.2 - 0.5) / 0.25 = -1.2; (1 - 0.5) / 0.25 = 2
        assert next(read)[0].flatten().tolist() == pytest.approx([-2.0, -1.2, 2.0], abs=1e-6)

    @pytest.mark.parametrize("augment", ["none", "crop", "crop-flip"])
    def test_the_layout_changes_no_bit(self, augment: Augmentation) -> None:
        last, first = (by_example(stream(augment=augment, channels_last=layout), 2) for layout in (True, False))
        assert torch.equal(last, first)

    def test_the_layout_is_the_one_asked_for(self) -> None:
        assert next(stream(channels_last=True).epoch(0))[0].is_contiguous(memory_format=torch.channels_last)
        assert next(stream(channels_last=False).epoch(0))[0].is_contiguous()

    def test_grey_images_and_oblongs_work_alike(self) -> None:
        for shape in ((1, 8, 8), (3, 8, 24)):
            read = Stream(examples(shape=shape), 20, 0, "crop-flip", True)
            assert next(read.epoch(0))[0].shape == (17, *shape)


def test_crops_are_black_where_they_leave_the_image() -> None:
    white = Examples(torch.full((64, 1, 8, 8), 255, dtype=torch.uint8), torch.arange(64), (0.0,), (1.0,))
    found = by_example(Stream(white, 64, 0, "crop", True), 0)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    # a window that starts at 0 or 2 of 0..2 misses one of eight rows (or columns): 2 in 3 do
    assert 0.4 < float((found[:, 0, :, 4].amin(1) == 0).float().mean()) < 0.9


def test_examples_are_never_written_to() -> None:
    data = examples()
    before = data.images.clone()
    for images, _ in Stream(data, 16, 0, "crop-flip", True).epoch(0):
        images.zero_()
    assert torch.equal(data.images, before)


def test_images_whose_memory_is_planar_are_read_alike() -> None:
    data = examples()
    planar = Examples(data.images.contiguous(), data.labels, data.mean, data.std)
    assert torch.equal(
        by_example(Stream(planar, 16, 0, "crop", True), 0), by_example(Stream(data, 16, 0, "crop", True), 0)
    )


class TestEvaluationBatches:
    def test_they_hold_every_example_in_order(self) -> None:
        found = list(batches(examples(), 16))
        assert [len(numbers) for _, numbers in found] == [13, 13, 12, 12]
        assert torch.cat([numbers for _, numbers in found]).tolist() == list(range(50))

    def test_they_are_what_the_stream_gives_without_augmentation(self) -> None:
        found = torch.cat([images for images, _ in batches(examples(), 16, channels_last=False)])
        assert torch.equal(found, by_example(stream(augment="none"), 0))


def test_examples_in_memory_open_as_a_stream() -> None:
    assert isinstance(open_stream(examples(), 16, 0, "crop", True, workers=4), Stream)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_sees_the_same_order_and_windows() -> None:
    here, there = (
        Stream(examples(), 16, 0, "crop-flip", True),
        Stream(examples(device="cuda"), 16, 0, "crop-flip", True),
    )
    for (images, numbers), (images_there, numbers_there) in zip(here.epoch(1), there.epoch(1), strict=True):
        assert images_there.is_cuda
        assert torch.equal(numbers, numbers_there.cpu())
        assert torch.allclose(images, images_there.cpu(), atol=1e-6)


@pytest.mark.parametrize("augment", ["none", "crop-flip"])
@pytest.mark.parametrize("devices", [2, 3])
def test_portions_are_parts_of_the_same_batches(augment: Augmentation, devices: int) -> None:
    whole = Stream(examples(), 16, 0, augment, False)
    parts = [Stream(examples(), 16, 0, augment, False, Portion(index, devices)) for index in range(devices)]
    for epoch in (0, 5):
        for batch, *shares in zip(whole.epoch(epoch), *(part.epoch(epoch) for part in parts), strict=True):
            for position in (0, 1):
                assert torch.equal(batch[position], torch.cat([share[position] for share in shares]))
            assert max(map(len, (labels for _, labels in shares))) - min(len(labels) for _, labels in shares) <= 1


def test_the_sizes_of_batches_are_known_without_reading_them() -> None:
    assert batch_sizes(50, 4) == [len(numbers) for _, numbers in stream().epoch(0)]


def test_each_of_several_devices_measures_whole_batches_of_its_own() -> None:
    whole = [numbers.tolist() for _, numbers in batches(examples(), 16)]
    read = [[numbers.tolist() for _, numbers in batches(examples(), 16, portion=Portion(i, 3))] for i in range(3)]
    assert read == [[whole[0], whole[3]], [whole[1]], [whole[2]]]
    assert list(batches(examples(), 50, portion=Portion(1, 2))) == []
