"""Compute: it survives JSON."""

from __future__ import annotations

import pytest

from regrow.errors import ConfigError
from regrow.training.compute import Compute


def test_a_compute_survives_json() -> None:
    made = Compute(device="cpu", threads=2, precision="bf16", channels_last=True, compile=True, devices=3)
    assert Compute.from_json(made.to_json()) == made


def test_a_field_of_another_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="another version of regrow"):
        Compute.from_json(Compute().to_json() | {"nodes": 2})


def test_a_single_device_goes_without_saying_so_that_older_keys_hold() -> None:
    assert Compute().to_json() == {
        "device": "cpu",
        "threads": 1,
        "precision": "fp32",
        "channels_last": False,
        "compile": False,
    }
    assert Compute(devices=2).to_json() == Compute().to_json() | {"devices": 2}


def test_what_is_not_training_takes_one_device() -> None:
    assert Compute(devices=4, precision="bf16").alone() == Compute(precision="bf16")
