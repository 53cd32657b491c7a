from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regrow.data.checks import check
from regrow.data.datasets import facts
from regrow.data.settings import DataSettings
from regrow.data.source import Images, Source, in_chunks
from regrow.errors import DataError
from tests.data.samples import noise, parquet_settings


def images(labels: list[int]) -> Images:
    return Images(np.asarray(labels, np.int64), in_chunks(noise(len(labels))))


def examine(train: list[int], own_test: list[int] | None, given: DataSettings | None = None, **changes: Any) -> None:
    settings = given or parquet_settings(Path("photos"), **({"examples": 8, "validation": 2} | changes))
    check(Source(images(train), None if own_test is None else images(own_test)), settings, facts(settings))


EIGHT = [0, 1, 2, 3] * 2


def test_what_is_as_declared_passes() -> None:
    examine(EIGHT, [3, 3])
    examine(EIGHT, None, test=2)


def test_more_classes_than_declared_are_refused_with_the_number_to_write() -> None:
    with pytest.raises(
        DataError, match=r"with 4 classes, labels run from 0 to 3; .* from 0 to 5\. Set data\.classes = 6"
    ):
        examine([*EIGHT[:7], 5], [0])


def test_fewer_classes_than_declared_are_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"of 4 classes, 1 have no training example: 2\. Set data\.classes"):
        examine([0, 1, 3, 3, 0, 1, 3, 3], [0])


def test_labels_below_zero_are_refused() -> None:
    with pytest.raises(DataError, match="the test labels run from -1 to 0"):
        examine(EIGHT, [-1, 0])


def test_another_number_of_examples_is_refused_with_the_number_to_write() -> None:
    with pytest.raises(DataError, match=r"should hold 9 examples; they hold 8\. Set data\.examples = 8"):
        examine(EIGHT, [0], examples=9)


def test_a_known_data_set_that_is_not_complete_is_refused() -> None:
    with pytest.raises(DataError, match=r"should hold 50000 examples; they hold 10\. Complete the files"):
        examine(list(range(10)), [0], DataSettings(name="cifar10-jpeg"))


@pytest.mark.parametrize("classes", [10, 1000])
def test_a_folder_with_a_part_of_imagenet_is_refused_with_the_format_that_reads_it(classes: int) -> None:
    with pytest.raises(DataError, match=r'or declare what they hold with data\.name = "folder"') as caught:
        examine(list(range(classes)), [0], DataSettings(name="imagenet", validation=2))
    assert ("990 have no training example" in str(caught.value)) is (classes == 10)


def test_a_missing_test_set_is_refused_with_the_way_to_hold_one_out() -> None:
    with pytest.raises(DataError, match=r"photos has no test set of its own\. Hold one out: data\.test = 0\.2"):
        examine(EIGHT, None)


def test_a_second_test_set_is_refused() -> None:
    with pytest.raises(DataError, match=r"photos has its own 2 test examples\. Remove data\.test"):
        examine(EIGHT, [0, 1], test=2)


@pytest.mark.parametrize(("train", "test", "part"), [([], [0], "training"), (EIGHT, [], "test")])
def test_files_without_rows_are_refused(train: list[int], test: list[int], part: str) -> None:
    with pytest.raises(DataError, match=f"the {part} files hold no examples"):
        examine(train, test)
