from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from regrow.errors import ConfigError, UnknownNameError
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import NETWORKS, check, dense_spec

from .zoo_spec import CIFAR, spec_of


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    def test_has_groups_with_unique_names_in_the_order_of_their_positions(self, name: str) -> None:
        groups = NETWORKS[name].groups()
        assert len({group.name for group in groups}) == len(groups)
        assert [group.position for group in groups] == sorted({group.position for group in groups})

    def test_has_stages_that_follow_each_other_without_a_gap(self, name: str) -> None:
        stages = [group.stage for group in NETWORKS[name].groups()]
        assert stages == sorted(stages)
        assert set(stages) == set(range(NETWORKS[name].stages))

    def test_shrinks_with_the_width_multiplier(self, name: str) -> None:
        half, whole = NETWORKS[name].groups(0.5), NETWORKS[name].groups()
        assert sum(group.channels for group in half) == pytest.approx(
            sum(group.channels for group in whole) / 2, rel=0.01
        )

    def test_has_a_summary_without_a_full_stop_and_a_source(self, name: str) -> None:
        row = NETWORKS[name]
        assert row.summary and not row.summary.endswith(".")
        assert "arXiv:" in row.source


def test_the_dense_specification_has_the_widths_of_the_layout() -> None:
    assert spec_of("vgg11").widths == (64, 128, 256, 256, 512, 512, 512, 512)


def test_a_misspelt_network_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet56'"):
        spec_of("resnet-56")


@pytest.mark.parametrize("shape", [(3, 7, 32), (1, 32, 4), (0, 32, 32)])
def test_images_that_are_too_small_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="at least 8x8"):
        dense_spec(NetworkSettings(name="resnet20"), classes=10, shape=shape)


def test_every_width_that_does_not_fit_is_one_fault() -> None:
    spec = spec_of("vgg11")
    broken = replace(spec, widths=(0, *spec.widths[1:-1], 513))
    with pytest.raises(ConfigError) as error:
        check(broken, where="file")
    assert [fault.key for fault in error.value.faults] == ["widths.0", "widths.7"]
    assert "features.conv8 has 512 channels" in str(error.value)


def test_a_wrong_number_of_widths_is_refused() -> None:
    with pytest.raises(ConfigError, match="8 prunable groups and needs one width for each; found 1"):
        check(replace(spec_of("vgg11"), widths=(64,)))


def test_specifications_and_layouts_are_read_without_torch() -> None:
    script = (
        "import sys; from regrow.networks.zoo import NETWORKS; from regrow.networks import spec, groups, settings; "
        "[row.groups(0.5) for row in NETWORKS.values()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_specification_is_built_for_the_classes_and_images_of_the_data() -> None:
    spec = spec_of("resnet20", classes=100)
    assert (spec.classes, spec.shape, spec.width) == (100, CIFAR, 1.0)


def test_a_block_that_can_go_may_be_removed() -> None:
    check(replace(spec_of("resnet20"), removed=NETWORKS["resnet20"].removable))


@pytest.mark.parametrize(
    ("name", "removed", "key", "said"),
    [
        ("resnet20", ("stage2.block1",), "removed.0", "stage2.block1 is no block of resnet20 that can go whole"),
        ("resnet20", ("stage1.block1", "stage1.block1"), "removed.1", "named twice"),
        ("resnet20", ("stage1.block1.conv1",), "removed.0", "no block of resnet20"),
        ("vgg11", ("features.conv1",), "removed.0", "no shortcut passes a layer by"),
        ("preresnet20", ("stage1.block3",), "removed.0", "Did you mean 'stage1.block2'"),
    ],
)
def test_what_cannot_go_is_a_fault(name: str, removed: tuple[str, ...], key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        check(replace(spec_of(name), removed=removed))
    assert error.value.faults[0].key == key


def test_groups_of_a_removed_block_have_no_width_of_their_own() -> None:
    spec = spec_of("resnet20")
    with pytest.raises(ConfigError, match=r"stage1\.block1\.conv1 goes with its block.*16; found 8"):
        check(replace(spec, widths=(8, *spec.widths[1:]), removed=("stage1.block1",)))
    check(replace(spec, widths=(16, 8, *spec.widths[2:]), removed=("stage1.block1",)))
