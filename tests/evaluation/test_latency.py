"""Latency: real measurements of tiny networks; only what must hold on every machine is asserted of times."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from regrow.errors import ConfigError, MissingExtraError, UnknownNameError
from regrow.evaluation import latency as module
from regrow.evaluation import stopwatch
from regrow.evaluation.answer import Latency
from regrow.evaluation.latency import latency
from regrow.evaluation.setup import BACKENDS
from tests.evaluation.speed_networks import Attention, Separable, images


@pytest.fixture(autouse=True)
def _hardly_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(stopwatch, "TURN_SECONDS", 0.0)


def asked(network: nn.Module | None = None, inputs: Any = None, **changes: Any) -> Latency:
    values: dict[str, Any] = {"fractions": (0.5,), "roundings": (), "backends": ["eager"], "seconds": 0.0}
    return latency(network or Separable(16), images() if inputs is None else inputs, **(values | changes))


def test_every_network_has_a_row_on_every_backend_and_the_same_rounds() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    found = asked(fractions=(0.0, 0.5), backends=["eager", "onnxruntime"])
    assert [(row.name, row.backend) for row in found.rows] == [
        ("dense", "eager"),
        ("0.5", "eager"),
        ("dense", "onnxruntime"),
        ("0.5", "onnxruntime"),
    ]
    assert {len(row.times.seconds) for row in found.rows} == {stopwatch.FEWEST_ROUNDS}
    assert all(row.times.median > 0 for row in found.rows)
    assert found.notes == ()


def test_macs_and_memory_are_counted_for_the_network_that_is_left() -> None:
    dense, small = asked().rows
    assert dense.footprint.macs == 8 * 8 * 16 * (27 + 9 + 16) + 16 * 4
    assert small.footprint.macs == 8 * 8 * 8 * (27 + 9 + 8) + 8 * 4
    assert small.mac_cut == dense.footprint.macs / small.footprint.macs
    assert small.efficiency == pytest.approx(small.speed_up / small.mac_cut)
    assert small.device_bytes is None


def test_a_tiny_network_gains_nothing_and_the_overhead_is_told() -> None:
    found = asked(Separable(64), images(size=2), fractions=(0.75,), seconds=0.5)
    (small,) = [row for row in found.rows if row.fraction]
    assert small.mac_cut > 5
    assert small.is_slow
    assert "overhead" in {one.kind.name for one in found.blames["0.75"]} or found.blames["0.75"]
    assert "time only" in found.sentences[0] or "time rises" in found.sentences[0]
    assert "% of the small network's time is spent in" in found.sentences[0]


def test_a_large_layer_gains_a_lot_and_nobody_is_to_blame() -> None:
    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(64, 1024), nn.Linear(1024, 64)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(rows))

    found = asked(Large(), torch.randn(256, 64), fractions=(0.9,), seconds=0.3)
    assert found.rows[1].speed_up > 2
    assert found.batch == 256


def test_networks_that_are_small_already_can_be_measured() -> None:
    found = asked(small={"mine": Separable(4), "theirs": Separable(2)})
    assert [(row.name, row.fraction) for row in found.rows] == [("dense", 0.0), ("mine", None), ("theirs", None)]
    assert found.sentences[0].startswith("mine: MACs fall ")


def test_inputs_may_be_a_tuple_or_keywords() -> None:
    tokens, scale = torch.randn(2, 4, 16), torch.tensor(1.0)
    by_place, by_name = (
        asked(Attention(), inputs, small={"same": Attention(8)} if False else {"same": Attention()})
        for inputs in ((tokens, scale), {"scale": scale, "tokens": tokens})
    )
    assert by_place.rows[0].footprint.macs == by_name.rows[0].footprint.macs > 0
    assert by_place.batch == 2


def test_the_network_and_the_number_of_threads_are_left_as_they_were() -> None:
    network = Separable().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    asked(network, threads=2, channels_last=True)
    assert network.training
    assert torch.get_num_threads() == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.stem.weight.is_contiguous()


def test_threads_and_layout_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Looking(Separable):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            last = x.is_contiguous(memory_format=torch.channels_last)
            seen.append((torch.get_num_threads(), last, torch.is_inference_mode_enabled()))
            return super().forward(x)

    asked(Looking(), small={"same": Looking()}, threads=2, channels_last=True)
    assert (2, True, True) in seen


def test_a_backend_that_cannot_run_the_network_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no compiler\nand a long story")

    real = module.load
    monkeypatch.setattr(module, "load", lambda name: fails if name.endswith("compiled") else real(name))
    found = asked(backends=["eager", "compiled"])
    assert {row.backend for row in found.rows} == {"eager"}
    assert found.notes == ("compiled cannot run this network here and was left out: no compiler",)
    with pytest.raises(ConfigError, match="no backend can run this network here"):
        asked(backends=["compiled"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "tpu"}, "found 'tpu'"),
        ({"threads": 0}, "at least 1; found 0"),
        ({"fractions": (50,)}, "Did you mean 0.5"),
    ],
)
def test_what_cannot_be_measured_is_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked(**changes)


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="PyTorch sees no CUDA device"):
        asked(device="cuda")


def test_a_wrong_backend_and_a_missing_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'eager'"):
        asked(backends=["eagre"])
    monkeypatch.setattr(type(BACKENDS["eager"]), "installed", False)
    with pytest.raises(MissingExtraError):
        asked(backends=["onnxruntime"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_memory_is_measured_too() -> None:
    dense, small = asked(Separable(64), images(8, 64), device="cuda").rows
    assert dense.device_bytes is not None and small.device_bytes is not None
    assert dense.device_bytes > small.device_bytes > 0
