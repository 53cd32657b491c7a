"""Latency: will the small network be faster on this machine? Asked before any training, of networks that are pruned at random.

    asked = regrow.latency(network, torch.randn(1, 3, 224, 224))
    print(asked)

The dense network and the small ones take turns (`stopwatch.py`) in one process, on as many threads as were asked for.

    MAC cut     MACs of the dense network / MACs of the small one
    speed-up    time of the dense network / time of the small one, same backend: the median over the rounds
    efficiency  speed-up / MAC cut: the part of the promise that came true

Where it is low, the work and the layers that keep it back are named (`blame.py`). Memory is counted, not sampled from the process
(`footprint.py`); on a GPU, what PyTorch's allocator held beyond the weights is measured beside it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from regrow.errors import ConfigError, Fault, MissingExtraError
from regrow.evaluation.answer import WORTH_ROUNDING, Latency, Row, rounding_gain
from regrow.evaluation.blame import Blame, blame
from regrow.evaluation.footprint import Footprint, footprint
from regrow.evaluation.layers import time_layers
from regrow.evaluation.runtimes import Arguments, eager
from regrow.evaluation.setup import BACKENDS, FRACTIONS, ROUNDINGS, SECONDS, Setup, usual_backends
from regrow.evaluation.stopwatch import Call, Times, in_turns
from regrow.evaluation.variants import DENSE, Inputs, Variant, pruned_variants
from regrow.table import load


def latency(
    network: nn.Module,
    example_inputs: Inputs,
    *,
    fractions: Sequence[float] = FRACTIONS,
    round_to: int = 1,
    roundings: Sequence[int] = ROUNDINGS,
    small: Mapping[str, nn.Module] | None = None,
    backends: Sequence[str] = (),
    threads: int = 1,
    device: str = "cpu",
    channels_last: bool = False,
    seconds: float = SECONDS,
    ignore: str | Sequence[str] = (),
    outputs: Callable[[Any], Any] | None = None,
    allow_inexact: Sequence[str] = (),
    seed: int = 0,
) -> Latency:
    """Latency and memory of `network` and of what would be left of it, on this machine, before any training.

    Args:
        network: the dense network, trained or not; it is left as it is.
        example_inputs: a tensor, a tuple of positional arguments or a dictionary of keyword arguments; their batch size is the
            one that is measured.
        fractions: shares of channels to remove; the dense network is always measured.
        round_to: round the widths to multiples of this.
        roundings: other multiples to compare with, at the fraction nearest to 1/2; empty for none.
        small: networks that are small already, by name, to be measured instead of the fractions.
        backends: `eager`, `compiled`, `onnxruntime`; none for those that are installed, without `compiled`.
        threads: CPU threads; one is the steadiest, and what a server has that runs one network on every core.
        device: `cpu` or `cuda`.
        channels_last: images and convolution weights lie in memory as NHWC; ONNX Runtime has its own layout.
        seconds: about how long the counted runs take together; warm-up, export and compilation come on top.
        ignore, outputs, allow_inexact: as in `regrow.prune`.
        seed: of the random choice of channels.

    Raises `ConfigError` for what cannot be measured here, and what pruning raises.
    """
    setup = Setup(
        backends=tuple(backends) or usual_backends(),
        threads=threads,
        device=device,
        channels_last=channels_last,
        seconds=seconds,
    )
    _check(setup)
    if small is not None:
        ready = [Variant(name=name, network=one) for name, one in small.items()]
        return measure([Variant(name=DENSE, network=network, fraction=0.0), *ready], example_inputs, setup)
    options = {"ignore": ignore, "outputs": outputs, "allow_inexact": allow_inexact, "seed": seed}
    variants = pruned_variants(
        network, example_inputs, fractions=fractions, round_to=round_to, roundings=roundings, options=options
    )
    return measure(variants, example_inputs, setup)


def _check(setup: Setup) -> None:
    for name in setup.backends:
        if not BACKENDS[name].installed:
            raise MissingExtraError(f"the backend {name}", BACKENDS[name].extra)
    faults = []
    if setup.device not in ("cpu", "cuda"):
        rule = f"where networks run is cpu or cuda; found {setup.device!r}"
        faults.append(Fault(where="latency", key="device", rule=rule))
    elif setup.device == "cuda" and not torch.cuda.is_available():
        rule = "found cuda, but PyTorch sees no CUDA device"
        faults.append(Fault(where="latency", key="device", rule=rule, hint="Write cpu."))
    if setup.threads < 1:
        faults.append(Fault(where="latency", key="threads", rule=f"must be at least 1; found {setup.threads}"))
    if faults:
        raise ConfigError(faults=faults)


def measure(variants: Sequence[Variant], example_inputs: Inputs, setup: Setup) -> Latency:
    """Measure the variants, of which the first is the dense network, in turns on every backend of `setup`."""
    inputs = _placed(_arguments(example_inputs), setup)
    networks = [_ready(variant.network, setup) for variant in variants]
    footprints = [footprint(network, inputs) for network in networks]
    with _threads(setup.threads):
        calls, notes = _calls(networks, inputs, setup)
        timed = dict(
            zip(calls, in_turns(list(calls.values()), seconds=setup.seconds, device=setup.device), strict=True)
        )
        peaks = [_device_peak(network, inputs, setup) for network in networks]
        batch = _batch(inputs)
        rows = tuple(_row(variants[index], backend, footprints, peaks, index, timed, batch) for index, backend in timed)
        found = _blames(variants, networks, inputs, rows)
    return Latency(setup=setup, batch=batch, rows=rows, blames=found, notes=tuple(notes))


_Key = tuple[int, str]
"""Which network, and which backend."""


def _calls(networks: Sequence[nn.Module], inputs: Arguments, setup: Setup) -> tuple[dict[_Key, Call], list[str]]:
    """Everything that is ready to run; a backend that cannot run one of the networks is left out with a note."""
    calls: dict[_Key, Call] = {}
    notes: list[str] = []
    for name in setup.backends:
        make = load(BACKENDS[name].target)
        try:
            calls |= {(index, name): make(network, inputs, setup.threads) for index, network in enumerate(networks)}
        except Exception as error:  # compilers and exporters raise errors of every kind
            if name == "eager":
                raise
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)
            notes.append(f"{name} cannot run this network here and was left out: {first}")
    if not calls:
        raise ConfigError("no backend can run this network here:\n" + "\n".join(notes))
    return calls, notes


def _row(
    variant: Variant,
    backend: str,
    footprints: Sequence[Footprint],
    peaks: Sequence[int | None],
    index: int,
    timed: Mapping[_Key, Times],
    batch: int,
) -> Row:
    return Row(
        name=variant.name,
        fraction=variant.fraction,
        round_to=variant.round_to,
        compared=variant.compared,
        backend=backend,
        footprint=footprints[index],
        dense_footprint=footprints[0],
        device_bytes=peaks[index],
        batch=batch,
        times=timed[index, backend],
        dense_times=timed[0, backend],
    )


def _blames(
    variants: Sequence[Variant], networks: Sequence[nn.Module], inputs: Arguments, rows: Sequence[Row]
) -> dict[str, tuple[Blame, ...]]:
    """By name of the variant: who is to blame where eager mode keeps less than it should of what the MACs promise."""
    slow = {row.name: row for row in rows if row.backend == "eager" and row.is_slow and not row.compared}
    chosen = [index for index, variant in enumerate(variants) if variant.name in slow]
    if not chosen:
        return {}
    tried = rounding_gain([row for row in rows if row.backend == "eager"])
    dense, *smalls = time_layers([networks[index] for index in (0, *chosen)], inputs)
    found = {}
    for index, layers in zip(chosen, smalls, strict=True):
        row = slow[variants[index].name]
        found[row.name] = blame(dense, layers, row.mac_cut, widths_matter=tried is None or tried[2] >= WORTH_ROUNDING)
    return found


def _arguments(example_inputs: Inputs) -> Arguments:
    if isinstance(example_inputs, dict):
        return (), dict(example_inputs)
    return (example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)), {}


def _batch(inputs: Arguments) -> int:
    """Examples in the inputs: the length of the first axis of the first tensor that has one."""
    tensors = [leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, Tensor) and leaf.ndim]
    return len(tensors[0]) if tensors else 1


def _placed(inputs: Arguments, setup: Setup) -> Arguments:
    def place(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        moved = leaf.detach().to(setup.device)
        last = setup.channels_last and moved.ndim == 4
        return moved.contiguous(memory_format=torch.channels_last) if last else moved.contiguous()

    placed: Arguments = pytree.tree_map(place, inputs)
    return placed


def _ready(network: nn.Module, setup: Setup) -> nn.Module:
    """A copy in eval mode, where and how it will run."""
    moved = copy.deepcopy(network).eval().to(setup.device)
    if setup.channels_last:
        moved = moved.to(memory_format=torch.channels_last)
    return moved


def _device_peak(network: nn.Module, inputs: Arguments, setup: Setup) -> int | None:
    """Bytes that PyTorch's allocator held at most during a forward pass beyond what it held before; None on a CPU."""
    if setup.device != "cuda":
        return None
    call = eager(network, inputs, setup.threads)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
