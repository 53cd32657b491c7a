from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from regrow.pruning.evidence_gradients import batch_gradients, gradient, squared_gradient
from regrow.pruning.evidence_look import Look, resting

from .examples import NAMES, Kinds, examples, kinds, one_batch


def look(network: Kinds, batches: list[tuple[Tensor, Tensor]]) -> Look:
    return Look(network=network, criterion="mine", names=NAMES, batches=batches)


def by_autograd(network: Kinds, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    loss = functional.cross_entropy(network(images), labels)
    found = torch.autograd.grad(loss, [network.get_parameter(name) for name in NAMES])
    return dict(zip(NAMES, found, strict=True))


def test_the_gradient_is_that_of_the_mean_loss_however_examples_are_cut_into_batches() -> None:
    network, batches = kinds().eval(), examples(batches=3)
    uneven = [(batches[0][0][:1], batches[0][1][:1]), (batches[0][0][1:], batches[0][1][1:]), *batches[1:]]
    wanted = by_autograd(network, *one_batch(batches))
    torch.testing.assert_close(gradient(look(network, batches)), wanted)
    torch.testing.assert_close(gradient(look(network, uneven)), wanted)


def test_gradients_of_batches_are_those_of_their_mean_losses() -> None:
    network, batches = kinds().eval(), examples()
    for (count, found), (images, labels) in zip(batch_gradients(look(network, batches)), batches, strict=True):
        assert count == 4
        torch.testing.assert_close(found, by_autograd(network, images, labels))


def test_with_batches_of_one_example_the_fisher_diagonal_is_exact() -> None:
    network, (images, labels) = kinds().eval(), one_batch(examples())
    single = [(images[i : i + 1], labels[i : i + 1]) for i in range(len(images))]
    tensors = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def loss(scored: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        output = torch.func.functional_call(network, {**tensors, **scored}, (image[None],))
        return functional.cross_entropy(output, label[None])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(
        {name: tensors[name] for name in NAMES}, images, labels
    )
    wanted = {name: one.square().mean(dim=0) for name, one in each.items()}
    torch.testing.assert_close(squared_gradient(look(network, single)), wanted)


def test_larger_batches_add_the_products_of_pairs() -> None:
    network, batches = kinds().eval(), examples(batches=1)
    wanted = {name: 4 * one.square() for name, one in by_autograd(network, *batches[0]).items()}
    torch.testing.assert_close(squared_gradient(look(network, batches)), wanted)


def test_frozen_weights_have_gradients_too_and_none_is_left_behind() -> None:
    network = kinds()
    network.requires_grad_(False)
    with resting(network):
        found = gradient(look(network, examples()))
    assert all(bool(one.abs().max() > 0) for one in found.values())
    assert not any(one.requires_grad or one.grad is not None for one in network.parameters())
