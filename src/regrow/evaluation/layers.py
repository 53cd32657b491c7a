"""Layers: where the time of a network goes, operation by operation, and by the module that asked for it.

A network runs as it always does, under a mode that times every primitive operation; the innermost module that is being called at
that moment is the operation's layer, so what a block does between its layers (a residual sum) is the block's own. Networks to be
compared take turns, as in `stopwatch.py`.

The multi-head attention of PyTorch may run as one operation; here it is taken apart, so that its linear layers and its products
are seen. Times of single operations are a little too long (each is timed by itself); only shares and ratios of them are used.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from regrow.evaluation.kinds import LayerTime
from regrow.evaluation.runtimes import Arguments
from regrow.evaluation.stopwatch import clock_of, quartiles

SECONDS: Final = 3.0
"""About how long the runs of all networks may take together."""

FEWEST_ROUNDS: Final = 5
MOST_ROUNDS: Final = 20
"""Runs of each network that count, after one that does not."""

_Mark = Callable[[], Any]
_Key = tuple[str, str]


def time_layers(
    networks: Sequence[nn.Module], inputs: Arguments, *, seconds: float = SECONDS
) -> list[tuple[LayerTime, ...]]:
    """Where the time of each network goes, in the order in which its layers are first used; last what is nobody's.

    The networks are in eval mode and on the device of their inputs. What a plain run takes beyond all operations together is
    Python's and PyTorch's own time for starting them.
    """
    runs: list[list[_Round]] = [[] for _ in networks]
    started = time.perf_counter()
    with torch.no_grad(), _taken_apart():
        for number in range(1 + MOST_ROUNDS):
            for network, found in zip(networks, runs, strict=True):
                found.append(_Round(_plain(network, inputs), _by_layer(_run(network, inputs))))
            if number >= FEWEST_ROUNDS and time.perf_counter() - started > seconds:
                break
    return [_typical(found[1:]) for found in runs]


def _plain(network: nn.Module, inputs: Arguments) -> float:
    """Seconds of one run without a look at its operations."""
    positional, keywords = inputs
    return clock_of(_device(network))(lambda: network(*positional, **keywords), 1)


def _device(network: nn.Module) -> str:
    return next((tensor.device.type for tensor in [*network.parameters(), *network.buffers()]), "cpu")


@dataclass(slots=True)
class _Operation:
    layer: str
    kind: str
    macs: int
    widths: tuple[int, ...]
    start: Any
    end: Any

    @property
    def seconds(self) -> float:
        if isinstance(self.start, float):
            return float(self.end - self.start)
        return float(self.start.elapsed_time(self.end)) / 1000


def _run(network: nn.Module, inputs: Arguments) -> list[_Operation]:
    positional, keywords = inputs
    on_gpu = _device(network) == "cuda"
    timer = _Timer(network, _event if on_gpu else time.perf_counter)
    with _followed(timer), timer:
        network(*positional, **keywords)
    if on_gpu:
        torch.cuda.synchronize()
    return timer.operations


def _event() -> Any:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _by_layer(operations: Sequence[_Operation]) -> dict[_Key, list[_Operation]]:
    grouped: dict[_Key, list[_Operation]] = defaultdict(list)
    for operation in operations:
        grouped[operation.layer, operation.kind].append(operation)
    return grouped


@dataclass(frozen=True, slots=True)
class _Round:
    """A plain run, in seconds, and the operations of another one, by layer and kind."""

    whole: float
    parts: dict[_Key, list[_Operation]]

    def seconds(self, key: _Key) -> float:
        return _sum(self.parts.get(key, ()))

    @property
    def all_parts(self) -> float:
        return sum(map(_sum, self.parts.values()))


def _typical(rounds: Sequence[_Round]) -> tuple[LayerTime, ...]:
    """One entry a layer and kind of the first run (the others ran the same operations), and one for what lies between them.

    The first quartile over the rounds is taken: a single operation is so short that other programs can only lengthen it.
    """
    found = [
        LayerTime(
            layer=layer,
            kind=kind,
            seconds=quartiles([run.seconds((layer, kind)) for run in rounds])[0],
            macs=sum(one.macs for one in operations),
            widths=max((one.widths for one in operations), key=len),
        )
        for (layer, kind), operations in rounds[0].parts.items()
    ]
    whole, parts = quartiles([run.whole for run in rounds])[0], quartiles([run.all_parts for run in rounds])[0]
    return (*found, LayerTime(layer="", kind="overhead", seconds=max(0.0, whole - parts)))


def _sum(operations: Sequence[_Operation]) -> float:
    return sum(one.seconds for one in operations)


class _Timer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's base is not annotated
    """Times every primitive operation; is told by hooks which module is being called."""

    def __init__(self, network: nn.Module, mark: _Mark) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[_Operation] = []
        self.calling: list[str] = [""]
        self._names = {id(module): name for name, module in network.named_modules()}
        self._mark = mark

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True, torch's default, would import its compiler at the first operation.
        return False

    def enter(self, module: nn.Module, _: Any) -> None:
        """Before a module's forward."""
        self.calling.append(self._names.get(id(module), self.calling[-1]))

    def leave(self, *_: Any) -> None:
        """After a module's forward, also when it failed."""
        self.calling.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        start = self._mark()
        result = func(*args, **keywords)
        end = self._mark()
        macs, widths = _macs(func, args, keywords, result), _widths(func, args)
        self.operations.append(_Operation(self.calling[-1], kind_of(func, args), macs, widths, start, end))
        return result


