"""The test set's door. Only `evaluation/accuracy.py` may import this module; a test keeps it so.

Whatever is chosen (a learning rate, an epoch, a fraction) is chosen on validation examples, so nothing else needs this.
"""

from __future__ import annotations

from pathlib import Path

from regrow.data.examples import AnyExamples, Device, open_part


def open_test(folder: Path, device: Device = "cpu") -> AnyExamples:
    """The test examples of a prepared folder, on `device`. Raises `DataError` for a damaged folder."""
    return open_part(folder, "test", device)
