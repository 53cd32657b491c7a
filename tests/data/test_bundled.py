from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from regrow.data.bundled import digits
from regrow.data.datasets import facts
from regrow.data.settings import DataSettings
from regrow.data.source import Images, Source


def source() -> Source:
    settings = DataSettings(name="digits")
    return digits(settings, facts(settings))


def test_there_are_1797_digits_of_ten_classes_and_no_test_set() -> None:
    found = source()
    assert found.test is None
    assert len(found.train.labels) == 1797
    assert set(found.train.labels.tolist()) == set(range(10))


def test_values_are_scaled_from_16_to_255() -> None:
    found = source().train
    assert isinstance(found, Images)
    pixels = np.concatenate(list(found.chunks()))
    assert pixels.shape == (1797, 8, 8, 1)
    assert pixels.dtype == np.uint8
    raw = load_digits().images
    for value, expected in ((0, 0), (1, 15), (8, 127), (15, 239), (16, 255)):
        assert set(pixels[..., 0][raw == value].tolist()) == {expected}
