"""Judge one case: prune half of every group, prove it, train the small network for a step, regrow it and train that for a step."""

from __future__ import annotations

import collections
import re
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from benchmarks.exactness.cases import Case, case
from tests.channels.oracle import exactness, leaves, unique_double
from torch import Tensor, nn

import regrow
from regrow.channels.verify import verify

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
    pruned = regrow.prune(dense, one.inputs(0), fraction={"*": FRACTION}, verify=False)
    record["seconds"] = round(time.perf_counter() - began, 3)
    small, architecture = pruned
    record["parameters_left"] = count(small)
    record |= said(pruned) | {"verified": attempt(partial(verified, dense, pruned, one))}
    record["stage"] = "train"
    record["train"] = step_or_why(small, one)
    if record["train"] != "ok":
        record["train_dense"] = step_or_why(dense, one)
    del pruned
    record["stage"] = "exactness"
    found = exactness(dense, small, one.inputs(1), one.inputs(2), copied=False, pick=one.pick)
    record |= {"tier": found.tier, "error": found.error, "errors": dict(found.errors), "why": found.reason}
    shapes = {name: parameter.shape for name, parameter in small.named_parameters()}
    del dense, small
    record["regrow"] = attempt(partial(regrown, one, architecture, shapes))
    del record["stage"]


def said(pruned: Any) -> Record:
    """What the engine reports: why channels stay, notes, MACs."""
    report = attempt(lambda: pruned.report)
    if isinstance(report, str):
        return {"report": report}
    macs = report.macs or (None, None)
    return {"frozen": reasons(report), "notes": list(report.notes), "macs": macs[0], "macs_left": macs[1]}


def verified(dense: nn.Module, pruned: Any, one: Case) -> str:
    """What the engine's own verification says; raises where it refuses."""
    return str(verify(dense, pruned.network, pruned.architecture, pruned.tracing, one.inputs(0)))


def count(network: nn.Module) -> int:
    """Parameters, tied ones once."""
    return sum(parameter.numel() for parameter in network.parameters())


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


def regrown(one: Case, architecture: Any, shapes: dict[str, torch.Size]) -> str:
    """`ok` when the architecture, drawn afresh, has the small network's shapes and trains for a step."""
    fresh = regrow.regrow(architecture, one.build, 0).double()
    found = {name: parameter.shape for name, parameter in fresh.named_parameters()}
    if found != shapes:
        other = [name for name in shapes if found.get(name) != shapes[name]]
        return f"{len(other)} parameters have other shapes, first {other[:1]}"
    return step_or_why(fresh, one)
