from __future__ import annotations

import subprocess
import sys

import pytest

from regrow.errors import UnknownNameError
from regrow.pruning.methods import METHODS
from regrow.table import load


@pytest.mark.parametrize("name", METHODS)
def test_every_row_leads_to_documented_code_that_names_its_source(name: str) -> None:
    code = load(METHODS[name].target)
    assert "Source:" in (code.__doc__ or "") + (sys.modules[code.__module__].__doc__ or "")
    assert not METHODS[name].summary.endswith(".")


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.kind == "criterion"])
def test_criteria_say_in_which_units_they_score(name: str) -> None:
    assert "Units:" in (load(METHODS[name].target).__doc__ or "")


def test_a_misspelt_method_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'random'"):
        METHODS["randon"]


def test_only_methods_that_draw_are_seeded() -> None:
    assert [name for name, row in METHODS.items() if row.seeded] == [
        "hessian",
        "thinet",
        "regression",
        "random",
        "random-widths",
        "guided-sparsity",
    ]


def test_what_takes_gradients_takes_them_on_examples() -> None:
    assert all(row.needs_data for row in METHODS.values() if row.needs_gradient)


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.kind == "criterion"])
def test_a_criterions_row_says_what_its_parameters_ask_for(name: str) -> None:
    from regrow.pruning.evidence import EVIDENCE
    from regrow.pruning.evidence_asked import asked_for

    row = METHODS[name]
    names = asked_for(name, load(row.target), examples=True).names
    assert any(EVIDENCE[one].needs_examples for one in names) is row.needs_data
    assert ("scale" in names) is row.needs_norms


def test_what_is_needed_to_plan_pruning_is_read_without_torch() -> None:
    script = (
        "import sys; from regrow.pruning import designs, methods, settings, widths; "
        "from regrow.networks.zoo import dense_spec; from regrow.networks.settings import NetworkSettings; "
        "dense = dense_spec(NetworkSettings(name='vgg16'), classes=10, shape=(3, 32, 32)); "
        "widths.target_widths(settings.PruneSettings(method='l1'), dense, 0.5); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
