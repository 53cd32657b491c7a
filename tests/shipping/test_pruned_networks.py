"""Networks from elsewhere, pruned in one call, survive every way of shipping them. `benchmarks/onnx_parity.py` has many more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import regrow
from regrow.networks.modes import evaluating
from regrow.shipping.inputs import Inputs, arguments, drawn
from regrow.shipping.parity import outputs


def shuffling() -> nn.Module:
    torchvision = pytest.importorskip("torchvision")
    network: nn.Module = torchvision.models.ShuffleNetV2([1, 1, 1], [8, 16, 32, 32, 32], num_classes=5)
    return network


def bert() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes: dict[str, Any] = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64}
    network: nn.Module = transformers.BertModel(transformers.BertConfig(num_attention_heads=4, **sizes))
    return network


WORDS = torch.arange(10).reshape(2, 5)
CASES = [
    pytest.param(shuffling, torch.zeros(1, 3, 32, 32), id="shufflenet"),
    pytest.param(
        bert, {"input_ids": WORDS, "attention_mask": torch.ones_like(WORDS)}, id="bert", marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("factory", "inputs"), CASES)
def test_a_pruned_network_comes_back_equal_and_exports_equal(
    factory: Callable[[], nn.Module], inputs: Inputs, tmp_path: Path
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    torch.manual_seed(0)
    small, architecture = regrow.prune(factory().eval(), inputs, fraction=0.5)
    loaded = regrow.load(regrow.save(small, architecture, tmp_path / "bundle"), factory)
    assert str(loaded) == str(small)
    call = drawn(arguments(inputs), 3, "test")
    with evaluating(small), evaluating(loaded), torch.no_grad():
        here = outputs(small(*call.positional, **call.keywords))
        there = outputs(loaded(*call.positional, **call.keywords))
    assert here and all(torch.equal(one, other) for one, other in zip(here, there, strict=True))
    exported = regrow.export_onnx(loaded, inputs, tmp_path / "network.onnx")
    assert exported.error <= 1e-4 and not exported.constant
    assert regrow.export_program(loaded, inputs, tmp_path / "network.pt2").error <= 1e-5
