"""Comparisons: what a study consists of, by network, data, method and amount."""

from __future__ import annotations

from pathlib import Path

from regrow.config.load import load_study
from regrow.config.study import Study
from regrow.pruning.guide import write_guide
from regrow.study.comparison import Comparison, comparisons
from tests.pruning.guides import of_channels
from tests.study.conftest import write_tiny


def study(tmp_path: Path, *overrides: str) -> Study:
    return load_study(str(write_tiny(tmp_path)), overrides)


def test_a_study_is_networks_by_data_by_methods_by_fractions(tmp_path: Path) -> None:
    made = study(tmp_path, "prune.fraction=[0.3, 0.5]", 'prune.method=["l1", "random"]')
    assert [(c.method, c.fraction) for c in comparisons(made)] == [
        ("l1", 0.3),
        ("l1", 0.5),
        ("random", 0.3),
        ("random", 0.5),
    ]


def test_a_named_design_has_no_fraction(tmp_path: Path) -> None:
    path = write_tiny(tmp_path)
    path.write_text(path.read_text().replace("fraction = 0.5", 'widths = "vgg16-a"').replace("vgg11", "vgg16"))
    found: Comparison = next(comparisons(load_study(str(path), ["network.width=1"])))
    assert (found.fraction, found.design) == (None, "vgg16-a")
    assert found.pruned is not None
    assert found.pruned.widths[0] == 32


def test_widths_that_a_method_finds_are_not_known_before(tmp_path: Path) -> None:
    found = {
        method: next(comparisons(study(tmp_path, f'prune.method="{method}"'))).pruned
        for method in ("l1", "slimming", "soft")
    }
    assert {method: spec is None for method, spec in found.items()} == {"l1": False, "slimming": True, "soft": False}


def test_designs_say_what_is_not_plain(tmp_path: Path) -> None:
    made = {
        change: next(comparisons(study(tmp_path, *change.split(" ")))).design
        for change in ('prune.of="macs"', 'prune.scope="global"', 'prune.method="magnitude" prune.rounds=3')
    }
    assert list(made.values()) == ["50 % of macs", "50 % global", "50 % in 3 rounds"]
    rounds = study(tmp_path, 'prune={method="magnitude", rounds=3, per_round=0.2}')
    assert next(comparisons(rounds)).design == "3 rounds of 20 %"


def test_what_stays_whole_is_named_by_group_however_it_was_meant(tmp_path: Path) -> None:
    asked = {
        "named already": 'prune={method="l1", skip=[2]}',
        "by position": 'prune={method="slimming", skip=[2]}',
        "by pattern": 'prune={method="slimming", skip=["features.conv1*"]}',
        "tensors": 'prune={method="magnitude", skip=["features.conv1.*"]}',
    }
    found = {what: next(comparisons(study(tmp_path, change))).skip for what, change in asked.items()}
    assert found == {
        "named already": (),
        "by position": ("features.conv2",),
        "by pattern": ("features.conv1",),
        "tensors": ("features.conv1.*",),
    }


def test_designs_by_different_guides_are_told_apart_and_their_widths_wait_for_the_count(tmp_path: Path) -> None:
    for name, share in (("a", 0.5), ("b", 0.4)):
        write_guide(tmp_path / f"{name}.json", of_channels(1.0, 1.0, 1.0, share, share))
    path = write_tiny(tmp_path)
    table = '\n[[prune]]\nmethod = "guided"\nguide = "{}.json"\nof = "macs"\n'
    before, _, after = path.read_text().partition('[prune]\nmethod = "l1"\nfraction = 0.5\n')
    path.write_text(before + table.format("a") + table.format("b") + after)
    found = list(comparisons(load_study(str(path), [])))
    first = of_channels(1.0, 1.0, 1.0, 0.5, 0.5).digest[:6]
    assert found[0].design == f"50 % of macs guide {first}" != found[1].design
    assert [one.pruned for one in found] == [None, None]
