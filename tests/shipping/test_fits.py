from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from regrow.channels.carve import carve
from regrow.errors import ConfigError
from regrow.shipping.bundle import save
from regrow.shipping.fits import check_dense, check_small, left_corrections, without_removed
from regrow.shipping.record import Record, read_record
from regrow.shipping.tensors import rows_of

from ..channels.zoo_networks import random_architecture, restless, small_spec
from .small_networks import Scaled, Tied, Tiny, tied, tiny


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_record(save(*tiny(), tmp_path_factory.mktemp("bundles") / "tiny"))


def test_the_small_network_fits_and_the_dense_one_does_not() -> None:
    network, architecture = tiny()
    check_small(network, rows_of(network), architecture)
    with pytest.raises(
        ConfigError, match=r"conv1.out_channels must be 5 here; found 8. Save the small network, not the"
    ):
        check_small(Tiny(), rows_of(Tiny()), architecture)


def test_a_network_of_the_zoo_has_the_shapes_that_its_architecture_builds() -> None:
    dense = small_spec("resnet20")
    network = restless(dense)
    architecture = random_architecture(network, dense)
    small = carve(network, architecture)
    check_small(small, rows_of(small), architecture)
    with pytest.raises(ConfigError, match=r"the architecture gives stage1.block1.conv1.weight the shape"):
        check_small(network, rows_of(network), architecture)
    small.get_submodule("stage1").register_buffer("more", nn.Parameter())
    with pytest.raises(ConfigError, match=r"gives stage1.more the shape none, there is no such tensor"):
        check_small(small, rows_of(small), architecture)


def test_the_dense_network_fits(record: Record) -> None:
    check_dense(Tiny(), record, tiny()[1])


def test_another_class_is_refused_though_its_tensors_fit(record: Record) -> None:
    network = Tiny()
    network.conv1.__class__ = Scaled
    with pytest.raises(ConfigError, match="Scaled at conv1 where the bundle has Conv2d at conv1"):
        check_dense(network, record, tiny()[1])


def test_a_module_too_few_or_too_many_is_refused(record: Record) -> None:
    network = Tiny()
    network.more = nn.Identity()
    with pytest.raises(ConfigError, match="Identity at more where the bundle has no further module"):
        check_dense(network, record, tiny()[1])
    with pytest.raises(ConfigError, match="Tied where the bundle has Tiny"):
        check_dense(Tied(), record, tiny()[1])


def test_other_sizes_are_refused(record: Record) -> None:
    with pytest.raises(
        ConfigError, match=r"head.bias is a parameter of shape \[9\] in the factory's network; in the dense"
    ):
        check_dense(Tiny(classes=9), record, tiny()[1])
    with pytest.raises(ConfigError, match="in the dense network that was pruned it was a parameter of shape"):
        check_dense(tiny()[0], record, tiny()[1])


def test_a_tensor_too_few_or_too_many_is_refused(record: Record) -> None:
    network = Tiny()
    network.head.bias = None
    with pytest.raises(ConfigError, match=r"the factory's network has no tensor head.bias"):
        check_dense(network, record, tiny()[1])
    network = Tiny()
    network.register_parameter("more", nn.Parameter())
    with pytest.raises(ConfigError, match="the factory's network has a tensor too many, more"):
        check_dense(network, record, tiny()[1])


def test_numbers_of_another_network_are_refused(record: Record) -> None:
    network = Tiny()
    network.sizes["features"][0] = 7
    with pytest.raises(ConfigError, match=r"sizes.features.0 must be 6 here; found 7"):
        check_dense(network, record, tiny()[1])


def test_a_factory_that_ties_what_was_not_tied_is_refused(tmp_path: Path) -> None:
    network, architecture = tied()
    network.answer.weight = nn.Parameter(network.words.weight.detach().clone())
    untied = replace(
        architecture,
        kept=tuple(
            replace(entry, slices=(*entry.slices, replace(entry.slices[0], tensor="answer.weight")))
            for entry in architecture.kept
        ),
    )
    record = read_record(save(network, untied, tmp_path / "untied"))
    with pytest.raises(
        ConfigError,
        match=r"answer.weight is the same tensor as words.weight in the factory's network and a tensor of its own in",
    ):
        check_dense(Tied(), record, untied)


def test_a_record_whose_shapes_do_not_follow_from_the_architecture_is_refused(record: Record) -> None:
    architecture = tiny()[1]
    fewer = replace(architecture.kept[0], indices=(0, 1, 2, 3))
    with pytest.raises(ConfigError, match="do not follow from the architecture"):
        check_dense(Tiny(), record, replace(architecture, kept=(fewer, architecture.kept[1])))


def test_numbers_of_modules_that_are_gone_are_not_looked_for() -> None:
    network, architecture = tiny()
    assert {one.module for one in left_corrections(architecture)} == {"conv1", "bn1", "conv2", "norm", "head", ""}
    gone = replace(architecture, removed=("bn1",))
    assert {one.module for one in left_corrections(gone)} == {"conv1", "conv2", "norm", "head", ""}
    with pytest.raises(ConfigError, match="an Identity must stand there; found a BatchNorm2d"):
        check_small(network, rows_of(network), gone)


def test_the_factory_s_network_is_looked_at_without_the_removed_blocks_and_stays_whole(record: Record) -> None:
    network, architecture = tiny()
    assert without_removed(network, record, architecture) is network
    shell = without_removed(network, record, replace(architecture, removed=("bn1",)))
    assert isinstance(shell.get_submodule("bn1"), nn.Identity) and isinstance(
        network.get_submodule("bn1"), nn.BatchNorm2d
    )
    assert all(one is other for one, other in zip(shell.head.parameters(), network.head.parameters(), strict=True))
    with pytest.raises(ConfigError, match="has no module bn7"):
        without_removed(network, record, replace(architecture, removed=("bn7",)))
