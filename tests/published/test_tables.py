"""The published tables and the protocols behind them."""

from __future__ import annotations

import pytest

from regrow.errors import UnknownNameError
from regrow.published.numbers import numbers
from regrow.published.tables import TABLES
from regrow.retraining.conventions import CONVENTIONS
from regrow.training.settings import TrainSettings


def test_every_table_with_numbers_is_described_and_no_other() -> None:
    assert set(TABLES) == {number.table for number in numbers()}


def test_every_number_has_a_protocol() -> None:
    for table, data, network in {(n.table, n.data, n.network) for n in numbers()}:
        protocol = TABLES[table].protocol(data, network)
        assert protocol.convention is None or protocol.convention in CONVENTIONS
        assert protocol.runs == (1 if data == "imagenet" else 5)
        assert protocol.width == 1


def test_the_recipe_on_cifar_is_the_default_one_of_a_study_but_for_the_batch() -> None:
    ours, theirs = TrainSettings(), TABLES["table1"].protocol("cifar10", "vgg16")
    same = ("epochs", "lr", "schedule", "optimizer", "momentum", "nesterov", "weight_decay")
    assert [getattr(theirs, key) for key in same] == [getattr(ours, key) for key in same]
    assert (theirs.batch, ours.batch) == (64, 128)
    assert (theirs.fine_tune_epochs, theirs.fine_tune_lr) == (40, 0.001)


def test_later_entries_override_earlier_ones_for_their_networks_only() -> None:
    assert TABLES["table2"].protocol("imagenet", "torchvision:vgg16").lr == 0.01
    assert TABLES["table2"].protocol("imagenet", "torchvision:resnet50").lr == 0.1
    assert TABLES["table1"].protocol("imagenet", "torchvision:resnet34").fine_tune_epochs == 20
    assert TABLES["table6"].protocol("imagenet", "torchvision:resnet50").fine_tune_epochs == 10


def test_networks_that_others_fine_tuned_have_no_fine_tuning_here() -> None:
    for table, network in (("table2", "torchvision:resnet50"), ("table5", "torchvision:resnet50")):
        protocol = TABLES[table].protocol("imagenet", network)
        assert (protocol.fine_tune_epochs, protocol.fine_tune_lr) == (None, None)


def test_how_long_masks_were_trained_from_scratch_is_not_established() -> None:
    assert TABLES["table6"].protocol("cifar10", "vgg19").convention is None
    assert TABLES["table1"].protocol("cifar10", "vgg16").convention == "B0"
    assert TABLES["table1"].protocol("imagenet", "torchvision:resnet34").convention == "B0-cap"


def test_remarks_hold_for_their_networks_only() -> None:
    assert "cuts the gradient" in TABLES["table1"].remarks_on("cifar10", "resnet56")[0]
    assert TABLES["table1"].remarks_on("cifar10", "vgg16") == ()
    assert TABLES["table1"].remarks_on("imagenet", "torchvision:resnet34") == ()


def test_a_wrong_name_is_told_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"no published table is called 'tabel1'\. Did you mean 'table1'\?"):
        TABLES["tabel1"]


def test_a_table_has_one_line_of_help() -> None:
    assert TABLES["table4"].summary == "Table 4: network slimming"
