"""Re-draw: fresh weights where the factory's own initialisation cannot be made to see the small shapes.

A tensor drawn at the dense shape is cut to the small one: a block of independent draws is a draw. What is wrong with it is its
standard deviation where that depends on the sizes, so it is compared with the laws of `regrow.channels.laws`, and multiplied by what
the law says about the change of shape. A tensor that follows none of them (a constant 0.02, an orthogonal matrix) keeps its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regrow.channels.laws import Law, law_of, spread_of
from regrow.channels.subblocks import SubBlock
from regrow.errors import PruningError


class RedrawWarning(UserWarning):
    """Some tensors of a regrown network did not come from its factory's own initialisation at the small shape."""


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A tensor whose numbers were drawn for the dense shape."""

    name: str
    law: Law | None

    def __str__(self) -> str:
        return f"{self.name} ({f'std as {self.law.formula}' if self.law else 'as drawn'})"


def redraw(network: nn.Module, blocks: Mapping[str, SubBlock]) -> list[Redrawn]:
    """Cut every tensor that is still too large, and correct its standard deviation; in place, so that ties hold.

    Raises `PruningError` for a tensor with neither its dense nor its small shape.
    """
    redrawn = []
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        block = blocks[name]
        if tuple(tensor.shape) == block.small:
            continue
        if not block.fits(tuple(tensor.shape)):
            raise PruningError(
                f"the factory built {name} with shape {tuple(tensor.shape)}, where the dense network has {block.dense} and the "
                f"architecture asks for {block.small}. Pass the factory of the network that was pruned."
            )
        module = network.get_submodule(name.rpartition(".")[0])
        law = law_of(name, spread_of(tensor), blocks, module) if isinstance(tensor, nn.Parameter) else None
        tensor.data = block.cut(tensor)
        if law is not None:
            rescale(tensor, law)
        redrawn.append(Redrawn(name, law))
    return redrawn


@torch.no_grad()
def rescale(tensor: Tensor, law: Law) -> None:
    """Multiply a tensor by what its law says about the change of shape."""
    tensor.mul_(law.small / law.dense)
