"""Bundled data: the handwritten digits that ship inside scikit-learn."""

from __future__ import annotations

import numpy as np

from regrow.data.datasets import Facts
from regrow.data.settings import DataSettings
from regrow.data.source import Images, Source, in_chunks


def digits(_settings: DataSettings, _known: Facts) -> Source:
    """1,797 grey 8x8 images of ten classes; their values 0..16 are scaled to 0..255 and rounded down. No test set of its own."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images.astype(np.int64) * 255 // 16).astype(np.uint8)[..., None]
    return Source(train=Images(bunch.target.astype(np.int64), in_chunks(images)), test=None)
