"""Setup: what can be asked about the speed of a network: which small networks, run how, measured how long. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from regrow.table import Table

FRACTIONS: Final = (0.0, 0.25, 0.5, 0.75)
"""Shares of channels removed that are asked about, unless others are named."""

ROUNDINGS: Final = (8, 16, 32)
"""Multiples to which widths are rounded for comparison, at the fraction nearest to one half."""

SECONDS: Final = 30.0
"""About how long the counted runs take together, unless it is said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """One way to run a network."""

    summary: str
    """One line of help."""

    target: str
    """`module:attribute` of the function that makes a network ready to be called."""

    needs: tuple[str, ...] = ()
    """Modules that must be installed, beyond what regrow itself needs."""

    extra: str = ""
    """The extra of regrow that brings them."""

    asked_for_only: bool = False
    """Whether it is left out unless a person names it."""

    @property
    def installed(self) -> bool:
        """Whether all that it needs is there."""
        return all(find_spec(name) is not None for name in self.needs)


_HOME: Final = "regrow.evaluation.runtimes"

BACKENDS: Final[Table[Backend]] = Table(
    "backend",
    {
        "eager": Backend(summary="PyTorch, operation by operation", target=f"{_HOME}:eager"),
        "onnxruntime": Backend(
            summary="exported to ONNX and run by ONNX Runtime",
            target=f"{_HOME}:onnxruntime_session",
            needs=("onnx", "onnxscript", "onnxruntime"),
            extra="onnx",
        ),
        "compiled": Backend(
            summary="torch.compile; compiling takes many seconds for each small network",
            target=f"{_HOME}:compiled",
            asked_for_only=True,
        ),
    },
)


def usual_backends() -> tuple[str, ...]:
    """The backends that are measured unless others are named: those that are installed and ready within seconds."""
    return tuple(name for name, row in BACKENDS.items() if row.installed and not row.asked_for_only)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """How to measure."""

    backends: tuple[str, ...]
    """Rows of `BACKENDS`."""

    threads: int = 1
    """CPU threads."""

    device: str = "cpu"
    """cpu or cuda."""

    channels_last: bool = False
    """Whether images and convolution weights lie in memory as NHWC."""

    seconds: float = SECONDS
    """About how long the counted runs take together."""
