"""Keys: every key that a study file may hold, and the one that a wrong key probably stands for."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel

from regrow.config.study import Study
from regrow.config.words import constraints, is_list, key_text

SYNONYMS: Final = {
    "amount": "prune.fraction",
    "architecture": "network",
    "batch_size": "train.batch",
    "criterion": "prune.method",
    "dataset": "data",
    "finetune": "retrain",
    "gpu": "compute.device",
    "gpus": "compute.devices",
    "importance": "prune.method",
    "learning_rate": "train.lr",
    "model": "network",
    "models": "network",
    "n_seeds": "seeds",
    "num_classes": "data.classes",
    "num_seeds": "seeds",
    "num_workers": "data.loader_workers",
    "path": "data.root",
    "pruning": "prune",
    "ratio": "prune.fraction",
    "repeats": "seeds",
    "scheduler": "train.schedule",
    "sparsity": "prune.fraction",
    "threshold": "margin",
    "training": "train",
    "val": "data.validation",
    "wd": "train.weight_decay",
}
"""What other tools call things."""

CLOSE: Final = 0.6
"""Similarity from which a key counts as a slip of another (difflib's ratio)."""


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The settings model that a field's tables are read with, single or in an array; None for a plain field."""
    kind, _ = constraints(annotation)
    if is_list(kind):
        kind = get_args(kind)[0]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


@cache
def sections() -> dict[str, tuple[str, ...]]:
    """Keys by table; the empty name stands for the top of the file, which also holds the tables' own names."""
    fields = {name: model_of(field.annotation) for name, field in Study.model_fields.items()}
    inner = {name: tuple(model.model_fields) for name, model in fields.items() if model is not None}
    return {"": tuple(fields), **inner}


def meant(section: str, key: str) -> str:
    """The hint for a key that its table (empty for the top of the file) does not know.

    >>> meant("prune", "fracton"), meant("", "lr"), meant("train", "batch-size")
    ('Did you mean prune.fraction?', 'Did you mean train.lr?', 'Did you mean train.batch?')
    """
    better = _closest(section, key.lower().replace("-", "_").replace(" ", "_"))
    if better is not None:
        return f"Did you mean {better}?"
    place = f"[{section}]" if section else "the top of the file"
    return f"Keys of {place}: {', '.join(sorted(sections().get(section, ())))}."


def _closest(section: str, key: str) -> str | None:
    if section and key in sections():
        return None  # a table where it cannot stand, and no slip
    own = [dotted(section, name) for name in sections().get(section, ())]
    elsewhere = [dotted(place, name) for place, names in sections().items() for name in names if place != section]
    for known in (own, elsewhere):
        exact = [name for name in known if name.rpartition(".")[2] == key]
        if exact:
            return " or ".join([", ".join(exact[:-1]), exact[-1]] if exact[1:] else exact)
    return _slip(own, key) or SYNONYMS.get(key) or _slip(elsewhere, key)


def _slip(known: list[str], key: str) -> str | None:
    leaves = {name.rpartition(".")[2]: name for name in reversed(known)}
    close = difflib.get_close_matches(key, leaves, n=1, cutoff=CLOSE)
    return leaves[close[0]] if close else None


def dotted(*parts: str) -> str:
    """Keys joined with dots, empty ones left out; a key that is no bare word is quoted and safe to print.

    >>> dotted("", "train", "my key")
    'train."my key"'
    """
    return ".".join(part if re.fullmatch(r"[\w-]+ #\d+", part) else key_text(part) for part in parts if part)
