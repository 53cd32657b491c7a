"""ONNX: a network as a file that other runtimes read, compared with the network in ONNX Runtime before it is kept."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from regrow.errors import ExportError, MissingExtraError
from regrow.evaluation.runtimes import quiet
from regrow.shipping.capture import batches, captured
from regrow.shipping.inputs import Arguments, Inputs, arguments
from regrow.shipping.parity import Export, Run, parity, reason

_LARGEST_SINGLE_FILE: Final = 1_900_000_000
"""Bytes of tensors: a protobuf message holds less than 2 GiB, so larger weights stand in a file of their own."""


def export_onnx(
    network: nn.Module,
    example_inputs: Inputs,
    path: str | Path,
    *,
    dynamic_batch: bool = True,
    opset: int | None = None,
    tolerance: float = 1e-4,
) -> Export:
    """Write `network`, in eval mode, as an ONNX file and compare it with the network in ONNX Runtime, on random inputs.

    `example_inputs`: a tensor, a tuple of positional arguments or a dictionary of keyword arguments. With `dynamic_batch` the first
    axis of the inputs, called `batch`, may have any length, and two lengths that were not traced are compared. `opset` is ONNX's
    operator set; None takes torch's current one. `tolerance` is the relative error that is allowed (`regrow.shipping.parity`).

    Inputs are named as the arguments of `forward`. Weights above 1.9 GB are written beside the file, as `<path>.data`. The network is
    left as it was. Raises `ExportError`, and writes nothing, where the network cannot be exported or the file computes something
    else; needs the extra `onnx`.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _package(package)
    target, call = Path(path), arguments(example_inputs)
    program = captured(network, call, dynamic_batch=dynamic_batch)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        file = Path(folder) / target.name
        _write(program, file, opset)
        sizes = batches(call, dynamic_batch=dynamic_batch)
        found = parity(network, _runtime(file), call, sizes, tolerance, f"{target.name} in ONNX Runtime")
        written = sorted(Path(folder).iterdir(), reverse=True)  # the weights first: the file itself vouches for them
        size, version = sum(part.stat().st_size for part in written), _opset(file)
        for part in written:
            part.replace(target.with_name(part.name))
    return Export(path=target, bytes=size, error=found.error, batches=sizes, constant=found.constant, opset=version)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError("the export to ONNX", "onnx") from None


def _write(program: torch.export.ExportedProgram, file: Path, opset: int | None) -> None:
    tensors = [
        *program.state_dict.values(),
        *(value for value in program.constants.values() if isinstance(value, Tensor)),
    ]
    external = sum(tensor.nbytes for tensor in tensors) > _LARGEST_SINGLE_FILE
    with quiet():
        exported = _translated(program, opset)
        exported.rename_axes(_symbols(exported))
        exported.save(file, external_data=external)


def _translated(program: torch.export.ExportedProgram, opset: int | None) -> torch.onnx.ONNXProgram:
    """The graph in ONNX's operators; where the exporter's own way of taking operators apart fails, torch's is tried."""
    try:
        return _translate(program, opset)
    except Exception as error:  # its errors have no common kind
        try:
            return _translate(program.run_decompositions(), opset)
        except Exception:
            raise ExportError(f"torch.onnx cannot translate the network's graph: {reason(error)}") from error


def _translate(program: torch.export.ExportedProgram, opset: int | None) -> torch.onnx.ONNXProgram:
    exported = torch.onnx.export(program, opset_version=opset, verbose=False, dynamo=True)
    assert exported is not None  # it is None only for the exporter of old
    return exported


def _symbols(exported: torch.onnx.ONNXProgram) -> dict[Any, str]:
    """The exporter's name of the one axis that was left open, and ours."""
    sizes = [size for entry in exported.model.graph.inputs for size in entry.shape or ()]
    return {str(size.value): "batch" for size in sizes if not isinstance(size, int)}


def _opset(file: Path) -> int:
    model = _package("onnx").load(file, load_external_data=False)
    return max(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _runtime(file: Path) -> Run:
    runtime = _package("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"ONNX Runtime cannot read the file that torch.onnx wrote: {reason(error)}") from error

    def run(call: Arguments) -> list[Tensor]:
        return [torch.from_numpy(value) for value in session.run(None, _feed(session, call))]

    return run


def _feed(session: Any, call: Arguments) -> dict[str, Any]:
    """The tensors of a call under the file's input names."""
    names = [entry.name for entry in session.get_inputs()]
    by_name = {name: value for name, value in call.keywords.items() if isinstance(value, Tensor)}
    values = [by_name[name] for name in names] if by_name.keys() == set(names) else call.tensors
    if len(names) != len(values):
        raise ExportError(
            f"the file has {len(names)} inputs ({', '.join(names)}) for the {len(values)} tensors of example_inputs: an input without "
            "influence on the outputs was left out. Leave it out of example_inputs."
        )
    return {name: value.detach().cpu().numpy() for name, value in zip(names, values, strict=True)}
