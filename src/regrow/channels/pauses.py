"""Python's garbage collector, paused while many objects are made that all stay alive."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """No search for garbage meanwhile: a trace makes tens of thousands of arrays and labels, and each search walks over all of them.

    What a person had switched off stays off.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
