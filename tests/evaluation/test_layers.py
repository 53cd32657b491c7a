"""Layers: which layer and which kind of work every operation belongs to."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regrow.evaluation.kinds import KINDS
from regrow.evaluation.layers import FEWEST_ROUNDS, time_layers
from tests.evaluation.speed_networks import Attention, Separable, images


def kinds_of(network: nn.Module, *inputs: torch.Tensor) -> dict[str, set[str]]:
    """Kind of work to the layers that do it."""
    (found,) = time_layers([network.eval()], (inputs, {}), seconds=0.0)
    kinds: dict[str, set[str]] = {}
    for row in found:
        assert row.kind in KINDS
        kinds.setdefault(row.kind, set()).add(row.layer)
    return kinds


def test_every_operation_belongs_to_the_innermost_module() -> None:
    kinds = kinds_of(Separable(), images())
    assert kinds["convolution"] == {"stem"}
    assert kinds["depthwise"] == {"depthwise"}
    assert kinds["pointwise"] == {"pointwise"}
    assert kinds["norm"] == {"norm"}
    assert kinds["linear"] == {"head"}
    assert kinds["elementwise"] == {""}  # the residual sum and the activation are the network's own
    assert kinds["pool"] == {""}


def test_attention_is_taken_apart_and_pytorch_is_left_as_it_was() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    kinds = kinds_of(Attention(), torch.randn(1, 4, 16), torch.tensor(1.0))
    assert "attention" in kinds["attention"]
    assert kinds["linear"] == {"attention"}
    assert torch.backends.mha.get_fastpath_enabled() is before


def test_grouped_recurrent_and_copying_work_have_kinds_of_their_own() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.grouped = nn.Conv2d(4, 4, 3, groups=2)
            self.unit = nn.LSTM(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.cat([self.grouped(x)] * 2).flatten(2).permute(2, 0, 1).contiguous()
            return self.unit(x)[0].softmax(-1)

    kinds = kinds_of(Mixed(), torch.randn(1, 4, 8, 8))
    assert kinds["grouped"] == {"grouped"}
    assert {"softmax", "copy"} <= kinds.keys()


def test_macs_and_widths_are_those_of_the_layers() -> None:
    (found,) = time_layers([Separable(16).eval()], ((images(size=8),), {}), seconds=0.0)
    rows = {row.layer: row for row in found if row.macs}
    assert rows["stem"].macs == 8 * 8 * 16 * 3 * 9
    assert rows["depthwise"].macs == 8 * 8 * 16 * 9
    assert rows["head"].macs == 16 * 4
    assert (rows["stem"].widths, rows["depthwise"].widths, rows["head"].widths) == ((3, 16), (16, 16), (16, 4))


def test_transposed_convolutions_read_and_write_the_other_way_round() -> None:
    (found,) = time_layers(
        [nn.ConvTranspose2d(6, 10, 2, groups=2).eval()], ((torch.randn(1, 6, 4, 4),), {}), seconds=0.0
    )
    assert [row.widths for row in found if row.kind == "grouped"] == [(6, 10)]


def test_what_no_operation_takes_is_overhead_and_nothing_is_negative() -> None:
    (found,) = time_layers([Separable(4).eval()], ((images(),), {}), seconds=0.0)
    assert found[-1].kind == "overhead" and found[-1].layer == ""
    assert all(row.seconds >= 0 for row in found)
    assert sum(row.seconds for row in found) > 0


def test_networks_take_turns_and_leave_no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    class Logged(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name
            self.layer = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            log.append(self.name)
            return self.layer(x) + 1

    first, second = Logged("a"), Logged("b")
    time_layers([first, second], ((torch.ones(1),), {}), seconds=0.0)
    assert "".join(log) == "aabb" * (1 + FEWEST_ROUNDS)
    assert not torch.nn.modules.module._global_forward_pre_hooks
    assert not torch.nn.modules.module._global_forward_hooks


def test_a_network_that_fails_leaves_no_hooks() -> None:
    with pytest.raises(RuntimeError):
        time_layers([Separable()], ((torch.ones(1, 2, 4, 4),), {}), seconds=0.0)
    assert not torch.nn.modules.module._global_forward_pre_hooks
    assert not torch.nn.modules.module._global_forward_hooks


def test_the_layer_that_waits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    work = nn.Sequential(nn.Linear(256, 256), nn.Linear(8, 8))

    class Uneven(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.large, self.small = work

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.small(self.large(x)[:1, :8])

    (found,) = time_layers([Uneven().eval()], ((torch.randn(512, 256),), {}), seconds=0.0)
    seconds = {row.layer: row.seconds for row in found if row.kind == "linear"}
    assert seconds["large"] > 3 * seconds["small"]
