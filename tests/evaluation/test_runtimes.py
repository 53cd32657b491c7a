"""Runtimes: every backend computes what the network computes."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from regrow.errors import MissingExtraError
from regrow.evaluation.runtimes import compiled, eager, onnxruntime_session
from tests.evaluation.speed_networks import Attention, Separable, images


def networks() -> list[nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [Separable(8).eval(), Separable(5).eval()]


def test_eager_computes_what_the_network_computes_without_a_graph_of_gradients() -> None:
    network = networks()[0]
    found = eager(network, ((images(),), {}), 1)()
    assert isinstance(found, torch.Tensor) and not found.requires_grad
    torch.testing.assert_close(found, network(images()).detach())


def test_keywords_are_passed_by_name() -> None:
    network = Attention().eval()
    tokens = torch.randn(2, 3, 16)
    found = eager(network, ((), {"scale": torch.tensor(2.0), "tokens": tokens}), 1)()
    torch.testing.assert_close(found, network(tokens, torch.tensor(2.0)).detach())


def test_onnx_runtime_computes_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = networks()[0]
    (found,) = onnxruntime_session(network, ((images(2),), {}), 1)()  # type: ignore[misc]
    torch.testing.assert_close(torch.from_numpy(found), network(images(2)).detach(), atol=1e-5, rtol=1e-4)
    assert capfd.readouterr().out == ""


def test_without_onnx_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r'pip install "regrow\[onnx\]"'):
        onnxruntime_session(networks()[0], ((images(),), {}), 1)


@pytest.mark.slow
def test_every_compiled_network_is_compiled_however_many_there_are() -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    count = torch.compiler.config.recompile_limit + 2
    for channels in range(1, 1 + count):
        network = Separable(channels).eval()
        found = compiled(network, ((images(),), {}), 1)()
        torch.testing.assert_close(found, network(images()).detach(), atol=1e-5, rtol=1e-4)
    assert counters["stats"]["unique_graphs"] == count


def test_compiled_computes_the_same_with_a_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = []

    def compile_(function: object, *, dynamic: bool) -> object:
        codes.append(function.__code__)  # type: ignore[attr-defined]
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    for network in networks():
        torch.testing.assert_close(compiled(network, ((images(),), {}), 1)(), network(images()).detach())
    assert codes[0] is not codes[1]
