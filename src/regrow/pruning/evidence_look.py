"""A look: everything that gathering evidence needs to know, and the rules of looking.

A network is looked at in evaluation mode, with its random numbers fixed, and is left exactly as it was, even if something goes wrong:
weights, buffers, modes, `requires_grad` and `.grad`. Derivatives are taken of aliases that share the weights' memory
(`torch.func.functional_call`), so nothing is ever written into the network's own parameters.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from regrow.channels.masks import named_tensors
from regrow.channels.onmeta import as_call, moved
from regrow.errors import PruningError
from regrow.networks.groups import Group
from regrow.networks.modes import evaluating
from regrow.randomness import seeded

Pair: TypeAlias = tuple[Any, Tensor]
Batches: TypeAlias = Callable[[], Iterable[Pair]] | Iterable[Pair]
"""Training examples: a function that reads (images, labels) from the start, or anything that can be read again and again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """One network, what of it is scored, and what it may be shown."""

    network: nn.Module
    criterion: str
    """Name of the criterion, for errors."""

    names: tuple[str, ...]
    """Tensors whose weights are scored."""

    groups: tuple[Group, ...] = ()
    """Groups whose channels are scored; empty where single weights are."""

    batches: Batches | None = None
    example: Any = None
    """An input whose shape counts: a tensor, a tuple of arguments, or a dict of keyword arguments."""

    seed: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """The scored tensors, by name."""
        every = named_tensors(self.network)
        return {name: every[name] for name in self.names}

    def aliases(self) -> dict[str, Tensor]:
        """The scored tensors again, sharing their memory: leaves by which can be derived."""
        return {name: tensor.detach().requires_grad_() for name, tensor in self.tensors().items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Some examples, on the network's device."""

    inputs: Any
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def read(look: Look) -> Iterator[Batch]:
    """All batches, once, from the start. Raises `PruningError` where there are none, and where they are no (images, labels)."""
    given = look.batches
    if given is None:
        raise PruningError(f"{look.criterion} scores on training examples, and none are given. Pass batches=.")
    if iter_once(given):
        raise PruningError(
            "batches can be read only once, because it is an iterator, and evidence may need to read it again. Pass a list, a loader, "
            "or a function that begins anew: batches=lambda: make_batches()."
        )
    device = next((tensor.device for tensor in named_tensors(look.network).values()), torch.device("cpu"))
    count = 0
    for count, pair in enumerate(given() if callable(given) else given, start=1):
        yield _checked(pair, device, count)
    if count == 0:
        raise PruningError(f"{look.criterion} scores on training examples, and batches gave none.")


def iter_once(batches: Batches) -> bool:
    """Whether these batches are gone once they were read."""
    return not callable(batches) and iter(batches) is batches


def _checked(pair: Any, device: torch.device, number: int) -> Batch:
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[1], Tensor)):
        raise PruningError(
            f"a batch is a pair (images, labels) with a tensor of labels; batch {number} is {type(pair).__name__}"
        )
    inputs, labels = pair
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise PruningError(
            f"labels are one whole number per example, its class; batch {number} has labels of shape {tuple(labels.shape)} "
            f"and type {labels.dtype}"
        )
    return Batch(moved(inputs, device), labels.to(device, torch.long))


def run(look: Look, inputs: Any, tensors: Mapping[str, Tensor] | None = None) -> Any:
    """The network's output for some inputs, with other tensors in place of its own where `tensors` has some."""
    args, kwargs = as_call(inputs)
    if tensors is None:
        return look.network(*args, **kwargs)
    return functional_call(look.network, dict(tensors), args, kwargs)


def summed_loss(look: Look, batch: Batch, tensors: Mapping[str, Tensor], temperature: float = 1.0) -> Tensor:
    """Cross-entropy of a batch in nats, added up over its examples."""
    logits = logits_of(run(look, batch.inputs, tensors))
    if logits.ndim != 2 or len(logits) != len(batch):
        raise PruningError(
            f"{look.criterion} needs the cross-entropy of a classifier, whose output has the shape (examples, classes); for "
            f"{len(batch)} labels the network's output has the shape {tuple(logits.shape)}"
        )
    return functional.cross_entropy(logits / temperature, batch.labels, reduction="sum")


def logits_of(output: Any) -> Tensor:
    """The tensor of scores in what a classifier returns: itself, `output.logits`, or the first of several."""
    found = getattr(output, "logits", output)
    if isinstance(found, (tuple, list)) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        raise PruningError(f"the network returns {type(output).__name__}, in which no tensor of class scores is found")
    return found


def derived(look: Look, value: Tensor, by: Sequence[Tensor], *, graph: bool = False) -> tuple[Tensor, ...]:
    """Derivatives of a scalar; zeros for what it does not depend on."""
    if not value.requires_grad:
        raise PruningError(
            f"{look.criterion} needs derivatives, and the network's output does not depend on the scored weights in a way that PyTorch "
            "can follow: it is detached, or computed without gradients."
        )
    return torch.autograd.grad(value, by, create_graph=graph, materialize_grads=True)


def zeros(look: Look) -> dict[str, Tensor]:
    """Where sums over batches are kept: like the scored tensors, in float32 at least."""
    return {
        name: torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32), requires_grad=False)
        for name, tensor in look.tensors().items()
    }


@contextlib.contextmanager
def resting(network: nn.Module, seed: int = 0) -> Iterator[None]:
    """Evaluation mode and fixed random numbers inside; modes and buffers as they were afterwards, whatever happens."""
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        with evaluating(network), seeded(seed, "evidence"):
            yield
    finally:
        for module, name, buffer, before in buffers:
            if not torch.equal(buffer, before):
                buffer.data.copy_(before)
            module._buffers[name] = buffer
