"""Networks from elsewhere, dense and small, from nothing but their specification."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from regrow.channels.carve import carve
from regrow.channels.foreign import blocks_of, carved_shell, first_channels, mended, network_at, prunable_of, traced
from regrow.errors import ConfigError, PruningError
from regrow.networks.build import build
from regrow.networks.foreign import made_up_images
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import Access, foreign_spec
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS, dense_spec
from tests.networks.own_nets import NETS, write_nets
from tests.pruning.pruned import prune_traced

SHAPE = (1, 8, 8)


@pytest.fixture(autouse=True)
def _modules_as_they_were() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
    sys.modules.pop("nets", None)


def named(folder: Path, name: str = "nets:build", **options: object) -> tuple[NetworkSpec, Access]:
    settings = NetworkSettings(name=name, options=options)
    spec, access = foreign_spec(settings, classes=10, shape=SHAPE, folder=folder)
    return spec, replace(access, trust=True)


@pytest.fixture
def own(tmp_path: Path) -> tuple[NetworkSpec, Access]:
    """A network of one's own with its widths."""
    write_nets(tmp_path)
    spec, access = named(tmp_path, width=32)
    return replace(spec, widths=prunable_of(spec, access).widths), access


def same(first: nn.Module, second: nn.Module) -> bool:
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_the_groups_are_traced(own: tuple[NetworkSpec, Access]) -> None:
    prunable = prunable_of(*own)
    assert [(group.name, group.position, group.channels) for group in prunable.groups] == [
        ("stem", 1, 32),
        ("body.0.conv1", 2, 64),
        ("body.2.conv1", 3, 64),
    ]
    assert prunable.heads == frozenset() and prunable.links == ()
    assert any("head" in note and "output" in note for note in prunable.notes)


def test_the_same_seed_gives_the_same_bits_dense_and_small(own: tuple[NetworkSpec, Access]) -> None:
    spec, access = own
    for one in (spec, replace(spec, widths=(16, 32, 32))):
        assert same(network_at(one, access, 3, "dense"), network_at(one, access, 3, "dense"))
        assert not same(network_at(one, access, 3, "dense"), network_at(one, access, 4, "dense"))


def test_every_global_generator_is_seeded_and_put_back(tmp_path: Path) -> None:
    draws = "self.register_buffer('drawn', torch.tensor([random.random(), np.random.rand()]))"
    text = NETS.replace("from torch import nn", "import random\nimport numpy as np\nimport torch\nfrom torch import nn")
    write_nets(tmp_path, text=text.replace("self.head =", f"{draws}\n        self.head ="))
    spec, access = named(tmp_path)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - this is what somebody's code uses
    expected = random.random(), np.random.rand()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    first, second = (network_at(spec, access, 5).get_buffer("drawn") for _ in range(2))
    assert torch.equal(first, second)
    assert (random.random(), np.random.rand()) == expected  # noqa: NPY002


def test_a_small_copy_is_drawn_as_its_author_would_draw_it_at_that_width(own: tuple[NetworkSpec, Access]) -> None:
    spec, access = own
    small = network_at(replace(spec, widths=(8, 16, 16)), access, 0)
    weight = small.get_parameter("body.0.conv1.weight")
    assert weight.shape == (16, 8, 3, 3)
    # PyTorch draws uniformly within 1 / sqrt(fan-in), so with a standard deviation of 1 / sqrt(3 * fan-in).
    assert weight.std().item() == pytest.approx(1 / math.sqrt(3 * 8 * 9), rel=0.08)
    assert not small.get_parameter("body.0.norm2.weight").any()
    assert small(made_up_images(spec)).shape == (2, 10)


def test_what_had_to_be_mended_is_told(own: tuple[NetworkSpec, Access], tmp_path: Path) -> None:
    spec, access = own
    assert mended(spec, access) == mended(replace(spec, widths=(8, 16, 16)), access) == ()
    late = "block.conv2.weight.data[width - 1] *= 1"  # there is no such row at the small widths
    text = f"{NETS}\n\ndef build(classes, shape, width=8):\n    network = Net(width, classes, shape[0])\n"
    text += f"    for block in (network.body[0], network.body[2]):\n        {late}\n    return network\n"
    write_nets(tmp_path, text=text)
    spec, access = named(tmp_path)
    small = replace(spec, widths=(4, 8, 8))
    assert "body.0.conv2.weight" in " ".join(mended(small, access))
    assert network_at(small, access, 0)(made_up_images(spec)).shape == (2, 10)


def test_a_carved_network_fits_its_shell_and_computes_the_same(own: tuple[NetworkSpec, Access]) -> None:
    spec, access = own
    dense = network_at(spec, access, 0)
    tracing = traced(spec, access).tracing
    small = carve(dense, prune_traced(dense, tracing, spec, "l1", (16, 40, 20), seed=0))
    architecture = prune_traced(dense, tracing, spec, "l1", (16, 40, 20), seed=0)
    shell = carved_shell(architecture, access)
    assert not same(shell, small)
    shell.load_state_dict(small.state_dict())
    images = made_up_images(spec)
    assert torch.equal(shell.eval()(images), small.eval()(images))


