"""A team: one training's ranks as each of them sees it. What they add up, average and agree on.

Gradients are averaged by DistributedDataParallel, in the backward pass. Everything else that ranks must have in common is here. A team of
one does nothing and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
import torch.distributed as ranks
from lightning_fabric import Fabric
from torch import Tensor, nn

from regrow.errors import ConfigError, StoreError
from regrow.training.compute import Compute
from regrow.training.ranks import meeting, this_rank

_CPU: Final = torch.device("cpu")
BACKENDS: Final = {"cpu": "gloo", "cuda": "nccl"}


def join(compute: Compute) -> None:
    """Meet the other ranks of this training, unless that has happened; they part when their processes end.

    Raises `ConfigError` in a process that is not one of them.
    """
    place = meeting()
    if place is None:
        raise ConfigError(
            f"a training over {compute.devices} devices is done by as many processes, and this is not one of them. "
            "Run it as part of a study, or start them with regrow.training.ranks.run_ranks."
        )
    if not ranks.is_initialized():
        ranks.init_process_group(
            BACKENDS[compute.device], init_method=place.as_uri(), rank=this_rank(), world_size=compute.devices
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """The ranks of one training; by default this process alone."""

    size: int = 1
    rank: int = 0
    device: torch.device = _CPU
    """Where tensors must lie to be sent."""

    @classmethod
    def of(cls, fabric: Fabric) -> Team:
        """The ranks that Fabric knows."""
        return cls(size=fabric.world_size, rank=fabric.global_rank, device=fabric.device)

    @property
    def leads(self) -> bool:
        """Whether this rank is the one that writes and tells."""
        return self.rank == 0

    def weighed(self, loss: Tensor, own: int, whole: int) -> Tensor:
        """The mean loss over this rank's `own` examples of a batch, such that the mean over ranks is the mean over `whole` of them.

        mean_r (loss_r * ranks * own_r / whole) = sum_r (loss_r * own_r) / whole
        """
        return loss if own * self.size == whole else loss * (self.size * own / whole)

    def total(self, values: Tensor) -> Tensor:
        """The sum over ranks, on the CPU; `values` themselves for a team of one."""
        if self.size == 1:
            return values
        sent = values.to(self.device)
        ranks.all_reduce(sent)
        return sent.cpu()

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over ranks: of parameters that an intervention owns, which are not the network's."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                sent = parameter.grad.contiguous()
                ranks.all_reduce(sent)
                parameter.grad.copy_(sent).div_(self.size)

    @torch.no_grad()
    def level(self, network: nn.Module) -> None:
        """Give all ranks the same buffers: running means and variances of norm layers averaged, all others those of rank 0."""
        if self.size == 1:
            return
        averaged = {id(tensor) for module in network.modules() for tensor in _statistics(module)}
        for buffer in network.buffers():
            sent = buffer.to(self.device).contiguous()
            if id(buffer) in averaged:
                ranks.all_reduce(sent)
                sent.div_(self.size)
            else:
                ranks.broadcast(sent, src=0)
            buffer.copy_(sent)

    def gathered(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Everybody's tensors, on every rank: rank 0's under their names, those of rank r under `name.r`."""
        found = dict(tensors)
        for name, tensor in tensors.items() if self.size > 1 else ():
            sent = tensor.to(self.device)
            parts = [torch.empty_like(sent) for _ in range(self.size)]
            ranks.all_gather(parts, sent)
            found |= {own_name(name, rank): part.cpu() for rank, part in enumerate(parts)}
        return found

    def agree(self, epochs: int) -> None:
        """Raise `StoreError` unless every rank found a checkpoint of as many epochs."""
        found = self.total(torch.tensor([epochs, epochs * epochs], dtype=torch.float64)).tolist()
        if found != [self.size * epochs, self.size * epochs * epochs]:
            raise StoreError(
                f"the processes of one training must go on from the same checkpoint; this one read {epochs} epochs, another one did "
                "not. Run again; if that does not help, look after the disk."
            )


def own_name(name: str, rank: int) -> str:
    """What a tensor of one rank is called among everybody's.

    >>> own_name("cpu", 0), own_name("cpu", 2)
    ('cpu', 'cpu.2')
    """
    return f"{name}.{rank}" if rank else name


def _statistics(module: nn.Module) -> list[Tensor]:
    found = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    return [tensor for tensor in found if isinstance(tensor, Tensor)]
