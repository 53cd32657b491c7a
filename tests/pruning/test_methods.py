from __future__ import annotations

import subprocess
import sys

import pytest

from regrow.errors import UnknownNameError
from regrow.pruning.methods import METHODS
from regrow.table import load


@pytest.mark.parametrize("name", METHODS)
def test_every_row_leads_to_a_documented_function(name: str) -> None:
    criterion = load(METHODS[name].target)
    assert "Source:" in criterion.__doc__
    assert "Units:" in criterion.__doc__
    assert not METHODS[name].summary.endswith(".")


def test_a_misspelt_method_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'random'"):
        METHODS["randon"]


def test_only_chance_is_seeded_and_none_needs_data_yet() -> None:
    assert [name for name, row in METHODS.items() if row.seeded] == ["random"]
    assert not any(row.needs_data for row in METHODS.values())


def test_what_is_needed_to_plan_pruning_is_read_without_torch() -> None:
    script = (
        "import sys; from regrow.pruning import designs, methods, settings, widths; "
        "from regrow.networks.zoo import dense_spec; from regrow.networks.settings import NetworkSettings; "
        "dense = dense_spec(NetworkSettings(name='vgg16'), classes=10, shape=(3, 32, 32)); "
        "widths.target_widths(settings.PruneSettings(method='l1'), dense, 0.5); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
