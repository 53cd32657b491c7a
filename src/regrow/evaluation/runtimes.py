"""Runtimes: a network made ready to run again and again on the same inputs, by each of the backends.

Each function takes a network in eval mode, its inputs and the number of CPU threads, and returns a call without arguments. On a
GPU the call only starts the work.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from regrow.errors import MissingExtraError
from regrow.evaluation.stopwatch import Call

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of a network's forward."""

_PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def eager(network: nn.Module, inputs: Arguments, threads: int) -> Call:  # noqa: ARG001 - all backends are called alike
    """The network as it is, in inference mode."""
    return _inference(network, inputs)


def compiled(network: nn.Module, inputs: Arguments, threads: int) -> Call:  # noqa: ARG001 - all backends are called alike
    """The network through torch.compile with static shapes, compiled already."""

    def forward(*positional: Any, **keywords: Any) -> Any:
        return network(*positional, **keywords)

    # The compiler keeps what it compiled with the code that it came from, and gives up on a code after a few shapes. Every network
    # gets a code of its own, so the tenth small network is compiled as the first was.
    own = types.FunctionType(forward.__code__.replace(), globals(), "forward", None, forward.__closure__)
    call = _inference(torch.compile(own, dynamic=False), inputs)
    with quiet():
        call()
    return call


def _inference(function: Callable[..., Any], inputs: Arguments) -> Call:
    positional, keywords = inputs

    def call() -> Any:
        with torch.inference_mode():
            return function(*positional, **keywords)

    return call


def onnxruntime_session(network: nn.Module, inputs: Arguments, threads: int) -> Call:
    """The network exported to ONNX, in an ONNX Runtime session on the device of its inputs.

    Raises `MissingExtraError` where ONNX Runtime is not installed, or was not built for the device; what the exporter or the runtime
    cannot do is raised as they raise it.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        raise MissingExtraError("the backend onnxruntime", "onnx") from None
    tensors = [leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, Tensor)]
    provider = _PROVIDERS[tensors[0].device.type]
    if provider not in runtime.get_available_providers():
        raise MissingExtraError(f"ONNX Runtime on {tensors[0].device.type} (onnxruntime-gpu)", "onnx")
    session = _session(runtime, network, inputs, threads, provider)
    names = [value.name for value in session.get_inputs()]
    feed = dict(zip(names, (tensor.cpu().contiguous().numpy() for tensor in tensors), strict=True))
    return lambda: session.run(None, feed)


def _session(runtime: Any, network: nn.Module, inputs: Arguments, threads: int, provider: str) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # Threads that spin while they wait would take the cores from whoever has the next turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    positional, keywords = inputs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        with quiet(), torch.no_grad():
            program = torch.onnx.export(network, positional, kwargs=keywords, dynamo=True, verbose=False)
            assert program is not None
            program.save(path, external_data=True)
        return runtime.InferenceSession(path, options, providers=[provider])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress lines, warnings and log messages of compilers and exporters to themselves; errors still come through."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
