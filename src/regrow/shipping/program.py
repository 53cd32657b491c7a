"""Programs of `torch.export`: a network as a `.pt2` file that needs none of its Python code, compared before it is kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from regrow.errors import ExportError
from regrow.evaluation.runtimes import quiet
from regrow.shipping.capture import batches, captured
from regrow.shipping.inputs import Arguments, Inputs, arguments
from regrow.shipping.parity import Export, Run, outputs, parity, reason


def export_program(
    network: nn.Module,
    example_inputs: Inputs,
    path: str | Path,
    *,
    dynamic_batch: bool = True,
    tolerance: float = 1e-4,
) -> Export:
    """Write `network`, in eval mode, as a program of `torch.export`, read it back and compare it with the network on random inputs.

    Arguments as those of `regrow.export_onnx`. Raises `ExportError`, and writes nothing, where the network cannot be captured or the
    program computes something else.

    Pickle: the file that is written holds none. Its graph is JSON and its weights are raw bytes; the example inputs, the one part
    that torch would pickle, are left out. But `torch.export.load` unpickles whatever a file declares as pickled, so a `.pt2` file
    from a stranger can run code: load only your own, and pass a network on with `regrow.save` or as ONNX.
    """
    target, call = Path(path), arguments(example_inputs)
    program = captured(network, call, dynamic_batch=dynamic_batch)
    program.example_inputs = None
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        file = Path(folder) / target.with_suffix(".pt2").name
        run = _written(program, file)
        sizes = batches(call, dynamic_batch=dynamic_batch)
        found = parity(network, run, call, sizes, tolerance, f"{target.name} in torch.export")
        size = file.stat().st_size
        file.replace(target)
    return Export(path=target, bytes=size, error=found.error, batches=sizes, constant=found.constant)


def _written(program: torch.export.ExportedProgram, file: Path) -> Run:
    """The program, written and read back."""
    try:
        with quiet():
            torch.export.save(program, file)
            module = torch.export.load(file).module()
    except Exception as error:  # its errors have no common kind
        raise ExportError(f"torch.export cannot write the network's graph: {reason(error)}") from error

    def run(call: Arguments) -> list[Tensor]:
        with torch.no_grad():
            return outputs(module(*call.positional, **call.keywords))

    return run
