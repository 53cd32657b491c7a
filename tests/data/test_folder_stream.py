from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from regrow.data.examples import FolderExamples, open_training
from regrow.data.folder_stream import FolderStream, evaluation_transform, training_transform
from regrow.data.settings import Augmentation
from regrow.data.stream import Portion, batches, open_stream
from regrow.errors import DataError
from tests.data.samples import image_root, image_settings, noise, prepared


@pytest.fixture
def train(tmp_path: Path) -> FolderExamples:
    root = image_root(tmp_path / "root", train=12)
    found, _ = open_training(prepared(image_settings(root, examples=24), tmp_path / "out"))
    assert isinstance(found, FolderExamples)
    return found


def read(
    examples: FolderExamples, epoch: int = 0, *, seed: int = 0, augment: Augmentation = "crop-flip", workers: int = 0
) -> list[tuple[Tensor, Tensor]]:
    return list(FolderStream(examples, 8, seed, augment, True, workers).epoch(epoch))


def same(one: list[tuple[Tensor, Tensor]], two: list[tuple[Tensor, Tensor]]) -> bool:
    pairs = list(zip(one, two, strict=True))
    return all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in pairs)


def sorted_bytes(found: list[tuple[Tensor, Tensor]]) -> list[bytes]:
    return sorted(image.numpy().tobytes() for images, _ in found for image in images)


def test_every_example_comes_once_in_nearly_equal_batches(train: FolderExamples) -> None:
    found = read(train)
    assert [len(labels) for _, labels in found] == [7, 7, 6]
    assert torch.cat([labels for _, labels in found]).bincount().tolist() == [10, 10]
    assert FolderStream(train, 8, 0, "none", True).steps_per_epoch == 3


def test_images_are_normalised_float32_of_the_declared_shape_and_layout(train: FolderExamples) -> None:
    images, labels = read(train)[0]
    assert (images.shape, images.dtype, labels.dtype) == ((7, 3, 16, 16), torch.float32, torch.int64)
    assert images.is_contiguous(memory_format=torch.channels_last)
    # noise 0..255: mean 1/2, std 1/sqrt(12), less after resizing; ImageNet's constants map 1/2 to about 0.07..0.42
    assert 0.0 < float(images.mean()) < 0.5


def test_an_epoch_is_a_function_of_seed_and_number(train: FolderExamples) -> None:
    stream = FolderStream(train, 8, 0, "crop-flip", True)
    list(stream.epoch(0))
    assert same(list(stream.epoch(1)), read(train, 1))
    assert not same(read(train, 0), read(train, 1))


def test_another_seed_or_epoch_crops_every_image_otherwise(train: FolderExamples) -> None:
    first = set(sorted_bytes(read(train, 0)))
    assert not first & set(sorted_bytes(read(train, 1)))
    assert not first & set(sorted_bytes(read(train, 0, seed=1)))


def test_without_augmentation_only_the_order_changes(train: FolderExamples) -> None:
    one, two = read(train, 0, augment="none"), read(train, 1, augment="none")
    assert not same(one, two)
    assert sorted_bytes(one) == sorted_bytes(two)


def test_a_worker_process_changes_nothing_lives_on_and_reports_damage_in_one_line(train: FolderExamples) -> None:
    # One test, because starting a worker takes seconds.
    stream = FolderStream(train, 8, 0, "crop-flip", True, workers=1)
    for epoch in (0, 1):
        assert same(list(stream.epoch(epoch)), read(train, epoch))
    file = train.root / train.paths[3]
    file.write_bytes(b"damaged")
    with pytest.raises(DataError) as caught:
        list(stream.epoch(2))
    assert str(caught.value).startswith(f"{file} is not a readable image")
    assert "\n" not in str(caught.value)


def test_torchs_own_generator_is_neither_read_nor_moved(train: FolderExamples) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = read(train)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert same(one, read(train))


class TestDamage:
    def test_a_corrupt_image_is_named(self, train: FolderExamples) -> None:
        file = train.root / train.paths[3]
        file.write_bytes(b"damaged")
        with pytest.raises(DataError, match=rf"^{file} is not a readable image .*Repair it, or take it out\.$"):
            read(train)

    def test_an_image_that_has_gone_is_named(self, train: FolderExamples) -> None:
        (train.root / train.paths[0]).unlink()
        with pytest.raises(DataError, match="is not a readable image"):
            read(train)


class TestTransforms:
    def image(self, height: int = 256, width: int = 512) -> Image.Image:
        return Image.fromarray(noise(1, (3, height, width))[0])

    def test_evaluation_takes_the_centre_of_the_image_at_256_for_224(self) -> None:
        image = self.image()
        found = evaluation_transform((3, 224, 224))(image)
        assert np.array_equal(np.asarray(found), np.asarray(image.crop((144, 16, 368, 240))))

    @pytest.mark.parametrize("shape", [(3, 16, 40), (1, 40, 16), (3, 8, 8)])
    def test_every_transform_gives_the_declared_size(self, shape: tuple[int, int, int]) -> None:
        for augment in ("none", "crop", "crop-flip"):
            assert training_transform(shape, augment)(self.image()).size == (shape[2], shape[1])

    def test_only_crop_flip_mirrors(self) -> None:
        names = {
            kind: [type(step).__name__ for step in training_transform((3, 8, 8), kind).transforms]
            for kind in ("crop", "crop-flip")
        }
        assert names == {"crop": ["RandomResizedCrop"], "crop-flip": ["RandomResizedCrop", "RandomHorizontalFlip"]}


def test_evaluation_batches_hold_every_file_in_order(train: FolderExamples) -> None:
    found = list(batches(train, 8, channels_last=False))
    assert torch.equal(torch.cat([labels for _, labels in found]), train.labels)
    assert found[0][0].is_contiguous()
    assert sorted_bytes(found) == sorted_bytes(read(train, augment="none"))


def test_files_open_as_a_folder_stream(train: FolderExamples) -> None:
    assert isinstance(open_stream(train, 8, 0, "crop", True), FolderStream)


def test_portions_are_parts_of_the_same_batches(train: FolderExamples) -> None:
    parts = [FolderStream(train, 8, 0, "crop-flip", True, 0, Portion(index, 2)) for index in range(2)]
    for whole, *shares in zip(read(train, 3), *(part.epoch(3) for part in parts), strict=True):
        assert torch.equal(whole[0], torch.cat([images for images, _ in shares]))
        assert torch.equal(whole[1], torch.cat([labels for _, labels in shares]))


def test_each_of_several_devices_measures_whole_batches_of_its_own(train: FolderExamples) -> None:
    whole = list(batches(train, 8))
    assert [len(list(batches(train, 8, portion=Portion(index, 2)))) for index in range(2)] == [2, 1]
    assert same(list(batches(train, 8, portion=Portion(1, 2))), whole[1::2])
