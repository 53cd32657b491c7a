"""Running methods of other people: loaded by name, handed what they name, judged by what they return."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

import regrow
from regrow.errors import ConfigError, PruningError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import Access
from regrow.networks.zoo import dense_spec
from regrow.pruning.foreign_methods import load_method, run_method
from regrow.pruning.method_sources import foreign_method

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(7))
SPEC = dense_spec(NetworkSettings(name="vgg11", width=0.0625), classes=10, shape=(3, 32, 32))
FIRST = {"features.conv1": [0, 1]}


@pytest.fixture
def network() -> nn.Module:
    return build(SPEC, 0)


def run(function: Any, network: nn.Module, **more: Any) -> regrow.Architecture:
    found = run_method(function, network, IMAGES, **{"fraction": 0.5, "dense": SPEC, **more})
    assert found.architecture is not None
    return found.architecture


def test_only_what_a_function_names_is_handed_over(network: nn.Module) -> None:
    seen = {}

    def method(network: nn.Module, *, fraction: float, groups: Any, widths: Any, note: str, other: int = 3) -> Any:
        seen.update(locals())
        return FIRST

    run(method, network, widths=SPEC.widths, more={"note": "hello"})
    assert seen["fraction"] == 0.5 and seen["note"] == "hello" and seen["other"] == 3
    assert seen["widths"] == {group.name: group.channels for group in seen["groups"]}
    assert tuple(seen["widths"].values()) == SPEC.widths


def test_widths_say_the_fraction_where_none_is_given(network: nn.Module) -> None:
    def method(fraction: float, widths: dict[str, int]) -> Any:
        assert fraction == 1 - sum(widths.values()) / sum(SPEC.widths)
        return {name: range(width) for name, width in widths.items()}

    halves = tuple(width // 2 for width in SPEC.widths)
    assert run(method, network, fraction=None, widths=halves).widths == halves
    with pytest.raises(PruningError, match="must be told how much to remove"):
        run(method, network, fraction=None)


def test_positional_only_parameters_are_understood(network: nn.Module) -> None:
    def method(network: nn.Module, example_inputs: Tensor, /, fraction: float) -> Any:
        assert example_inputs is IMAGES and fraction == 0.5
        return FIRST

    assert run(method, network).widths[0] == 2


def test_what_a_method_does_to_its_network_does_not_reach_ours(network: nn.Module) -> None:
    def method(network: nn.Module) -> Any:
        for parameter in network.parameters():
            nn.init.zeros_(parameter)
        return FIRST

    before = [parameter.clone() for parameter in network.parameters()]
    run(method, network)
    assert network.training
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


def test_a_network_that_was_changed_in_place_counts_where_nothing_is_returned(network: nn.Module) -> None:
    def method(network: nn.Module, fraction: float) -> None:
        layers = [(module, "weight") for module in network.modules() if isinstance(module, nn.Conv2d)]
        torch_prune.global_unstructured(layers, torch_prune.L1Unstructured, amount=fraction)

    found = run_method(method, network, IMAGES, fraction=0.25, dense=SPEC)
    assert found.masks is not None
    assert sum(int((~mask).sum()) for mask in found.masks.values()) == pytest.approx(
        0.25 * sum(mask.numel() for mask in found.masks.values()), abs=1
    )


def test_equal_seeds_give_equal_draws_from_every_generator(network: nn.Module) -> None:
    drawn = []

    def method(network: nn.Module, generator: torch.Generator, seed: int) -> Any:
        drawn.append((seed, float(torch.rand(1, generator=generator)), float(torch.rand(1)), float(np.random.rand())))  # noqa: NPY002
        return FIRST

    for seed in (0, 0, 1):
        run(method, network, seed=seed)
    assert drawn[0] == drawn[1]
    assert all(one != other for one, other in zip(drawn[0], drawn[2], strict=True))


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    yield IMAGES, torch.tensor([0, 1])


def test_batches_are_handed_over_and_missed_where_there_are_none(network: nn.Module) -> None:
    def method(network: nn.Module, batches: Any) -> Any:
        assert [tuple(images.shape) for images, _ in batches()] == [(2, 3, 32, 32)]
        return FIRST

    run(method, network, batches=batches)
    with pytest.raises(PruningError, match=r"mine:shrink looks at training examples \(batches\), and there are none"):
        run(method, network, name="mine:shrink")


def test_a_wish_that_nobody_knows_is_refused(network: nn.Module) -> None:
    def method(network: nn.Module, sparsity: float) -> Any:
        return FIRST

    with pytest.raises(
        PruningError, match=r"asks for 'sparsity', which regrow does not know\. A method may name network, "
    ):
        run(method, network)


def test_a_failure_says_where(network: nn.Module) -> None:
    def method(network: nn.Module) -> Any:
        return [][3]

    with pytest.raises(PruningError, match=r"method failed: IndexError: .* \(test_foreign_methods.py, line \d+\)"):
        run(method, network)


def test_masks_where_channels_should_go_are_refused_with_what_to_write(network: nn.Module) -> None:
    def method(network: nn.Module) -> None:
        torch_prune.l1_unstructured(network.get_submodule("features.conv2"), "weight", amount=3)

    with pytest.raises(
        PruningError, match=r'removed weights, and the study expects channels to go\. Write remove = "weights"'
    ):
        run(method, network, remove="channels")
    assert run_method(method, network, IMAGES, fraction=0.5, dense=SPEC, remove="weights").masks is not None
    with pytest.raises(PruningError, match='Write remove = "channels"'):
        run(lambda: FIRST, network, remove="weights")


def test_any_network_is_traced(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    found = run_method(lambda groups: {groups[0].name: [1]}, network, torch.ones(1, 4), fraction=0.5)
    assert found.architecture is not None and found.architecture.widths == (1,)


SOURCE = """
def shrink(network, *, fraction):
    return {"features.conv1": [3]}

