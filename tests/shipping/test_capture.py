from __future__ import annotations

import logging
import warnings

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import ExportError
from regrow.evaluation.runtimes import quiet
from regrow.shipping.capture import batches, captured
from regrow.shipping.inputs import arguments

from .small_networks import Counting, images, tiny


def test_a_graph_takes_any_batch_and_leaves_the_network_in_its_mode() -> None:
    network, _ = tiny()
    network.train()
    program = captured(network, arguments(images(1)), dynamic_batch=True).module()
    assert network.training
    network.eval()
    for batch in (1, 3, 7):
        torch.testing.assert_close(program(images(batch)), network(images(batch)))


def test_a_network_that_makes_a_number_of_its_batch_size_is_an_error_that_says_the_way_out() -> None:
    network = Counting().eval()
    with pytest.raises(
        ExportError, match=r"cannot turn Counting into one graph: Constraints violated .* dynamic_batch=False"
    ):
        captured(network, arguments(images()), dynamic_batch=True)
    program = captured(network, arguments(images()), dynamic_batch=False).module()
    torch.testing.assert_close(program(images()), network(images()))


class Difference(nn.Module):
    """Two inputs that must not be taken for one."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return one - other


@pytest.mark.parametrize("dynamic_batch", [False, True])
def test_one_example_tensor_in_two_places_is_two_inputs(dynamic_batch: bool) -> None:
    same = images()
    program = captured(Difference(), arguments((same, same)), dynamic_batch=dynamic_batch).module()
    torch.testing.assert_close(program(same, same + 1), torch.full_like(same, -1))


class Branching(nn.Module):
    """Asks for the value of a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_branches_on_values_is_an_error() -> None:
    with pytest.raises(ExportError, match="Code that branches on the values of tensors cannot be exported"):
        captured(Branching(), arguments(images()), dynamic_batch=False)


def test_batches_that_were_not_traced_are_compared() -> None:
    assert batches(arguments(images(1)), dynamic_batch=True) == (1, 3)
    assert batches(arguments(images(8)), dynamic_batch=True) == (1, 9)
    assert batches(arguments(images(8)), dynamic_batch=False) == (8,)


def test_quiet_keeps_lines_and_warnings_in_and_lets_them_out_again(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet():
        print("progress")  # noqa: T201
        warnings.warn("careful", stacklevel=1)
        assert not logging.getLogger("torch").isEnabledFor(logging.WARNING)
    assert capsys.readouterr().out == ""
    assert logging.getLogger("torch").isEnabledFor(logging.WARNING)
    with pytest.warns(match="careful"):
        warnings.warn("careful", stacklevel=1)
