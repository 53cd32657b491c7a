from __future__ import annotations

import numpy as np

from regrow.data.source import CHUNK, in_chunks
from tests.data.samples import noise


def test_chunks_are_all_images_in_order_and_bounded() -> None:
    images = noise(2 * CHUNK + 3, (1, 2, 2))
    chunks = list(in_chunks(images)())
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 3]
    assert np.array_equal(np.concatenate(chunks), images)


def test_a_second_pass_starts_over() -> None:
    start = in_chunks(noise(5))
    assert np.array_equal(next(start()), next(start()))
