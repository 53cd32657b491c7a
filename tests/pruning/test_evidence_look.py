from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regrow.errors import PruningError
from regrow.pruning.evidence_look import Look, logits_of, read, resting, summed_loss

from .examples import examples, kinds, same, state_of


def look(network: nn.Module, batches: Any = None, *names: str) -> Look:
    return Look(network=network, criterion="mine", names=names, batches=batches)


def test_lists_and_functions_are_read_from_the_start_each_time() -> None:
    for batches in (examples(), lambda: iter(examples())):
        here = look(kinds(), batches)
        assert [len(batch) for batch in read(here)] == [len(batch) for batch in read(here)] == [4, 4]


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (None, "none are given"),
        (iter(examples()), "can be read only once"),
        ([], "batches gave none"),
        ([torch.zeros(2, 3)], "a batch is a pair"),
        ([(torch.zeros(2, 3), torch.zeros(2))], r"labels of shape \(2,\) and type torch.float32"),
        ([(torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.long))], r"labels of shape \(2, 1\)"),
    ],
)
def test_what_are_no_examples_is_refused(batches: Any, message: str) -> None:
    with pytest.raises(PruningError, match=message):
        list(read(look(kinds(), batches)))


def test_the_loss_is_the_cross_entropy_of_all_examples_of_a_batch() -> None:
    network, (images, labels) = kinds().eval(), examples()[0]
    here = look(network, [(images, labels)], "head.weight")
    loss = summed_loss(here, next(read(here)), here.aliases())
    wanted = -network(images).log_softmax(1)[range(len(labels)), labels].sum()
    torch.testing.assert_close(loss, wanted)


def test_a_network_that_is_no_classifier_is_refused() -> None:
    here = look(nn.Conv2d(2, 3, 1), examples(), "weight")
    with pytest.raises(PruningError, match=r"\(examples, classes\); for 4 labels .* \(4, 3, 8, 8\)"):
        summed_loss(here, next(read(here)), here.aliases())
    with pytest.raises(PruningError, match="returns dict"):
        logits_of({})
    assert logits_of((torch.ones(1, 2), None)).tolist() == [[1, 1]]


def test_the_network_is_left_as_it_was_even_where_it_fails() -> None:
    class Restless(nn.Module):
        """Writes into a buffer, and puts another one in its place."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))
            self.register_buffer("other", torch.zeros(1))

        def forward(self, images: Tensor) -> Tensor:
            self.seen += len(images)
            self.other = self.other + 1
            raise ValueError("no")

    network = Restless()
    before, numbers = state_of(network), torch.get_rng_state()
    with pytest.raises(ValueError, match="no"), resting(network):
        torch.rand(3)
        network(torch.zeros(2, 1))
    assert same(before, state_of(network)) and torch.equal(numbers, torch.get_rng_state())


def test_inside_every_module_is_in_evaluation_mode_and_random_numbers_repeat() -> None:
    network = kinds()
    network.drop.eval()
    drawn = []
    for _ in range(2):
        with resting(network, seed=3):
            assert not any(module.training for module in network.modules())
            drawn.append(torch.rand(2))
    assert torch.equal(*drawn)
    assert network.training and not network.drop.training
