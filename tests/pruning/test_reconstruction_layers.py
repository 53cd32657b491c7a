from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from regrow.pruning.reconstruction_layers import (
    input_axis,
    is_layer,
    patches,
    places,
    rows_of,
    weight_matrix,
    write_columns,
)

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (3, 6)),
    "linear over tokens": (lambda: nn.Linear(6, 5), (3, 4, 6)),
    "convolution": (lambda: nn.Conv2d(6, 5, 3), (3, 6, 7, 8)),
    "strided": (lambda: nn.Conv2d(6, 5, (3, 2), stride=(2, 3), padding=(1, 0), dilation=(2, 1)), (3, 6, 9, 8)),
    "padded by reflection": (lambda: nn.Conv2d(6, 5, 3, padding=1, padding_mode="reflect"), (3, 6, 5, 5)),
    "padded to the same size": (lambda: nn.Conv2d(6, 5, 3, padding="same", dilation=2), (3, 6, 5, 5)),
    "one axis": (lambda: nn.Conv1d(6, 5, 3, padding=2), (3, 6, 9)),
    "three axes": (lambda: nn.Conv3d(6, 5, 2, padding=1), (3, 6, 3, 4, 3)),
    "transposed": (
        lambda: nn.ConvTranspose2d(6, 5, 3, stride=2, padding=1, output_padding=1, dilation=2),
        (3, 6, 4, 5),
    ),
    "transposed one axis": (lambda: nn.ConvTranspose1d(6, 5, 4, stride=3), (3, 6, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_patches_times_weights_are_the_outputs(name: str) -> None:
    torch.manual_seed(0)
    build, shape = LAYERS[name]
    layer, given = build(), torch.randn(shape)
    with torch.no_grad():
        output = layer(given)
    examples, count = places(layer, output)
    rows_N = torch.randperm(examples * count)[:25]
    read_NKI = patches(layer, given, output, rows_N, torch.arange(6))
    expected_NO = torch.einsum("nki,oki->no", read_NKI, weight_matrix(layer)) + layer.bias
    assert torch.allclose(rows_of(layer, output, rows_N), expected_NO, atol=1e-5)
    assert examples * count * 5 == output.numel()


@pytest.mark.parametrize("name", LAYERS)
def test_only_the_asked_columns_are_read_and_written(name: str) -> None:
    torch.manual_seed(0)
    build, shape = LAYERS[name]
    layer, given, columns = build(), torch.randn(shape), torch.tensor([1, 4])
    output, old_OKI = layer(given), weight_matrix(layer).clone()
    rows_N = torch.tensor([0, 2])
    whole_NKI = patches(layer, given, output, rows_N, torch.arange(6))
    assert torch.equal(patches(layer, given, output, rows_N, columns), whole_NKI[:, :, columns])
    write_columns(layer, columns, 2 * old_OKI[:, :, columns])
    assert torch.equal(weight_matrix(layer)[:, :, columns], 2 * old_OKI[:, :, columns])
    rest = [0, 2, 3, 5]
    assert torch.equal(weight_matrix(layer)[:, :, rest], old_OKI[:, :, rest])


class Standardised(nn.Conv2d):
    """A forward of its own: what is stored is not what multiplies."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Images to images."""
        return self._conv_forward(input, self.weight - self.weight.mean(), self.bias)


def test_only_layers_whose_stored_weight_multiplies_are_taken() -> None:
    assert is_layer(nn.Linear(2, 3))
    assert is_layer(nn.ConvTranspose2d(2, 4, 3))
    assert not is_layer(nn.Conv2d(4, 4, 3, groups=2))
    assert not is_layer(Standardised(2, 3, 3))
    assert not is_layer(parametrizations.weight_norm(nn.Linear(2, 3)))
    assert not is_layer(nn.BatchNorm2d(3))


def test_the_input_axis_of_a_transposed_convolution_is_its_first() -> None:
    assert [input_axis(layer) for layer in (nn.Linear(2, 3), nn.Conv1d(2, 3, 1), nn.ConvTranspose1d(2, 3, 1))] == [
        1,
        1,
        0,
    ]
