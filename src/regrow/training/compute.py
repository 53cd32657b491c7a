"""Compute: the arithmetic of a training, resolved. Imports no torch.

A study may leave precision, layout and compilation open (`ComputeSettings`); `trial.py` resolves them when the study is planned.
Every field changes the bits of a result, so all of them are part of a stage's identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from regrow.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """Where and in which arithmetic one network is trained."""

    device: Literal["cpu", "cuda"] = "cpu"
    """The kind of device; `cuda` is the first one that the process sees."""

    threads: int = 1
    """CPU threads of one training."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """fp32, or bf16 autocast with fp32 weights, gradients and optimiser state."""

    channels_last: bool = False
    """Whether images and convolution weights lie in memory as NHWC."""

    compile: bool = False
    """Whether the network goes through torch.compile."""

    devices: int = 1
    """Devices of that kind that share each batch of one training, one process on each."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; `from_json` gives an equal value back. A single device goes without saying, as in older stores."""
        return {name: value for name, value in asdict(self).items() if name != "devices" or value != 1}

    def alone(self) -> Compute:
        """The same arithmetic on one device: for all that is not training."""
        return replace(self, devices=1)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Compute:
        """From `to_json`'s value. Raises `ConfigError` for unknown fields."""
        try:
            return cls(**value)
        except TypeError as error:
            raise ConfigError(f"not a compute value: {error}. It was written by another version of regrow.") from None
