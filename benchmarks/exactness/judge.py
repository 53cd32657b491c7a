"""Judge one case: prune half of every group, prove it, train the small network for a step, regrow it and train that for a step."""

from __future__ import annotations

import collections
import re
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.exactness.cases import Case, case
from tests.channels.oracle import call, exactness, leaves, unique_double
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import regrow

Record = dict[str, Any]

FRACTION = 0.5


def judge(group: str, name: str) -> Record:
    """What came out, as plain JSON types. Exceptions are results: tier FAIL, with where and why."""
    record: Record = {"set": group, "model": name, "tier": "FAIL"}
    began = time.perf_counter()
    try:
        _judge(case(group, name), record)
    except Exception as error:
        record["why"] = explain(error)
    record["seconds_in_all"] = round(time.perf_counter() - began, 2)
    return record


def _judge(one: Case, record: Record) -> None:
    torch.manual_seed(0)
    record["stage"] = "build"
    dense = unique_double(one.build(), one.inputs(9))
    record["parameters"] = count(dense)
    record["stage"] = "prune"
    began = time.perf_counter()
    small, architecture = regrow.prune(dense, one.inputs(0), fraction={"*": FRACTION}, verify=False)
    record["seconds"] = round(time.perf_counter() - began, 3)
    record |= verified(dense, one)
    record["stage"] = "cost"
    record["parameters_left"] = count(small)
    record["macs"], record["macs_left"] = macs(dense, one.inputs(0)), macs(small, one.inputs(0))
    record["stage"] = "train"
    dense_step = step_or_why(dense, one)
    record["train"] = compare_steps(dense_step, step_or_why(small, one))
    shapes = {name: parameter.shape for name, parameter in small.named_parameters()}
    record["stage"] = "exactness"
    found = exactness(dense, small, one.inputs(1), one.inputs(2), copied=False, pick=one.pick)
    record |= {"tier": found.tier, "error": found.error, "errors": dict(found.errors), "why": found.reason}
    del dense, small
    record["regrow"] = attempt(lambda: regrown(one, architecture, shapes, dense_step))
    del record["stage"]


def verified(dense: nn.Module, one: Case) -> Record:
    """What the engine's own verification says, and what it reports; an exception is a result."""
    pruned = attempt(lambda: regrow.prune(dense, one.inputs(0), fraction={"*": FRACTION}))
    if isinstance(pruned, str):
        return {"verified": pruned}
    report = pruned.report
    return {"verified": report.verification, "frozen": reasons(report), "notes": list(report.notes)}


def count(network: nn.Module) -> int:
    """Parameters, tied ones once."""
    return sum(parameter.numel() for parameter in network.parameters())


class FlopCounter(TorchDispatchMode):
    """Sums what torch's own formulas give for every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def macs(network: nn.Module, inputs: Any) -> int:
    """Multiply-accumulates of matrix products, convolutions and attention for these inputs; 0 where they cannot be counted."""
    counter = FlopCounter()
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it hides its operations
    try:
        with counter:
            call(network, inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.flops // 2


def attempt(action: Callable[[], Any]) -> Any:
    """What it gives, or why it gave nothing, as text."""
    try:
        return action()
    except Exception as error:
        return explain(error)


def explain(error: Exception) -> str:
    """Type, message and the innermost place."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:400]} ({place.filename.rpartition('/')[2]}:{place.lineno})"


def reasons(report: Any) -> list[str]:
    """Why channels stay, the largest first."""
    channels: collections.Counter[str] = collections.Counter()
    for one in report.untouched:
        channels[re.sub(r"\s+", " ", one.reason)] += one.channels
    return [f"{number} x {reason}" for reason, number in channels.most_common(8)]


def step_or_why(network: nn.Module, one: Case) -> str:
    """`ok` when a forward and backward in train mode runs and gives finite gradients; else what happened. Buffers are put back."""
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    given = (one.train_inputs or one.inputs)(3)
    network.train()
    try:
        outputs = _run(network, given)
        loss = sum((leaf.abs().mean() for leaf in leaves(outputs) if leaf.requires_grad), torch.zeros(()))
        loss.backward()
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        return "ok" if gradients and all(gradient.isfinite().all() for gradient in gradients) else "no finite gradients"
    except Exception as error:
        return explain(error)
    finally:
        network.zero_grad(set_to_none=True)
        network.eval()
        _put_back(network, buffers)


def _run(network: nn.Module, given: Any) -> Any:
    torch.manual_seed(0)
    if isinstance(given, dict):
        return network(**given)
    return network(*given) if isinstance(given, tuple) else network(given)


def _put_back(network: nn.Module, buffers: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name in buffers and buffers[name].shape == buffer.shape:
                buffer.copy_(buffers[name])


def compare_steps(dense: str, small: str) -> str:
    """A small network need not train where the dense one does not."""
    return small if small == "ok" or dense == "ok" else f"the dense network does not either: {dense}"


def regrown(one: Case, architecture: Any, shapes: dict[str, torch.Size], dense_step: str) -> str:
    """`ok` when the architecture, drawn afresh, has the small network's shapes, runs, and trains for a step."""
    fresh = regrow.regrow(architecture, one.build, 0).double().eval()
    found = {name: parameter.shape for name, parameter in fresh.named_parameters()}
    if found != shapes:
        other = [name for name in shapes if found.get(name) != shapes[name]]
        return f"{len(other)} parameters have other shapes, first {other[:1]}"
    if not all(
        leaf.isfinite().all() for leaf in leaves(one.pick(call(fresh, one.inputs(1)))) if leaf.is_floating_point()
    ):
        return "its outputs are not finite"
    return compare_steps(dense_step, step_or_why(fresh, one))