def spread(weight):
    return weight.flatten(1).std(dim=1)

thing = 3
"""


def test_a_function_beside_the_study_is_loaded_if_it_is_trusted_and_unchanged(
    network: nn.Module, tmp_path: Path
) -> None:
    (tmp_path / "mine_shrink.py").write_text(SOURCE)
    found = foreign_method("mine_shrink:shrink", tmp_path)
    with pytest.raises(ConfigError, match=r"mine_shrink:shrink runs code that regrow does not know.* --trust"):
        load_method(found.name, found.origin, found.access(trust=False))
    function = load_method(found.name, found.origin, found.access(trust=True))
    assert run(function, network).indices["features.conv1"] == (3,)
    (tmp_path / "mine_shrink.py").write_text(SOURCE.replace("[3]", "[2]"))
    with pytest.raises(ConfigError, match="was changed after the study was read"):
        load_method(found.name, found.origin, found.access(trust=True))
    again = foreign_method("mine_shrink:shrink", tmp_path)
    assert run(load_method(again.name, again.origin, again.access(trust=True)), network).indices["features.conv1"] == (
        2,
    )


def test_a_criterion_is_loaded_as_the_function_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine_spread.py").write_text(SOURCE)
    found = foreign_method("mine_spread:spread", tmp_path)
    criterion = load_method(found.name, found.origin, found.access(trust=True))
    assert criterion(torch.tensor([[1.0, 1.0], [0.0, 2.0]])).tolist() == pytest.approx([0, 2**0.5])


def test_what_is_no_function_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine_thing.py").write_text(SOURCE)
    with pytest.raises(ConfigError, match="mine_thing:thing must be a function; found int"):
        load_method("mine_thing:thing", "", Access(trust=True, place=str(tmp_path)))


def test_an_installed_method_runs_without_asking_for_trust(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "installed_shrink.py").write_text(SOURCE)
    (tmp_path / "shrinker-1.0.dist-info").mkdir()
    (tmp_path / "shrinker-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: shrinker\nVersion: 1.0\n"
    )
    (tmp_path / "shrinker-1.0.dist-info" / "entry_points.txt").write_text(
        "[regrow.methods]\nshrunk = installed_shrink:shrink\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(load_method("shrunk"), network).indices["features.conv1"] == (3,)


def test_a_file_of_tensors_is_a_method(network: nn.Module, tmp_path: Path) -> None:
    small, architecture = regrow.prune(network, IMAGES, fraction=0.5)
    save_file(small.state_dict(), tmp_path / "small.safetensors")
    found = foreign_method("small.safetensors", tmp_path)
    assert (
        run(load_method(found.name, found.origin, found.access(trust=False)), network).indices == architecture.indices
    )
    (tmp_path / "small.safetensors").write_bytes(b"other")
    with pytest.raises(ConfigError, match="was changed after the study was read"):
        run(load_method(found.name, found.origin, found.access(trust=False)), network)
    with pytest.raises(ConfigError, match="is no safetensors file"):
        run(load_method(found.name, "", found.access(trust=False)), network)
