from __future__ import annotations

import gc

import pytest

from regrow.channels.pauses import no_collection


def test_nothing_is_collected_inside_and_it_goes_on_after() -> None:
    assert gc.isenabled()
    with no_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="stop"), no_collection():
        raise ValueError("stop")
    assert gc.isenabled()


def test_what_was_off_stays_off() -> None:
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
