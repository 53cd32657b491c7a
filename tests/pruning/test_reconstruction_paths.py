from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.reconstruction_layers import is_layer
from regrow.pruning.reconstruction_paths import EnoughError, Mark, Paths, find_paths, follow


def layers_of(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if is_layer(module)]


def found_in(network: nn.Module, inputs: Tensor) -> Paths:
    network.eval()
    return find_paths(network, layers_of(network), lambda: network(inputs))


def zoo(name: str) -> nn.Module:
    return build(dense_spec(NetworkSettings(name=name), classes=10, shape=(1, 8, 8)), 0)


def test_in_a_resnet_the_second_norm_of_each_block_is_added() -> None:
    paths = found_in(zoo("resnet20"), torch.randn(1, 1, 8, 8))
    marks = [mark for mark, _ in paths.additions]
    blocks = [f"stage{stage}.block{block}" for stage in (1, 2, 3) for block in (1, 2, 3)]
    assert marks == [Mark(f"{block}.conv2", f"{block}.norm2") for block in blocks]
    assert list(paths.calls)[:3] == ["stem.conv", "stage1.block1.conv1", "stage1.block1.conv2"]
    assert paths.norms["stage1.block1.conv1"] == "stage1.block1.norm1"


def test_in_a_preresnet_both_sides_of_an_addition_may_be_layers() -> None:
    paths = found_in(zoo("preresnet20"), torch.randn(1, 1, 8, 8))
    others = {mark.layer: other for mark, other in paths.additions}
    assert others["stage1.block1.conv3"] == Mark("stage1.block1.shortcut")
    assert others["stage1.block1.shortcut"] == Mark("stage1.block1.conv3")
    assert others["stage1.block2.conv3"] is None


def test_torchvisions_blocks_are_seen() -> None:
    from torchvision.models import mobilenet_v2, resnet18

    paths = found_in(resnet18(weights=None), torch.randn(1, 3, 32, 32))
    others = {mark.layer: other for mark, other in paths.additions}
    assert others["layer2.0.conv2"] == Mark("layer2.0.downsample.0", "layer2.0.downsample.1")
    assert others["layer2.1.conv2"] is None
    paths = found_in(mobilenet_v2(weights=None), torch.randn(1, 3, 32, 32))
    others = {mark.layer: other for mark, other in paths.additions}
    assert len(others) == 10
    assert "features.2.conv.2" not in others  # it feeds the branch of the next block, and is its shortcut
    assert others["features.3.conv.2"] == Mark("features.2.conv.2", "features.2.conv.3")
    assert others["features.16.conv.2"] is None


class Ways(nn.Module):
    """Additions of every kind, and things that come between."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.rectified, self.dropped = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.scaled, self.broadcast, self.twice = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, values: Tensor) -> Tensor:
        """Values [B, 3] to [B, 3]."""
        stream = values + self.plain(values)
        stream = stream + functional.relu(self.rectified(stream), inplace=True)
        branch = self.dropout(self.dropped(stream))
        branch += stream
        branch = torch.add(branch, self.scaled(stream), alpha=2)
        branch = branch + self.broadcast(branch)[:1]
        return branch + self.twice(self.twice(branch))


def test_only_what_reaches_an_addition_unchanged_counts() -> None:
    paths = found_in(Ways(), torch.randn(4, 3))
    assert [mark.layer for mark, _ in paths.additions] == ["plain", "dropped", "twice"]
    assert paths.calls["twice"] == 2


def test_a_listener_can_end_the_pass_and_no_hook_stays() -> None:
    network, ran = Ways().eval(), []

    def listen(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        ran.append(name)
        if name == "dropped":
            raise EnoughError

    follow(network, layers_of(network), [], lambda: network(torch.randn(2, 3)), on_output=listen, on_addition=print)
    assert ran == ["plain", "rectified", "dropped"]
    assert not any(module._forward_hooks for module in network.modules())


def test_an_error_of_the_network_is_not_hidden() -> None:
    network = Ways().eval()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        found_in(network, torch.randn(2, 5))
    assert not any(module._forward_hooks for module in network.modules())
