from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import ExportError
from regrow.shipping.inputs import Arguments, arguments
from regrow.shipping.parity import Export, outputs, parity, reason

CALL = arguments(torch.zeros(2, 3))


def compared(network: nn.Module, change: Callable[[Tensor], Sequence[Tensor]], tolerance: float = 1e-4) -> float:
    """Parity of a network and of what `change` makes of its output."""

    def run(call: Arguments) -> Sequence[Tensor]:
        return change(network(*call.positional))

    return parity(network, run, CALL, (1, 3), tolerance, "file").error


def test_the_error_is_relative_to_the_largest_output() -> None:
    network = nn.Identity()
    assert compared(network, lambda y: [y]) == 0
    assert compared(network, lambda y: [y * (1 + 1e-5)]) == pytest.approx(1e-5, rel=0.05)


def test_too_large_a_difference_is_an_error_that_names_it() -> None:
    with pytest.raises(
        ExportError, match=r"file, at a batch of 1, differs from the network by 1.0e-02 of its largest value"
    ):
        compared(nn.Identity(), lambda y: [y * 1.01])
    assert compared(nn.Identity(), lambda y: [y * 1.01], tolerance=0.1) == pytest.approx(0.01, rel=1e-3)


def test_outputs_that_are_not_numbers_are_an_error() -> None:
    with pytest.raises(ExportError, match="differs from the network by nan"):
        compared(nn.Identity(), lambda y: [y * float("nan")])


def test_other_shapes_or_another_number_of_outputs_are_an_error() -> None:
    with pytest.raises(ExportError, match=r"gives outputs of shapes \[\(1, 3, 1\)\]; the network gives \[\(1, 3\)\]"):
        compared(nn.Identity(), lambda y: [y[..., None]])
    with pytest.raises(ExportError, match=r"gives outputs of shapes \[\]"):
        compared(nn.Identity(), lambda _: [])


class Largest(nn.Module):
    """Gives integers."""

    def forward(self, x: Tensor) -> Tensor:
        return x.argmax(1)


def test_integers_must_be_equal() -> None:
    assert compared(Largest(), lambda y: [y]) == 0
    with pytest.raises(ExportError, match="by inf"):
        compared(Largest(), lambda y: [y + 1])


def test_a_file_that_cannot_run_is_an_error() -> None:
    def fail(_y: Tensor) -> list[Tensor]:
        raise ValueError("bad shape\nin line 3")

    with pytest.raises(
        ExportError, match=r"file cannot run a batch of 1: bad shape. If the network fixes its batch size"
    ):
        compared(nn.Identity(), fail)


def test_tensors_are_found_in_whatever_a_network_returns() -> None:
    one, two = torch.zeros(1), torch.ones(2)
    assert [id(tensor) for tensor in outputs({"a": one, "b": (None, [two], 3)})] == [id(one), id(two)]


def test_an_error_is_told_in_one_line_without_colours() -> None:
    assert reason(ValueError("\n\x1b[96mfirst\x1b[0m.\nsecond")) == "first"
    assert reason(ValueError()) == "ValueError"


def test_an_error_is_told_by_what_started_it() -> None:
    wrapped = RuntimeError("write to the maintainers")
    wrapped.__cause__ = ValueError("cannot view")
    assert reason(wrapped) == "cannot view"


@pytest.mark.parametrize(("factor", "constant"), [(0.0, True), (1.0, False)])
def test_outputs_that_do_not_depend_on_the_inputs_are_noticed(factor: float, constant: bool) -> None:
    network = nn.Linear(3, 2)
    nn.init.constant_(network.weight, factor)

    def run(call: Arguments) -> Sequence[Tensor]:
        return [network(*call.positional)]

    assert parity(network, run, CALL, (1, 3), 1e-4, "file").constant is constant


def test_an_export_is_told_in_one_line() -> None:
    done = Export(path=Path("a.onnx"), bytes=1234, error=2e-7, batches=(1, 3), opset=20)
    assert str(done) == "a.onnx: 1,234 bytes, opset 20, relative error 2.0e-07 at batch sizes 1, 3"
    assert str(replace(done, constant=True)).endswith("but every example had the same outputs: train the network first")
