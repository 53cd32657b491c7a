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
    from regrow.channels.architecture import Architecture
    from regrow.channels.carve import carve
    from regrow.channels.changes import diff, to_widths
    from regrow.channels.composition import compose
    from regrow.channels.masks import mask_only
    from regrow.channels.replay import regrow
    from regrow.channels.rewind import rewind
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
    from regrow.evaluation.latency import latency
    from regrow.pruning.anything import prune_network as prune
    from regrow.shipping.bundle import load, save
    from regrow.shipping.program import export_program
    from regrow.shipping.to_onnx import export_onnx

    __version__: str

_HOMES = {
    "Architecture": "regrow.channels.architecture",
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
    "carve": "regrow.channels.carve",
    "compose": "regrow.channels.composition",
    "diff": "regrow.channels.changes",
    "export_onnx": "regrow.shipping.to_onnx",
    "export_program": "regrow.shipping.program",
    "latency": "regrow.evaluation.latency",
    "load": "regrow.shipping.bundle",
    "load_study": "regrow.config.load",
    "mask_only": "regrow.channels.masks",
    "prune": "regrow.pruning.anything:prune_network",
    "regrow": "regrow.channels.replay",
    "rewind": "regrow.channels.rewind",
    "run": "regrow.api",
    "save": "regrow.shipping.bundle",
    "to_widths": "regrow.channels.changes",
}

__all__ = [
    "Architecture",
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
    "carve",
    "compose",
    "diff",
    "export_onnx",
    "export_program",
    "latency",
    "load",
    "load_study",
    "mask_only",
    "prune",
    "regrow",
    "rewind",
    "run",
    "save",
    "to_widths",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'regrow' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    import importlib

    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
