"""Groundwork: what a plan needs, without the trainer and, for data, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.study.conftest import environment, write_tiny

DO = """
import sys
from pathlib import Path
from regrow.config.load import load_study
from regrow.study.comparison import comparisons
from regrow.study.stages import cost_stage, data_stage
from regrow.study.store import Store
from regrow.study.worker import execute

study, store = load_study(sys.argv[1], []), Store(Path(sys.argv[2]))
data, cost = data_stage(study.datasets[0]), cost_stage(next(comparisons(study)).pruned)
execute(data, store, print)
print("torch" in sys.modules, store.result(data.key)["train"])
execute(cost, store, print)
print("lightning_fabric" in sys.modules, store.result(cost.key)["params"])
"""


def test_data_need_no_torch_and_counting_needs_no_trainer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DO, str(write_tiny(tmp_path)), str(tmp_path / "store")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=120)
    # 1797 digits less 540 for the test and 125 for validation; 9.36 k parameters is what half of a VGG-11 at 1/16 leaves
    assert done.stdout.split() == ["False", "1132", "False", "9360"]
