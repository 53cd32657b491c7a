from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture
from regrow.channels.fingerprint import fingerprint
from regrow.errors import ConfigError, PruningError
from regrow.pruning.choice import NO_WEIGHTS, Budget, choose
from regrow.pruning.costs import cost_model
from regrow.pruning.shares import Wish

from .traced import INNER, STREAM, TRACED, ByHand, residual


def chosen(wish: Wish | None = None, network: nn.Module | None = None, **options: int | str) -> Architecture:
    return choose(network or residual(), TRACED, wish or Wish(), **options).architecture  # type: ignore[arg-type]


def test_the_channels_that_matter_most_over_all_their_weights_stay() -> None:
    network = residual()
    with torch.no_grad():
        for name in ("stem.weight", "outer.weight"):
            network.get_parameter(name)[[1, 5, 7]] *= 100
    assert chosen(Wish(fraction={"stem": 0.75}), network).indices == {"stem": (1, 5, 7), "inner": tuple(range(10))}


def test_the_architecture_says_where_from_where_and_what_follows() -> None:
    network = residual()
    architecture = chosen(network=network)
    assert architecture.widths == (6, 5)
    assert [entry.slices for entry in architecture.kept] == [STREAM.slices, INNER.slices]
    assert architecture.fingerprint == fingerprint(network)
    assert architecture.network == f"{type(network).__module__}:Residual"
    assert [(one.attribute, one.dense, one.small) for one in architecture.corrections] == [("width", 12, 6)]
    assert Architecture.from_json(architecture.to_json()) == architecture


def test_only_chance_depends_on_the_seed() -> None:
    assert chosen(seed=0) == chosen(seed=1)
    assert chosen(criterion="random", seed=0) == chosen(criterion="random", seed=0)
    assert chosen(criterion="random", seed=0) != chosen(criterion="random", seed=1)


def test_a_network_without_weights_gets_its_shapes_and_says_so() -> None:
    with torch.device("meta"):
        network = residual()
    choice = choose(network, TRACED, Wish())
    assert choice.architecture.indices == {"stem": tuple(range(6)), "inner": tuple(range(5))}
    assert choice.notes == (NO_WEIGHTS,)


def test_notes_tell_what_stood_in_the_way() -> None:
    traced = ByHand((STREAM, INNER), links=((0, 1),))
    choice = choose(residual(), traced, Wish(fraction={"stem": 0.5, "inner": 0.6}))
    assert choice.architecture.widths == (6, 5)
    assert choice.notes == ("stem and inner must keep the same share of their channels: 0.5 is removed from each",)


def test_a_pruning_that_removes_nothing_is_refused_with_what_was_asked() -> None:
    with pytest.raises(PruningError, match=r"nothing would be removed from the 2 groups: .*min_channels = 50"):
        chosen(Wish(min_channels=50))


def test_a_network_with_no_prunable_group_is_refused() -> None:
    with pytest.raises(PruningError, match="nothing of the network can be pruned"):
        choose(residual(), ByHand(()), Wish())


def test_names_are_checked_against_modules_and_tensors() -> None:
    assert chosen(Wish(ignore=("stem.bias", "inner"))).widths == (6, 10)  # a bias computes no channels
    with pytest.raises(
        ConfigError, match=r"'haed' matches no module and no tensor of the network\n    Did you mean 'head'"
    ):
        chosen(Wish(ignore=("haed",)))


def test_a_diverged_network_is_refused_with_the_name_of_the_group() -> None:
    network = residual()
    with torch.no_grad():
        network.get_parameter("inner.weight")[2] = float("nan")
    with pytest.raises(PruningError, match=r"inner: the scores of \d+ of 10 channels are not a number"):
        chosen(network=network)


def test_a_function_chooses_as_a_named_criterion_does() -> None:
    def last(weight: Tensor, _: torch.Generator) -> Tensor:
        return torch.arange(len(weight), dtype=torch.float64)

    architecture = choose(residual(), TRACED, Wish(), last).architecture
    assert architecture.indices == {"stem": tuple(range(6, 12)), "inner": tuple(range(5, 10))}


def test_one_ranking_over_all_groups_takes_the_lowest_scores_and_leaves_the_floor() -> None:
    network = residual()
    with torch.no_grad():
        network.inner.weight.mul_(torch.tensor([1e-6] * 8 + [1.0, 1.0]).view(-1, 1, 1, 1))
    budget = Budget(scope="global", floor=0.3)
    wish = Wish(fraction=0.25)  # 6 of 22 channels
    kept = choose(network, TRACED, wish, budget=budget).architecture.kept
    assert [len(entry.indices) for entry in kept] == [12, 4]
    assert set(kept[1].indices) >= {8, 9}


def test_a_share_of_macs_is_met_and_the_highest_scores_stay() -> None:
    network = residual()
    model = cost_model(network, TRACED.groups, torch.zeros(1, 3, 8, 8))
    found = choose(network, TRACED, Wish(fraction=0.5), budget=Budget(of="macs", model=model)).architecture
    widths = [len(entry.indices) for entry in found.kept]
    assert abs(model.macs(widths) / model.macs([12, 10]) - 0.5) < 0.04
    lost = {"stem": (11.5 - widths[0]) / 12, "inner": (9.5 - widths[1]) / 10}  # what stays is rounded down
    same = choose(network, TRACED, Wish(fraction=lost))
    assert same.architecture.kept == found.kept


def test_a_budget_is_checked_and_takes_one_fraction() -> None:
    with pytest.raises(ConfigError, match="scope: group or global; found 'all'"):
        choose(residual(), TRACED, Wish(), budget=Budget(scope="all"))
    with pytest.raises(ConfigError, match="a share per pattern is one of channels of each group"):
        choose(residual(), TRACED, Wish(fraction={"*": 0.5}), budget=Budget(scope="global"))
    with pytest.raises(ConfigError, match="ignore"):
        choose(residual(), TRACED, Wish(ignore=("nothing",)), budget=Budget(scope="global"))


def test_shapes_alone_cannot_be_ranked() -> None:
    with pytest.raises(PruningError, match="needs scores"):
        choose(residual().to("meta"), TRACED, Wish(), budget=Budget(scope="global"))