def test_the_zoo_passes_through() -> None:
    spec = dense_spec(NetworkSettings(name="resnet20", width=0.25), classes=10, shape=SHAPE)
    assert same(network_at(spec, Access(), 1, "dense"), build(spec, 1, "dense"))


def test_a_network_for_other_images_is_refused_before_it_is_traced(tmp_path: Path) -> None:
    write_nets(tmp_path)
    spec, access = named(tmp_path)
    with pytest.raises(ConfigError, match="cannot take 3x8x8 images"):
        traced(replace(spec, name="nets:plain", shape=(3, 8, 8)), access)


def test_widths_of_another_tracing_are_refused(own: tuple[NetworkSpec, Access]) -> None:
    spec, access = own
    with pytest.raises(PruningError, match="3 prunable groups and needs one width for each; found 1"):
        first_channels(replace(spec, widths=(4,)), traced(spec, access))


def test_attention_heads_are_known_as_such(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    spec, access = named(tmp_path, "timm:test_vit", patch_size=4)
    prunable = prunable_of(spec, access)
    heads = [group for group in prunable.groups if group.name in prunable.heads]
    assert {group.channels for group in heads} == {2}
    widths = tuple(group.channels if group.name in prunable.heads else group.channels // 2 for group in prunable.groups)
    small = network_at(replace(spec, widths=widths), access, 0)
    assert small(made_up_images(spec)).shape == (2, 10)


def test_a_saved_program_is_traced_and_drawn_small_like_any_other_network(tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 36, 10))
    dynamic = ({0: torch.export.Dim("batch", min=2, max=64)},)
    program = torch.export.export(layers, (torch.randn(2, *SHAPE),), dynamic_shapes=dynamic)
    torch.export.save(program, tmp_path / "network.pt2")
    spec, access = named(tmp_path, "network.pt2")
    assert prunable_of(spec, access).widths == (32,)
    small = network_at(replace(spec, widths=(8,)), access, 0)
    weight = small.get_parameter("graph_module.4.weight")
    assert weight.shape == (10, 8 * 36)
    assert weight.std().item() == pytest.approx(1 / math.sqrt(3 * 8 * 36), rel=0.1)
    assert small.train()(made_up_images(spec)).shape == (2, 10)


def test_the_blocks_of_a_network_of_one_s_own_are_found(own: tuple[NetworkSpec, Access]) -> None:
    assert [block.name for block in blocks_of(*own).blocks] == ["body.0", "body.2"]
    assert blocks_of(replace(own[0], widths=(16, 32, 32), removed=("body.0",)), own[1]) is blocks_of(*own)
    spec = dense_spec(NetworkSettings(name="resnet20", width=0.25), classes=5, shape=(3, 8, 8))
    assert tuple(block.name for block in blocks_of(spec, own[1]).blocks) == NETWORKS["resnet20"].removable


def test_what_is_left_has_the_bits_that_it_has_beside_the_removed_blocks(own: tuple[NetworkSpec, Access]) -> None:
    spec, access = own
    for widths in ((), spec.widths, (16, 64, 32)):
        whole = network_at(replace(spec, widths=widths), access, 3, "dense").state_dict()
        left = network_at(replace(spec, widths=widths, removed=("body.0",)), access, 3, "dense")
        assert left.state_dict().keys() == {name for name in whole if not name.startswith("body.0.")}
        assert all(torch.equal(tensor, whole[name]) for name, tensor in left.state_dict().items())
        assert left(torch.randn(2, *SHAPE)).shape == (2, 10)


def test_only_a_residual_block_goes_and_its_groups_go_with_it(own: tuple[NetworkSpec, Access]) -> None:
    spec, access = own
    for name in ("stem", "body.1", "nothing"):
        with pytest.raises(PruningError, match=rf"{name} is no block of nets:build that can go whole.*Known: body\.0"):
            network_at(replace(spec, removed=(name,)), access, 0)
    with pytest.raises(
        ConfigError, match=r"body\.0\.conv1 goes with its block and keeps all its 64 channels; found 32"
    ):
        network_at(replace(spec, widths=(32, 32, 32), removed=("body.0",)), access, 0)


def test_an_architecture_without_a_block_is_carved_and_its_specification_builds_the_same(
    own: tuple[NetworkSpec, Access],
) -> None:
    spec, access = own
    dense = network_at(spec, access, 3, "dense").eval()
    architecture = prune_traced(dense, traced(spec, access).tracing, spec, "l1", (16, 64, 32), 0).without(["body.0"])
    small = carve(dense, architecture)
    fresh = network_at(architecture.pruned_spec(), access, 4)
    assert str(small.train()) == str(fresh)
    shell = carved_shell(architecture, access)
    shell.load_state_dict(small.state_dict())
    images = torch.randn(2, *SHAPE)
    assert torch.equal(shell.eval()(images), small.eval()(images))
    assert mended(architecture.pruned_spec(), access) == mended(replace(spec, widths=(16, 64, 32)), access)
