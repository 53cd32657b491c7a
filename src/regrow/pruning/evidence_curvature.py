"""Second derivatives of the cross-entropy by the scored weights, streamed over the batches as products of the Hessian matrix and a vector.

A product H v is the derivative of (gradient . v), one more backward pass; the matrix itself is never there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from regrow.errors import PruningError
from regrow.pruning.evidence_look import Batch, Look, derived, read, summed_loss, zeros
from regrow.randomness import generator

DRAWS: Final = 4
"""Random vectors of signs for each batch."""

TEMPERATURE: Final = 200.0
"""By which GraSP divides the class scores, so that a fresh network's gradients are not those of a few sure classes; Wang et al. 2020."""


def curvature(look: Look) -> dict[str, Tensor]:
    """Hutchinson's estimate of the diagonal of H, the Hessian matrix of the mean cross-entropy, over draws of random signs z = +-1:

        h = mean over draws of  z * (H z)

    Its mean is the diagonal; its error for weight i has the variance sum over j != i of H[i, j]^2, divided by batches x DRAWS.
    Source: Hutchinson 1990; for networks Yao et al. 2021, arXiv:2006.00719.
    """
    numbers = generator(look.seed, "evidence", "curvature")
    total, count = zeros(look), 0

    def add(signs: Sequence[Tensor], products: Sequence[Tensor]) -> None:
        for tensor, sign, product in zip(total.values(), signs, products, strict=True):
            tensor.addcmul_(sign.to(tensor.dtype), product.to(tensor.dtype))

    for batch in read(look):
        aliases = look.aliases()
        _multiply(look, batch, aliases, [_signs(aliases, numbers) for _ in range(DRAWS)], add)
        count += len(batch)
    return {name: tensor / (count * DRAWS) for name, tensor in total.items()}


def hessian_gradient(look: Look) -> dict[str, Tensor]:
    """H g: how the gradient's squared length changes with each weight is 2 H g. Both of the mean cross-entropy over all examples, with
    class scores divided by TEMPERATURE; the examples are read twice, first for g. Source: Wang et al. 2020, arXiv:2002.07376.
    """
    total, count = zeros(look), 0
    for batch in read(look):
        aliases = look.aliases()
        with torch.enable_grad():
            parts = derived(look, summed_loss(look, batch, aliases, TEMPERATURE), list(aliases.values()))
        for tensor, part in zip(total.values(), parts, strict=True):
            tensor += part
        count += len(batch)
    gradient = [tensor / count for tensor in total.values()]
    total = zeros(look)

    def add(_: Sequence[Tensor], products: Sequence[Tensor]) -> None:
        for tensor, product in zip(total.values(), products, strict=True):
            tensor += product

    for batch in read(look):
        _multiply(look, batch, look.aliases(), [gradient], add, TEMPERATURE)
    return {name: tensor / count for name, tensor in total.items()}


def _signs(like: Mapping[str, Tensor], numbers: torch.Generator) -> list[Tensor]:
    """Random signs, drawn on the CPU so that every device sees the same; one byte each."""
    return [
        (torch.randint(0, 2, tensor.shape, generator=numbers, dtype=torch.int8) * 2 - 1).to(tensor.device)
        for tensor in like.values()
    ]


def _multiply(
    look: Look,
    batch: Batch,
    aliases: Mapping[str, Tensor],
    vectors: Sequence[Sequence[Tensor]],
    use: Callable[[Sequence[Tensor], Sequence[Tensor]], None],
    temperature: float = 1.0,
) -> None:
    """Hand each vector v and H v of one batch's summed loss to `use`, one after the other."""
    by = list(aliases.values())
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _twice_differentiable(look):
        gradients = derived(look, summed_loss(look, batch, aliases, temperature), by, graph=True)
        live = [index for index, one in enumerate(gradients) if one.requires_grad]
        for number, vector in enumerate(vectors, start=1):
            products = torch.autograd.grad(
                [gradients[index] for index in live],
                by,
                grad_outputs=[vector[index].to(by[index].dtype) for index in live],
                retain_graph=number < len(vectors),
                materialize_grads=True,
            )
            use(vector, products)


@contextlib.contextmanager
def _twice_differentiable(look: Look) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        if "derivative" not in str(error):
            raise
        raise PruningError(
            f"{look.criterion} needs second derivatives, and PyTorch has none for an operation of this network ({error}). "
            "Use taylor or fisher, which need first ones only."
        ) from error
