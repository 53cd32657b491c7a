from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, KeptChannels, regrow_version
from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.channels.groups import Group, Slice, channel_groups
from regrow.channels.trace import trace
from regrow.errors import PruningError
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning import regression as module
from regrow.pruning.reconstruction import Reconstruction, largest
from regrow.pruning.reconstruction_paths import Paths
from regrow.pruning.reconstruction_work import Work
from regrow.pruning.regression import regression

from .trained_digits import TRAIN, batches, digits, held_out, one_group, output_error, silenced, trained

SECOND = 1
"""Place of the second convolution of VGG-11 among its groups; the third one reads it."""


def numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(channels: int, width: int) -> list[tuple[int, ...]]:
    return [tuple(sorted(torch.randperm(channels, generator=numbers(n))[:width].tolist())) for n in range(5)]


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.7])
def test_the_next_layer_is_nearer_to_what_it_was_than_with_l1s_or_random_channels(fraction: float) -> None:
    network = trained()
    groups, widths = one_group(network, SECOND, fraction)
    group, width = groups[SECOND], widths[SECOND]
    found = regression(network, groups, widths, batches, numbers())
    ours = output_error(network, group, found.kept[group.name], found.weights)
    choice = output_error(network, group, found.kept[group.name], {})
    by_l1 = output_error(network, group, largest(group, width, network.state_dict()), {})
    by_chance = statistics.mean(output_error(network, group, kept, {}) for kept in draws(group.channels, width))
    assert ours < 0.3 * choice
    assert choice < min(by_l1, by_chance)


