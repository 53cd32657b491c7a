"""What a comparison asks of its method: defaults filled in, and what is known before anything was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regrow.pruning.guide import write_guide
from regrow.pruning.settings import PruneSettings
from regrow.pruning.wanted import Wanted, wanted

from .guides import of_channels


def asked(method: str, fraction: float | None = 0.5, **settings: Any) -> Wanted:
    return wanted(PruneSettings(method=method, **settings), method, fraction)


@pytest.mark.parametrize(
    ("method", "settings", "known"),
    [
        ("l1", {}, "named"),
        ("l1", {"scope": "global"}, "automatic"),
        ("l1", {"of": "macs"}, "computed"),
        ("l1", {"of": "macs", "scope": "global"}, "automatic"),
        ("soft", {}, "named"),
        ("thinet", {}, "named"),
        ("slimming", {}, "automatic"),
        ("slimming", {"widths": (3, 4)}, "named"),
        ("sss", {}, "automatic"),
        ("magnitude", {}, "masked"),
        ("taylor", {"remove": "weights"}, "masked"),
        ("random-widths", {}, "automatic"),
        ("random-widths", {"of": "macs"}, "automatic"),
    ],
)
def test_widths_are_named_computed_found_or_none_of_it(method: str, settings: dict[str, Any], known: str) -> None:
    one = asked(method, **settings)
    found = {
        "named": one.named_widths,
        "computed": one.computed_widths,
        "automatic": one.automatic,
        "masked": one.masked,
    }
    assert [name for name, holds in found.items() if holds] == [known]


def test_a_method_removes_what_it_was_made_for_unless_it_is_told() -> None:
    assert [asked("sss").removes, asked("sss", remove="channels").removes, asked("snip").removes] == [
        "blocks",
        "channels",
        "weights",
    ]


def test_only_trainings_from_scratch_replace_dense_training() -> None:
    found = {
        "slimming": asked("slimming").replaces_dense,
        "from dense": asked("slimming", start="dense").replaces_dense,
        "gradual": asked("gradual").replaces_dense,
        "l1": asked("l1").replaces_dense,
    }
    assert found == {"slimming": True, "from dense": False, "gradual": False, "l1": False}


def test_plain_settings_stay_out_of_the_identity_and_others_do_not() -> None:
    assert asked("l1").how() == {}
    assert asked("taylor", reduce="max", normalise="sum").how() == {"reduce": "max", "normalise": "sum"}


def test_an_amount_says_only_what_matters() -> None:
    assert asked("magnitude").amount() == {"remove": "weights", "of": "weights", "fraction": 0.5, "scope": "global"}
    assert asked("slimming").amount()["floor"] == 0.1


def test_widths_by_a_guide_are_computed_and_the_guide_is_part_of_what_is_asked(tmp_path: Path) -> None:
    write_guide(tmp_path / "guide.json", of_channels(1.0, 0.5))
    prune = PruneSettings(method="guided", guide=Path("guide.json"), of="macs")
    one = wanted(prune, "guided", 0.5, tmp_path)
    assert (one.named_widths, one.computed_widths, one.automatic) == (False, True, False)
    assert one.identity == {"guide": of_channels(1.0, 0.5).to_json()} == one.guidance
    assert one.guide_source is not None
    assert (one.guide_source["network"], one.guide_source["digest"]) == ("vgg16", of_channels(1.0, 0.5).digest)
    assert one.amount() == {"remove": "channels", "of": "macs", "fraction": 0.5, "scope": "group"}
    write_guide(tmp_path / "guide.json", of_channels(1.0, 0.4))
    assert wanted(prune, "guided", 0.5, tmp_path).identity != one.identity
    assert asked("l1").identity == {} == asked("random-widths").guidance


def test_a_guess_at_what_goes_is_a_share() -> None:
    guesses = [asked("l1"), asked("l1", of="macs"), asked("magnitude", None, per_round=0.5, rounds=2)]
    assert [one.supposed_share for one in guesses] == [0.75, 0.5, 0.75]


def test_the_blocks_that_a_design_names_are_part_of_what_is_asked() -> None:
    named = asked("sss", None, widths="sss-resnet41")
    assert named.amount()["blocks"] == ["layer1.1", "layer1.2"]
    assert named.automatic and not named.named_widths
    assert "blocks" not in asked("sss").amount()
    assert asked("sss", None, widths="sss-resnet41", remove="channels").named_blocks == ()
