"""Making guides: stage-wise means over seeds, by hand, and the comparison that is meant."""

from __future__ import annotations

from typing import Any

import pytest

from regrow.errors import ConfigError
from regrow.pruning.guide_making import make_guide

from .guides import results


def test_channels_are_shares_of_each_stage_averaged_over_seeds() -> None:
    guide = make_guide(results(), method="slimming")
    # stage 0: (20 + 18) of 2 x 20 channels; stage 1: (4 + 2) of 2 x 20
    assert guide.channels == (0.95, 0.15)
    assert (guide.weights, guide.kernels) == (None, ())
    assert (guide.source.seeds, guide.source.n, guide.source.study) == ((0, 1), 2, "5eed")
    assert (guide.source.network, guide.source.design, guide.source.fraction) == ("toy", "50 % of macs", 0.5)


def test_masks_are_shares_of_each_stage_and_kernel_position_averaged_over_seeds() -> None:
    guide = make_guide(results(), method="magnitude")
    assert guide.weights == (0.3, 0.1)
    assert guide.kernels == (((0.25, 0.25, 0.25), (0.25, 1.0, 0.25), (0.25, 0.25, 0.25)), None)
    assert guide.channels is None


def test_the_one_comparison_that_found_something_need_not_be_named() -> None:
    only = results()
    only["architectures"] = [row for row in only["architectures"] if row["method"] != "magnitude"]
    assert make_guide(only).source.method == "slimming"


def test_recipes_of_one_study_are_told_apart() -> None:
    varied = results()
    varied["architectures"] = [
        {**row, "variant": variant, "widths": [8, 8, 8] if variant == "long" else row["widths"]}
        for variant in ("short", "long")
        for row in varied["architectures"]
        if row["method"] == "slimming"
    ]
    with pytest.raises(ConfigError, match="--variant 'short'; toy"):
        make_guide(varied)
    guide = make_guide(varied, variant="long")
    assert (guide.channels, guide.source.variant, guide.source.n) == ((0.8, 0.4), "long", 2)


def test_results_from_before_there_were_recipes_are_read() -> None:
    old = results()
    for row in old["architectures"]:
        del row["variant"]
    assert make_guide(old, method="slimming").channels == (0.95, 0.15)


def test_a_guide_of_chance_is_made_only_where_it_is_asked_for() -> None:
    assert make_guide(results(), design="50 % of macs").source.method == "slimming"
    assert make_guide(results(), method="random-widths").channels == (0.1, 0.05)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "2 comparisons have architectures that pruning found"),
        ({"method": "fpgm"}, "no comparison with method 'fpgm'"),
        ({"method": "l1"}, "has the same widths for every seed, which nothing found"),
        ({"network": "vgg16"}, "no comparison with network 'vgg16'"),
    ],
)
def test_what_is_not_one_comparison_is_told_with_what_there_is(asked: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_guide(results(), **asked, where="here.json")
    assert str(caught.value).startswith("here.json")
    assert told in str(caught.value)


def test_comparisons_to_choose_from_are_named_as_the_options_name_them() -> None:
    with pytest.raises(
        ConfigError, match="toy on digits, --method slimming --design '50 % of macs'; toy on digits, --m"
    ):
        make_guide(results())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prunings": []}, "does not say where .* keeps weights"),
        ({"networks": []}, "says nothing of the groups of toy"),
    ],
)
def test_results_that_lack_what_a_guide_needs_are_refused(changes: dict[str, Any], told: str) -> None:
    method = "magnitude" if "prunings" in changes else "slimming"
    with pytest.raises(ConfigError, match=told):
        make_guide(results(**changes), method=method)


def test_results_of_versions_that_did_not_keep_kernels_are_refused_with_the_way_out() -> None:
    old = results()
    for row in old["prunings"]:
        row |= {"kernels": None, "stage_shares": None}
    with pytest.raises(ConfigError, match="prune again into a new folder"):
        make_guide(old, method="magnitude")


def test_blocks_and_networks_from_elsewhere_have_no_guide() -> None:
    blocks, foreign = results(), results()
    for row in blocks["architectures"]:
        row["removed"] = ["stage1.block2"]
    foreign["networks"][0]["origin"] = "timm 1.0"
    with pytest.raises(ConfigError, match="removed whole blocks"):
        make_guide(blocks, method="slimming")
    with pytest.raises(ConfigError, match="nothing says which stages it has"):
        make_guide(foreign, method="slimming")
