"""Artifacts: one bit an example, read back as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regrow.study.artifacts import CORRECT, read_correct, write_correct
from regrow.study.stage import Stage
from regrow.study.store import Store


@pytest.mark.parametrize("examples", [1, 8, 540, 541])
def test_correctness_survives_packing(tmp_path: Path, examples: int) -> None:
    store, stage = Store(tmp_path), Stage(kind="evaluate", settings={"examples": examples})
    correct = np.random.default_rng(0).random(examples) < 0.9
    write_correct(store.partial(stage.key), correct)
    store.commit(stage, {}, {})
    assert (store.folder(stage.key) / CORRECT).stat().st_size == -(-examples // 8)
    assert np.array_equal(read_correct(store, stage.key, examples), correct)
