"""Compute: it survives JSON."""

from __future__ import annotations

import pytest

from regrow.errors import ConfigError
from regrow.training.compute import Compute


def test_a_compute_survives_json() -> None:
    made = Compute(device="cpu", threads=2, precision="bf16", channels_last=True, compile=True)
    assert Compute.from_json(made.to_json()) == made


def test_a_field_of_another_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="another version of regrow"):
        Compute.from_json(Compute().to_json() | {"nodes": 2})
