"""regrow: was pruning worth it, or would the same small network trained from scratch have done as well?

    import regrow

    results = regrow.run("digits")
    for verdict in results.verdicts:
        print(verdict)

Importing this package imports nothing else; each public name is fetched when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regrow.api import Results, Verdict, run
    from regrow.config.load import load_study
    from regrow.config.study import Study
    from regrow.errors import (
        ConfigError,
        DataError,
        DivergenceError,
        ExportError,
        MissingExtraError,
        ProtocolError,
        PruningError,
        RegrowError,
        StoreError,
        TrainingError,
        UnknownNameError,
    )
    from regrow.shipping.bundle import load, save
    from regrow.shipping.program import export_program
    from regrow.shipping.to_onnx import export_onnx

    __version__: str

_HOMES = {
    "ConfigError": "regrow.errors",
    "DataError": "regrow.errors",
    "DivergenceError": "regrow.errors",
    "ExportError": "regrow.errors",
    "MissingExtraError": "regrow.errors",
    "ProtocolError": "regrow.errors",
    "PruningError": "regrow.errors",
    "RegrowError": "regrow.errors",
    "Results": "regrow.api",
    "StoreError": "regrow.errors",
    "Study": "regrow.config.study",
    "TrainingError": "regrow.errors",
    "UnknownNameError": "regrow.errors",
    "Verdict": "regrow.api",
    "__version__": "regrow.version",
    "export_onnx": "regrow.shipping.to_onnx",
    "export_program": "regrow.shipping.program",
    "load": "regrow.shipping.bundle",
    "load_study": "regrow.config.load",
    "run": "regrow.api",
    "save": "regrow.shipping.bundle",
}

__all__ = [
    "ConfigError",
    "DataError",
    "DivergenceError",
    "ExportError",
    "MissingExtraError",
    "ProtocolError",
    "PruningError",
    "RegrowError",
    "Results",
    "StoreError",
    "Study",
    "TrainingError",
    "UnknownNameError",
    "Verdict",
    "__version__",
    "export_onnx",
    "export_program",
    "load",
    "load_study",
    "run",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'regrow' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
