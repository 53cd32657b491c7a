"""Two small studies that are really run, in this process: over lengths of fine-tuning, and over shares of the images."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from regrow.config.load import load_study
from regrow.study.expand import expand
from regrow.study.results import write_results
from regrow.study.runner import usable
from regrow.study.store import Store
from regrow.study.worker import execute

Row = dict[str, Any]

_SHARED = """
seeds    = 2
arms     = ["fine-tune", "scratch-e"]
contrast = ["fine-tune", "scratch-e"]

[network]
name  = "vgg11"
width = 0.0625

[prune]
method   = "l1"
fraction = 0.5

[compute]
device        = "cpu"
precision     = "fp32"
channels_last = false
"""
LENGTHS = (
    _SHARED
    + """
[data]
name = "digits"

[train]
epochs = 2
batch  = 128

[retrain]
tune_lr = false

[[variant]]
name    = "long"
retrain = { epochs = 2 }

[[variant]]
name    = "short"
retrain = { epochs = 1 }
"""
)
SHARES = (
    _SHARED
    + """
[[data]]
name = "digits"

[[data]]
name  = "digits"
share = 0.25

[train]
epochs = 1
batch  = 128

[retrain]
epochs  = 1
tune_lr = false
"""
)


@functools.cache
def over_lengths() -> Row:
    """fine-tune for one and for two epochs against two epochs from fresh weights, two seeds."""
    return _run(LENGTHS)


@functools.cache
def over_real_shares() -> Row:
    """All digits and a quarter of them, one epoch each, two seeds."""
    return _run(SHARES)


def _run(text: str) -> Row:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "study.toml").write_text(text, encoding="utf-8")
        return _as_it_was(lambda: _finish(folder))


def _finish(folder: Path) -> Row:
    study, store = load_study(folder / "study.toml"), Store(folder / "store")
    while True:
        found = expand(study, store.result)
        waiting = [stage for key, stage in found.stages.items() if store.result(key) is None]
        ready = [stage for stage in waiting if all(map(usable, map(store.result, stage.inputs.values())))]
        if not ready:
            assert not waiting
            return write_results(study, found, store, folder, "")
        for stage in ready:
            execute(stage, store, lambda _: None)


def _as_it_was(work: Callable[[], Row]) -> Row:
    """Training sets the process up for itself; other tests should not notice."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    try:
        return work()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        torch.set_flush_denormal(False)
