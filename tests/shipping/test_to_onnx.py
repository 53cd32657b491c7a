from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import regrow
from regrow.channels.carve import carve
from regrow.errors import ExportError, MissingExtraError
from regrow.shipping import to_onnx
from regrow.shipping.to_onnx import export_onnx

from ..channels.zoo_networks import SHAPE, random_architecture, restless, small_spec
from .small_networks import Words, images, tiny, tokens


def test_without_the_packages_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r'pip install "regrow\[onnx\]"'):
        export_onnx(tiny()[0], images(), tmp_path / "tiny.onnx")


class Attending(nn.Module):
    """Attention with a bias an example, whose result is viewed as torch lays it out in memory, and the exporter does not."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(1, 2, 4, 4))

    def forward(self, x: Tensor) -> Tensor:
        heads = x.view(x.shape[0], -1, 2, 4).transpose(1, 2)
        bias = self.bias.expand(x.shape[0], -1, -1, -1)
        read = functional.scaled_dot_product_attention(heads, heads, heads, attn_mask=bias)
        return read.transpose(1, 2).reshape(x.shape[0], 4, -1)


class Bessel(nn.Module):
    """An operation for which ONNX has no counterpart."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


@pytest.fixture
def _runtime() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)


@pytest.mark.usefixtures("_runtime")
class TestWithTheRuntime:
    def test_the_file_computes_what_the_network_computes(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        network, _ = tiny()
        done = regrow.export_onnx(network, images(1), tmp_path / "tiny.onnx")
        assert done.error <= 1e-4 and done.batches == (1, 3)
        assert done.opset is not None and done.opset >= 18
        assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]
        assert done.bytes == done.path.stat().st_size
        assert capfd.readouterr().out == ""

    def test_inputs_have_the_names_of_the_arguments_and_a_batch_of_any_size(self, tmp_path: Path) -> None:
        import onnx

        done = export_onnx(tiny()[0], {"images": images()}, tmp_path / "tiny.onnx", opset=23)
        model = onnx.load(done.path)
        (entry,) = model.graph.input
        assert entry.name == "images"
        sizes = [size.dim_param or size.dim_value for size in entry.type.tensor_type.shape.dim]
        assert sizes == ["batch", 2, 6, 6]
        assert done.opset == 23

    def test_tied_weights_keywords_integers_and_several_outputs(self, tmp_path: Path) -> None:
        inputs = {"tokens": tokens(), "mask": torch.ones(3, 5, dtype=torch.int64)}
        done = export_onnx(Words(), inputs, tmp_path / "words.onnx")
        assert done.error <= 1e-4 and done.batches == (1, 4)

    def test_a_fixed_batch_is_kept(self, tmp_path: Path) -> None:
        done = export_onnx(nn.Linear(4, 2), torch.zeros(5, 4), tmp_path / "fixed.onnx", dynamic_batch=False)
        assert done.batches == (5,)

    def test_a_pruned_network_of_the_zoo(self, tmp_path: Path) -> None:
        dense = small_spec("vgg11")
        network = restless(dense)
        small = carve(network, random_architecture(network, dense)).float()
        assert export_onnx(small, torch.zeros(1, *SHAPE), tmp_path / "small.onnx").error <= 1e-4

    def test_what_the_exporter_takes_apart_wrongly_is_taken_apart_by_torch(self, tmp_path: Path) -> None:
        done = export_onnx(Attending(), torch.zeros(2, 4, 8), tmp_path / "attending.onnx")
        assert done.error <= 1e-4

    def test_an_operation_that_onnx_does_not_have_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(
            ExportError,
            match=r"torch.onnx cannot translate the network's graph: No ONNX function found for .*bessel_j0",
        ):
            export_onnx(Bessel(), torch.zeros(2, 4), tmp_path / "bessel.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_large_weights_stand_beside_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(to_onnx, "_LARGEST_SINGLE_FILE", 100)
        # The exporter keeps tensors of up to 1 kB inside all the same.
        done = export_onnx(nn.Linear(40, 40), torch.zeros(1, 40), tmp_path / "wide.onnx")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["wide.onnx", "wide.onnx.data"]
        assert done.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())

    def test_a_file_that_differs_is_not_kept(self, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match=r"wide.onnx in ONNX Runtime, at a batch of 1, differs from the network"):
            export_onnx(nn.Linear(40, 40), torch.zeros(1, 40), tmp_path / "wide.onnx", tolerance=-1.0)
        assert list(tmp_path.iterdir()) == []