@contextlib.contextmanager
def _followed(timer: _Timer) -> Iterator[None]:
    # Hooks on all modules at once: a hook on a module itself would make some of PyTorch's modules take a slower path.
    before = register_module_forward_pre_hook(timer.enter)
    after = register_module_forward_hook(timer.leave, always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()


@contextlib.contextmanager
def _taken_apart() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _macs(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Half of what PyTorch's own counter says, 0 for what it does not count."""
    count = flop_registry.get(func.overloadpacket)
    return 0 if count is None else int(count(*args, **kwargs, out_val=result)) // 2


_aten: Final = torch.ops.aten
_WEIGHT: Final = {_aten.addmm: 2, _aten.mm: 1, _aten.convolution: 1}
"""Operation to the place of the weight among its arguments."""


def _widths(func: Any, args: tuple[Any, ...]) -> tuple[int, ...]:
    """Channels read and written by the weight of a convolution or a linear layer."""
    place = _WEIGHT.get(func.overloadpacket)
    if place is None:
        return ()
    shape = args[place].shape
    if func.overloadpacket is not _aten.convolution:
        return int(shape[0]), int(shape[1])
    groups, transposed = int(args[8]), bool(args[6])
    read, written = (shape[0], shape[1] * groups) if transposed else (shape[1] * groups, shape[0])
    return int(read), int(written)


def kind_of(func: Any, args: tuple[Any, ...]) -> str:
    """The kind of work of a primitive operation with these arguments: a row of `KINDS`."""
    packet = func.overloadpacket
    if packet is _aten.convolution:
        return _kind_of_convolution(args[0], args[1], int(args[8]))
    if func.is_view or packet in _FREE:
        return "overhead"
    name = packet.__name__
    for kind, parts in _NAMES:
        if any(part in name for part in parts):
            return kind
    return "elementwise" if torch.Tag.pointwise in func.tags else "other"


def _kind_of_convolution(images: Tensor, weight: Tensor, groups: int) -> str:
    if groups > 1:
        return "depthwise" if groups == images.shape[1] else "grouped"
    return "pointwise" if all(size == 1 for size in weight.shape[2:]) else "convolution"


_FREE: Final = {_aten.empty, _aten.empty_like, _aten.new_empty, _aten.empty_strided, _aten._unsafe_view, _aten.detach}
"""Operations that touch no number."""

_NAMES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("attention", ("attention", "bmm")),
    ("softmax", ("softmax",)),
    ("recurrent", ("lstm", "gru", "rnn")),
    ("linear", ("addmm", "mm", "mv", "linear")),
    ("norm", ("norm",)),
    ("pool", ("pool", "mean")),
    (
        "copy",
        ("cat", "stack", "clone", "copy", "index", "gather", "roll", "pad", "shuffle", "upsample", "embedding", "flip"),
    ),
)
"""Parts of names of primitive operations, most telling first."""
