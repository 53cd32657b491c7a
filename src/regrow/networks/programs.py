"""Programs that torch.export saved (`network.pt2`): loaded, given the two modes that export took away, and fresh weights.

A program is a graph of primitive operations. It knows neither modes nor initialisation:

modes    dropout and batch norms carry a flag from when the program was exported; it is set anew in `train()` and `eval()`.
weights  a tensor that multiplies (two axes or more) is drawn as PyTorch's own layers draw theirs, uniform within 1 / sqrt(fan-in);
         of the others, scales of norms start at one and all else (biases, running means) at zero, running variances at one. A
         parameter that is no weight of a layer (a class token, positions) is drawn with a standard deviation of 0.02.

So a study can train it from scratch. Its saved weights are not used; to start from them, save them as dense.checkpoint. A saved
program may hold a pickle, which runs code when it is loaded: it has to be trusted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, fx, nn

from regrow.errors import ConfigError
from regrow.files import file_digest
from regrow.networks.sources import Access
from regrow.networks.spec import NetworkSpec

if TYPE_CHECKING:
    from regrow.networks.foreign import Factory

_aten: Final = torch.ops.aten
_FLAGS: Final[dict[Any, int]] = {
    _aten.batch_norm: 5,
    _aten.instance_norm: 5,
    _aten.dropout: 2,
    _aten.dropout_: 2,
    _aten.feature_dropout: 2,
    _aten.alpha_dropout: 2,
    _aten.feature_alpha_dropout: 2,
}
"""Operations that differ between training and evaluation, and the position of the argument that says which it is."""

_SCALES: Final[dict[Any, int]] = {
    _aten.batch_norm: 1,
    _aten.instance_norm: 1,
    _aten.layer_norm: 2,
    _aten.rms_norm: 2,
    _aten.group_norm: 2,
}
"""Norms, and the position of their scale."""

_WEIGHTS: Final = ("linear", "matmul", "mm", "addmm", "embedding")
_BUFFERS: Final = {"running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0}
_OTHER_STD: Final = 0.02


def program_network(name: str, spec: NetworkSpec, access: Access) -> Factory:
    """The factory of a saved program with fresh weights.

    Raises `ConfigError` where the file is no program or another one than when the study was read.
    """
    path = Path(access.place)
    if spec.origin and f"sha256 {file_digest(path)}" != spec.origin:
        raise ConfigError(f"{path} was changed after the study was read. Run the study again.")
    try:
        graph = torch.export.load(path).module()
    except Exception as error:  # whatever an unpickler finds in a file that is no program
        raise ConfigError(
            f"{name} is no program that torch.export.save wrote: {type(error).__name__}: {error}"
        ) from error
    assert isinstance(graph, fx.GraphModule)
    prepared = _prepared(graph)
    return lambda: Program(copy.deepcopy(prepared))


class Program(nn.Module):
    """An exported program as an ordinary module with freshly drawn weights. Takes its graph over and changes it."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        roles = dict(_roles(graph))
        for name, module in list(graph.named_modules()):
            self._draw(module, f"{name}." if name else "", roles)
        self.graph_module = graph

    def _draw(self, module: nn.Module, prefix: str, roles: dict[str, str]) -> None:
        """Register every tensor of one module anew, and only then fill it: whoever listens may have made it smaller."""
        for key, old in list(module._parameters.items()):
            if old is not None:
                module.register_parameter(key, nn.Parameter(torch.empty_like(old), old.requires_grad))
                _fill(module._parameters[key], roles.get(prefix + key, "other"))
        for key, buffer in list(module._buffers.items()):
            if buffer is not None:
                persistent = key not in module._non_persistent_buffers_set
                module.register_buffer(key, buffer.clone(), persistent=persistent)
                if key in _BUFFERS:
                    module._buffers[key].fill_(_BUFFERS[key])  # type: ignore[union-attr]  # it was registered above

    def train(self, mode: bool = True) -> Program:
        """Set the flags of dropout and batch norms."""
        super().train(mode)
        changed = False
        for node in self.graph_module.graph.nodes:
            position = _FLAGS.get(_packet(node))
            if position is not None and node.args[position] != mode:
                node.args = (*node.args[:position], mode, *node.args[position + 1 :])
                changed = True
        if changed:
            self.graph_module.recompile()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """What the program computes."""
        outputs: Tensor = self.graph_module(images)
        return outputs


def _prepared(graph: fx.GraphModule) -> fx.GraphModule:
    """Without what export put in the way: modes that may not be set, checks of the example's own sizes, counters."""
    for name in ("train", "eval"):
        graph.__dict__.pop(name, None)
    for node in reversed(graph.graph.nodes):
        guard = node.op == "call_module" and str(node.target) == "_guards_fn"
        counter = _packet(node) is _aten.add_ and "num_batches_tracked" in str(node.args[0])
        if (guard or counter) and not node.users:
            graph.graph.erase_node(node)
    graph.recompile()
    graph.delete_all_unused_submodules()
    return graph


def _packet(node: fx.Node) -> Any:
    return getattr(node.target, "overloadpacket", None) if node.op == "call_function" else None


def _roles(graph: fx.GraphModule) -> Iterator[tuple[str, str]]:
    """Name of a parameter and what it is to the operations that read it: weight, bias or scale."""
    for node in graph.graph.nodes:
        packet = _packet(node)
        name = getattr(packet, "__name__", "")
        if packet in _SCALES:
            yield from _named(node, _SCALES[packet], "scale")
            yield from _named(node, _SCALES[packet] + 1, "bias")
        elif name.startswith("conv") or name in _WEIGHTS:
            first = 0 if name in ("matmul", "mm", "embedding") else 1
            yield from _named(node, first, "weight")
            yield from _named(node, first + 1, "weight" if name in ("matmul", "mm", "addmm") else "bias")


def _named(node: fx.Node, position: int, role: str) -> Iterator[tuple[str, str]]:
    found = node.args[position] if position < len(node.args) else None
    if isinstance(found, fx.Node) and found.op == "get_attr":
        yield str(found.target), role


def _fill(tensor: Tensor | None, role: str) -> None:
    """Fresh numbers for one parameter, at the shape that it has now."""
    assert tensor is not None
    if role == "weight" and tensor.ndim >= 2:
        nn.init.kaiming_uniform_(tensor, a=5**0.5)
    elif role in ("scale", "bias", "weight"):
        nn.init.constant_(tensor, 1.0 if role == "scale" else 0.0)
    else:
        nn.init.normal_(tensor, std=_OTHER_STD)