def test_half_of_all_channels_can_go_without_training_and_the_carved_network_still_reads_digits() -> None:
    network = trained()
    groups = channel_groups(network)
    widths = [group.channels // 2 for group in groups]
    found = regression(network, groups, widths, batches, numbers(), batches()[0][0])
    dense = copy.deepcopy(network)
    dense.load_state_dict({**dense.state_dict(), **found.weights})
    spec = dense_spec(NetworkSettings(name="vgg11", width=0.25), classes=10, shape=(1, 8, 8))
    kept = tuple(
        KeptChannels(group=group.name, channels=group.channels, indices=found.kept[group.name]) for group in groups
    )
    small = carve(dense, Architecture(dense=spec, kept=kept, fingerprint=fingerprint(dense), regrow=regrow_version()))
    with torch.no_grad():
        assert torch.allclose(
            small(held_out()), silenced(network, groups, found.kept, found.weights)(held_out()), atol=1e-3
        )
        wrong, right = accuracy(silenced(network, groups, found.kept, {})), accuracy(network)
        assert accuracy(small) > right - 5
        assert wrong < right - 30


def accuracy(network: nn.Module) -> float:
    """Percent of held-out digits."""
    return 100 * float((network(held_out()).argmax(dim=1) == digits()[1][TRAIN:]).float().mean())


class Two(nn.Module):
    """A linear layer that reads another one."""

    def __init__(self, channels: int = 6, outputs: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(5, channels)
        self.second = nn.Linear(channels, outputs)

    def forward(self, values: Tensor) -> Tensor:
        """Values [B, 5] to [B, outputs]."""
        result: Tensor = self.second(self.first(values).relu())
        return result


TWO = Group("first", 6, (Slice("first.weight", 0), Slice("first.bias", 0), Slice("second.weight", 1)))


def test_new_weights_and_bias_are_those_of_scikit_learns_linear_regression() -> None:
    network, examples = Two(), torch.randn(300, 5, generator=numbers())
    found = regression(network, (TWO,), (3,), lambda: [(examples, torch.zeros(300))], numbers())
    kept = list(found.kept["first"])
    with torch.no_grad():
        read_NC, wanted_NO = network.first(examples).relu()[:, kept], network(examples)
    solved = LinearRegression().fit(read_NC.numpy(), wanted_NO.numpy())
    assert np.allclose(found.weights["second.weight"][:, kept].numpy(), solved.coef_, atol=2e-3)
    assert np.allclose(found.weights["second.bias"].numpy(), solved.intercept_, atol=2e-3)
    share = 1 - solved.score(read_NC.numpy(), wanted_NO.numpy(), sample_weight=None)
    assert found.errors[0].after == pytest.approx(share, rel=0.2)
    assert not found.weights["second.weight"][:, [one for one in range(6) if one not in kept]].any()


def test_of_two_channels_that_say_and_do_the_same_one_goes_first_and_costs_nothing() -> None:
    network = Two()
    with torch.no_grad():
        network.second.weight[:, 4] = network.second.weight[:, 1]
        network.first.weight[4], network.first.bias[4] = network.first.weight[1], network.first.bias[1]
    examples = torch.randn(300, 5, generator=numbers())
    found = regression(network, (TWO,), (5,), lambda: [(examples, torch.zeros(300))], numbers())
    assert set(range(6)) - set(found.kept["first"]) <= {1, 4}
    assert found.errors[0].after < 1e-5 < found.errors[0].before


def test_a_dead_channel_goes_before_every_other() -> None:
    network = Two()
    with torch.no_grad():
        network.first.bias[2] = -100.0
        network.second.weight[:, 2] = 50.0
    examples = torch.randn(200, 5, generator=numbers())
    found = regression(network, (TWO,), (5,), lambda: [(examples, torch.zeros(200))], numbers())
    assert found.kept["first"] == (0, 1, 3, 4, 5)
    assert found.errors[0].before == pytest.approx(0, abs=1e-9)


def test_the_terms_of_the_lasso_are_those_of_the_definition() -> None:
    network, examples = Two(), torch.randn(50, 5, generator=numbers())
    work = Work(network, (TWO,), lambda: [(examples, torch.zeros(50))], numbers(), images=50, positions=1)
    reader = work.readers["first"][0]
    one = module.group_moments(work, [reader])["second"]
    products_CC, right_C, squares_C = module.lasso_terms(
        one, one.channel_of_each(reader.channels), torch.ones(4, dtype=torch.float64), 6
    )
    with torch.no_grad():
        read_NC, weight_OC = network.first(examples).relu().double(), network.second.weight.double()
        parts_NCO = read_NC.unsqueeze(2) * weight_OC.T
    assert torch.allclose(products_CC, torch.einsum("nco,ndo->cd", parts_NCO, parts_NCO), rtol=1e-5)
    assert torch.allclose(right_C, torch.einsum("nco,no->c", parts_NCO, parts_NCO.sum(dim=1)), rtol=1e-5)
    assert torch.allclose(squares_C, weight_OC.square().sum(dim=0), rtol=1e-5)


class Branch(nn.Module):
    """A stem, and one residual block behind it whose last layer has a norm: stem(x) + norm(last(relu(inner(stem(x)))))."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.stem = nn.Conv2d(8, 4, 1)
        self.inner = nn.Conv2d(4, 12, 3, padding=1)
        self.last = nn.Conv2d(12, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        with torch.no_grad():
            self.norm.weight.copy_(torch.tensor([0.5, 2.0, -1.0, 0.0]))
            self.norm.running_var.copy_(torch.tensor([0.3, 1.0, 2.0, 1.0]))  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 2, H, W] to [B, 4, H, W]."""
        stream: Tensor = self.stem(self.first(images).relu())
        return stream + self.norm(self.last(self.inner(stream).relu()))


FIRST = Group("first", 8, (Slice("first.weight", 0), Slice("first.bias", 0), Slice("stem.weight", 1)))
INNER = Group("inner", 12, (Slice("inner.weight", 0), Slice("inner.bias", 0), Slice("last.weight", 1)))


def sums_error(
    network: nn.Module, groups: Sequence[Group], kept: Mapping[str, Sequence[int]], weights: Mapping[str, Tensor]
) -> Tensor:
    """Per channel, how far the block's output is from the original one, on images that no method has seen."""
    images = torch.randn(40, 2, 6, 6, generator=numbers(5))
    with torch.no_grad():
        return (silenced(network, groups, kept, weights)(images) - network(images)).square().mean(dim=(0, 2, 3))


def test_the_last_layer_of_a_branch_makes_up_for_the_error_of_its_shortcut(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Branch().eval()
    images = torch.randn(200, 2, 6, 6, generator=numbers())
    groups = (FIRST, INNER)

    def run() -> Reconstruction:
        return regression(network, groups, (4, 9), lambda: [(images, torch.zeros(200))], numbers())

    def none(paths: Paths, readers: object) -> frozenset[str]:
        return frozenset()

    with_shortcut = run()
    monkeypatch.setattr("regrow.pruning.reconstruction_work._compensated", none)
    without = run()
    ours = sums_error(network, groups, with_shortcut.kept, with_shortcut.weights)
    theirs = sums_error(network, groups, without.kept, without.weights)
    assert (ours[:3] < 0.97 * theirs[:3]).all()
    assert ours[3] == pytest.approx(float(theirs[3]))  # behind a scale of zero nothing can be made up for


def test_a_layer_with_too_many_features_is_rescaled_and_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FEATURES", 5)
    examples = torch.randn(50, 5, generator=numbers())
    found = regression(Two(), (TWO,), (3,), lambda: [(examples, torch.zeros(50))], numbers())
    assert len(found.kept["first"]) == 3
    assert "second reads more than 5 features" in found.notes[0]
    assert "second.bias" not in found.weights


class Joined(nn.Module):
    """Two layers whose outputs one layer reads side by side, and one of them another layer as well."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.left, self.right = nn.Linear(5, 6), nn.Linear(5, 7)
        self.both, self.only = nn.Linear(13, 3), nn.Linear(6, 3)

    def forward(self, values: Tensor) -> Tensor:
        """Values [B, 5] to [B, 3]."""
        left, right = self.left(values).relu(), self.right(values).relu()
        result: Tensor = self.both(torch.cat([left, right], dim=1)) + self.only(left)
        return result


def test_a_layer_that_reads_two_groups_is_fitted_on_all_that_is_left_of_both() -> None:
    network, examples = Joined(), torch.randn(400, 5, generator=numbers())
    groups = trace(network, examples[:2]).groups
    assert [group.channels for group in groups] == [6, 7]
    found = regression(network, groups, (4, 4), lambda: [(examples, torch.zeros(400))], numbers())
    left, right = (list(found.kept[group.name]) for group in groups)
    columns = [*left, *(6 + channel for channel in right)]
    with torch.no_grad():
        left_NC, right_NC = network.left(examples).relu(), network.right(examples).relu()
        whole_NC = torch.cat([left_NC, right_NC], dim=1)
        shortcut = left_NC @ (network.only.weight - found.weights["only.weight"]).T
        wanted_NO = network.both(whole_NC) + shortcut + (network.only.bias - found.weights["only.bias"])
    solved = LinearRegression().fit(whole_NC[:, columns].numpy(), wanted_NO.numpy())
    assert np.allclose(found.weights["both.weight"][:, columns].numpy(), solved.coef_, atol=5e-3)
    assert len(found.errors) == 3


def test_without_examples_the_error_names_the_method() -> None:
    with pytest.raises(PruningError, match="regression looks at what layers compute on training examples"):
        regression(Two(), (TWO,), (3,), None, numbers())
