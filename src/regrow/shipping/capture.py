"""Capture: the network as one graph, by `torch.export`, with a batch of any size. Both exports start from it."""

from __future__ import annotations

import torch
from torch import nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from regrow.errors import ExportError
from regrow.evaluation.runtimes import quiet
from regrow.networks.modes import evaluating
from regrow.shipping.inputs import Arguments, with_batch
from regrow.shipping.parity import reason

TRACED_BATCH = 2
"""A batch of one would be taken for a constant."""


def captured(network: nn.Module, call: Arguments, *, dynamic_batch: bool) -> ExportedProgram:
    """The network in eval mode as a graph; its modes are left as they were. Raises `ExportError` where it cannot be captured."""
    shapes, inputs = None, with_batch(call, max(TRACED_BATCH, call.batch) if dynamic_batch else call.batch)
    if dynamic_batch:
        batch, shapes = Dim("batch"), ShapesCollection()  # type: ignore[no-untyped-call]
        for tensor in inputs.batched:
            shapes[tensor] = {0: batch}
    try:
        with evaluating(network), torch.no_grad(), quiet():
            return torch.export.export(network, inputs.positional, inputs.keywords, dynamic_shapes=shapes)
    except Exception as error:  # its errors have no common kind
        hint = (
            " If it fixes its batch size (len(x) does: write x.shape[0]), pass dynamic_batch=False."
            if dynamic_batch
            else ""
        )
        raise ExportError(
            f"torch.export cannot turn {type(network).__name__} into one graph: {reason(error)}. Code that branches on the values "
            f"of tensors cannot be exported.{hint}"
        ) from error


def batches(call: Arguments, *, dynamic_batch: bool) -> tuple[int, ...]:
    """Batch sizes at which an export is compared: two that were not traced, or the only one there is."""
    return (1, max(TRACED_BATCH, call.batch) + 1) if dynamic_batch else (call.batch,)
