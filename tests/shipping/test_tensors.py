from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from regrow.channels.architecture import KeptChannels
from regrow.errors import ConfigError
from regrow.networks.build import blueprint
from regrow.networks.groups import Slice
from regrow.networks.zoo import NETWORKS
from regrow.shipping.tensors import (
    class_label,
    groups_of,
    modules_of,
    registered,
    rows_of,
    storable,
    with_dense_shapes,
)

from ..channels.zoo_networks import random_architecture, small_spec
from .small_networks import Tied, Tiny, tied, tiny


def test_tied_weights_have_two_rows_and_one_tensor() -> None:
    network, _ = tied()
    rows = {row.name: row for row in rows_of(network)}
    assert rows["answer.weight"].same_as == "words.weight"
    assert rows["words.weight"].same_as is None
    assert "answer.weight" not in storable(network, tuple(rows.values()))


def test_a_module_under_two_names_has_rows_under_both() -> None:
    layer = nn.Linear(2, 2, bias=False)
    names = [(row.name, row.same_as) for row in rows_of(nn.Sequential(layer, layer))]
    assert names == [("0.weight", None), ("1.weight", "0.weight")]


def test_buffers_that_state_dict_leaves_out_have_rows_too() -> None:
    rows = {row.name: row for row in rows_of(Tiny())}
    assert not rows["shift"].persistent and rows["shift"].kind == "buffer"
    assert rows["bn1.running_mean"].persistent
    assert {name for name, _, persistent in registered(Tiny()) if persistent} == set(Tiny().state_dict())


def test_dense_shapes_follow_from_small_ones_and_the_architecture() -> None:
    network, architecture = tiny()
    rows = with_dense_shapes(rows_of(network), architecture)
    assert {row.name: row.dense for row in rows} == {row.name: row.shape for row in rows_of(Tiny())}


def test_a_tied_tensor_has_its_dense_shape_under_every_name() -> None:
    network, architecture = tied()
    rows = with_dense_shapes(rows_of(network), architecture)
    assert {row.name: row.dense for row in rows} == {row.name: row.shape for row in rows_of(Tied())}


@pytest.mark.parametrize("name", NETWORKS)
def test_dense_shapes_of_every_network_of_the_zoo_are_found(name: str) -> None:
    dense = blueprint(small_spec(name))
    # The architecture asks for the weights' fingerprint, so they cannot be on the meta device.
    architecture = random_architecture(dense.to_empty(device="cpu"), small_spec(name))
    rows = with_dense_shapes(rows_of(blueprint(architecture.pruned_spec())), architecture)
    assert [row.dense for row in rows] == [row.shape for row in rows_of(dense)]
    assert len(groups_of(architecture)) == len(architecture.kept)


def test_an_architecture_of_another_network_is_refused() -> None:
    network, _ = tiny()
    with pytest.raises(ConfigError, match=r"names axis 1 of the tensor words.weight, which this network does not have"):
        with_dense_shapes(rows_of(network), tied()[1])


def test_an_architecture_that_keeps_more_than_there_is_is_refused() -> None:
    network, architecture = tiny()
    grown = KeptChannels(
        group="conv1", channels=20, indices=tuple(range(12)), slices=(Slice("conv1.weight", 0), Slice("bn1.weight", 0))
    )
    with pytest.raises(ConfigError, match=r"keeps 12 indices of axis 0 of conv1.weight, whose shape is \[5, 2, 3, 3\]"):
        with_dense_shapes(rows_of(network), replace(architecture, kept=(grown,)))


def test_stored_tensors_share_no_memory_and_keep_their_types() -> None:
    network = nn.Module()
    table = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    network.register_buffer("all", table)
    network.register_buffer("columns", table.T)
    network.register_buffer("fewer", table[:1].half())
    network.register_buffer("row", table[1])
    found = storable(network, rows_of(network))
    assert len({tensor.data_ptr() for tensor in found.values()}) == 4
    assert all(tensor.is_contiguous() for tensor in found.values())
    assert found["columns"].shape == (4, 3) and found["fewer"].dtype == torch.float16
    assert torch.equal(found["row"], table[1])


def test_tensors_that_a_file_cannot_hold_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"shift is on the meta device and holds no numbers"):
        storable(Tiny().to("meta"), rows_of(Tiny()))
    network = nn.Module()
    network.register_buffer("few", torch.eye(3).to_sparse())
    with pytest.raises(ConfigError, match=r"few is a float32 tensor of layout torch.sparse_coo"):
        storable(network, rows_of(network))


def test_modules_are_listed_with_class_and_mode() -> None:
    network = Tiny()
    network.bn1.eval()
    rows = {row.name: (row.kind, row.training) for row in modules_of(network)}
    assert rows[""] == ("Tiny", True) and rows["bn1"] == ("BatchNorm2d", False)
    assert class_label(network) == "tests.shipping.small_networks:Tiny"


def test_what_lies_in_removed_blocks_is_no_group_of_the_bundle() -> None:
    dense = small_spec("resnet20")
    architecture = random_architecture(blueprint(dense), dense)
    names = [group.name for group in groups_of(architecture)]
    left = [group.name for group in groups_of(architecture.without(["stage1.block2"]))]
    assert left == [name for name in names if name != "stage1.block2.conv1"]
