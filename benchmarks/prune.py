"""Seconds to prune other people's networks: regrow beside Torch-Pruning, in the same process, turn by turn.

    python benchmarks/prune.py                           all models, a table; --json FILE writes the numbers too
    python benchmarks/prune.py --models resnet50 vit_b_16
    python benchmarks/prune.py --llama                   a Llama of 7 billion parameters, in shape only

Both remove half of every group's channels by the L1 norm, on one thread, from the same weights; the medians of three runs count, and
the two take turns, so what else the machine does meets both. What is timed of each is the way from a network to a smaller one:

    regrow            trace and groups, scores and choice of channels, carve
    Torch-Pruning     BasePruner(network, images, importance=L1, pruning_ratio=0.5, ignored_layers=[classifier]).step()

The whole call regrow.prune(network, images, verify=False) is timed too: it also takes the fingerprint of the dense weights (a SHA-256,
about 1 GB/s), to which Torch-Pruning has no counterpart.

Torch-Pruning changes the network that it is given; it gets a copy, which is made before the clock starts, while regrow makes its own
inside. A model counts where both give a network that runs and is smaller. Torch-Pruning's run ends after --limit seconds.

Verification is timed by itself and shown as a multiple of what it has to do at least: a forward pass of the dense network and one of
the small one.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODELS = [
    *(
        "resnet18",
        "resnet50",
        "resnet101",
        "wide_resnet50_2",
        "resnext50_32x4d",
        "densenet121",
        "densenet201",
        "vgg16_bn",
    ),
    *(
        "squeezenet1_0",
        "googlenet",
        "mnasnet1_0",
        "mobilenet_v2",
        "mobilenet_v3_large",
        "efficientnet_b0",
        "efficientnet_b7",
    ),
    *("convnext_tiny", "convnext_base", "regnet_y_16gf", "vit_b_16"),
    *(
        "timm:resnet50",
        "timm:mobilenetv3_large_100",
        "timm:efficientnet_b0",
        "timm:vit_small_patch16_224",
        "timm:convnext_tiny",
    ),
]
RUNS = 3


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--limit", type=int, default=120, help="Seconds for one run of Torch-Pruning.")
    parser.add_argument("--llama", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        measure(asked.one, asked.limit)
    elif asked.llama:
        print(json.dumps(llama(), indent=1))
    else:
        compare(asked.models, asked.limit, asked.json)


def compare(models: list[str], limit: int, file: Path | None) -> None:
    """Measure every model in a process of its own, and print the table."""
    print(HEADER, flush=True)
    rows = []
    for name in models:
        row = in_own_process(name, limit)
        rows.append(row)
        print(line(row), flush=True)
    summary = summarised(rows)
    print(json.dumps(summary, indent=1))
    if file:
        file.write_text(json.dumps({"models": rows, "summary": summary, "provenance": provenance()}, indent=1) + "\n")


def in_own_process(name: str, limit: int) -> dict[str, Any]:
    """The last state that the process reported: one that was ended in Torch-Pruning's run still says what regrow took."""
    command = [sys.executable, __file__, "--one", name, "--limit", str(limit)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        text, _ = process.communicate(timeout=RUNS * (limit + 60))
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
    states = [json.loads(part) for part in text.splitlines() if part.startswith("{")]
    return states[-1] if states else {"model": name, "error": f"ended with code {process.returncode}"}


def measure(name: str, limit: int) -> None:
    """Print what was found about one model as a line of JSON, after every step."""
    import torch

    warnings.simplefilter("ignore")  # of Torch-Pruning about parameters that no layer wraps
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build(name).eval()
    images = torch.randn(1, 3, 224, 224)
    row: dict[str, Any] = {"model": name, "parameters": count(network)}
    ours, theirs, phases = [], [], []
    warm_up(images)
    for _ in range(RUNS):
        seconds, each, left = run_regrow(network, images)
        ours.append(seconds)
        phases.append(each)
        row["whole_call_seconds"] = statistics.median(ours)
        row["phases"] = {key: statistics.median(run[key] for run in phases) for key in each}
        row["regrow_seconds"] = statistics.median(sum(run.values()) - run["fingerprint_seconds"] for run in phases)
        row["regrow_parameters"] = left
        print(json.dumps(row), flush=True)
        if "torch_pruning_error" not in row:
            theirs.append(guarded(row, network, images, limit))
    if "torch_pruning_error" not in row:
        row["torch_pruning_seconds"] = statistics.median(theirs)
        row["ratio"] = row["torch_pruning_seconds"] / row["regrow_seconds"]
        row["whole_call_ratio"] = row["torch_pruning_seconds"] / row["whole_call_seconds"]
    row.update(verification(network, images))
    print(json.dumps(row), flush=True)


def build(name: str) -> Any:
    """The network with random weights."""
    source, _, rest = name.rpartition(":")
    if source == "timm":
        import timm

        return timm.create_model(rest)
    import torchvision

    plain = {"init_weights": False, "aux_logits": False} if rest == "googlenet" else {}
    return torchvision.models.get_model(rest, weights=None, **plain)


def warm_up(images: Any) -> None:
    """Import and initialise what either side needs, outside the clock."""
    from torch import nn

    tiny = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(1), nn.LazyLinear(2)
    )
    tiny.eval()(images)
    run_regrow(tiny, images)
    run_torch_pruning(tiny, images)


def run_regrow(network: Any, images: Any) -> tuple[float, dict[str, float], int]:
    """Seconds of the whole call, seconds of its parts (each by itself, in a second pass), parameters left."""
    from regrow.channels.carve import carve
    from regrow.channels.fingerprint import fingerprint
    from regrow.channels.trace import trace
    from regrow.pruning.anything import prune_network
    from regrow.pruning.choice import choose
    from regrow.pruning.shares import Wish

    with clock() as whole:
        small, _ = prune_network(network, images, verify=False)
    left = count(small)
    with clock() as tracing:
        traced = trace(network, images)
    with clock() as choosing:
        choice = choose(network, traced, Wish())
    with clock() as hashing:
        fingerprint(network)
    with clock() as carving:
        carve(network, choice.architecture, other_weights=True)
    phases = {
        "trace_and_groups_seconds": tracing(),
        "scores_and_choice_seconds": choosing() - hashing(),
        "fingerprint_seconds": hashing(),
        "carve_seconds": carving(),
    }
    return whole(), phases, left


def guarded(row: dict[str, Any], network: Any, images: Any, limit: int) -> float:
    """Seconds of Torch-Pruning; what goes wrong is written into the row."""
    try:
        with at_most(limit):
            seconds, left = run_torch_pruning(network, images)
    except BaseException as error:
        row["torch_pruning_error"] = f"{type(error).__name__}: {error}"[:200]
        return float("nan")
    row["torch_pruning_parameters"] = left
    if left >= row["parameters"]:
        row["torch_pruning_error"] = "removed nothing"
    return seconds


def run_torch_pruning(network: Any, images: Any) -> tuple[float, int]:
    """Seconds of building its pruner and of its step, and parameters left; raises where the result does not run."""
    import torch
    import torch_pruning

    pruned = copy.deepcopy(network)
    last = [module for module in pruned.modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)][-1]
    importance = torch_pruning.importance.MagnitudeImportance(p=1)
    with clock() as whole:
        pruner = torch_pruning.pruner.BasePruner(
            pruned,
            images,
            importance=importance,
            pruning_ratio=0.5,
            ignored_layers=[last],
            in_channel_groups={},
            out_channel_groups={},
            num_heads={},
        )
        pruner.step()
    if hasattr(pruned, "conv_proj"):  # torchvision's ViT, as in Torch-Pruning's own example
        pruned.hidden_dim = pruned.conv_proj.out_channels
    with torch.no_grad():
        pruned(images)
    return whole(), count(pruned)


def verification(network: Any, images: Any) -> dict[str, float]:
    """Seconds of verifying, and of the two forward passes that it cannot do without."""
    import torch

    from regrow.channels.verify import verify
    from regrow.pruning.anything import prune_network

    pruned = prune_network(network, images, verify=False)
    forwards, verifies = [], []
    for _ in range(RUNS):
        with torch.no_grad(), clock() as both:
            network(images)
            pruned.network(images)
        with clock() as checking:
            verify(network, pruned.network, pruned.architecture, pruned.tracing, images)
        forwards.append(both())
        verifies.append(checking())
    forward, check = statistics.median(forwards), statistics.median(verifies)
    return {"verify_seconds": check, "two_forwards_seconds": forward, "verify_in_forwards": check / forward}


def llama() -> dict[str, Any]:
    """A Llama of 7 billion parameters without numbers: its groups and the shapes of its small copy."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    import regrow

    torch.set_num_threads(1)
    with torch.device("meta"):
        network = LlamaForCausalLM(LlamaConfig()).eval()
    tokens = torch.ones(1, 8, dtype=torch.int64, device="meta")
    with clock() as whole:
        pruned = regrow.prune(network, {"input_ids": tokens})
    return {
        "model": "Llama, 32 layers, 4096 wide, on the meta device",
        "parameters": count(network),
        "regrow_parameters": count(pruned.network),
        "groups": len(pruned.architecture.kept),
        "regrow_seconds": whole(),
        "verification": str(pruned.verification),
    }


@contextmanager
def clock() -> Iterator[Callable[[], float]]:
    """A function that gives the seconds that the block took, once it has ended."""
    start = time.perf_counter()
    end: list[float] = []
    yield lambda: end[0] - start
    end.append(time.perf_counter())


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """End the block with a TimeoutError after so many seconds."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"more than {seconds} s")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def count(network: Any) -> int:
    """Parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


HEADER = (
    f"{'model':<28}{'regrow':>9}{'T-P':>9}{'ratio':>8}{'whole':>9}   {'trace':>7}{'choose':>8}{'hash':>7}{'carve':>7}"
    f"   {'verify':>7}{'x fwd':>7}   parameters left: regrow, T-P"
)


def line(row: dict[str, Any]) -> str:
    """One row of the table; seconds."""
    if "regrow_seconds" not in row:
        return f"{row['model']:<28}{row.get('error', 'no result')}"
    phases = row["phases"]
    theirs = row.get("torch_pruning_seconds", float("nan"))
    left = row["regrow_parameters"] / row["parameters"]
    other = row.get("torch_pruning_parameters", float("nan")) / row["parameters"]
    return (
        f"{row['model']:<28}{row['regrow_seconds']:>9.3f}{theirs:>9.3f}{row.get('ratio', float('nan')):>8.1f}"
        f"{row['whole_call_seconds']:>9.3f}   "
        f"{phases['trace_and_groups_seconds']:>7.3f}{phases['scores_and_choice_seconds']:>8.3f}{phases['fingerprint_seconds']:>7.3f}"
        f"{phases['carve_seconds']:>7.3f}   {row.get('verify_seconds', float('nan')):>7.3f}"
        f"{row.get('verify_in_forwards', float('nan')):>7.1f}   {left:.0%}, {other:.0%}  {row.get('torch_pruning_error', '')}"
    )


def summarised(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The ratios over the models that both handle."""
    ratios = {row["model"]: row["ratio"] for row in rows if "ratio" in row}
    if not ratios:
        return {"models_both_handle": 0}
    slowest = min(ratios, key=ratios.__getitem__)
    return {
        "models_both_handle": len(ratios),
        "median_ratio": statistics.median(ratios.values()),
        "median_whole_call_ratio": statistics.median(row["whole_call_ratio"] for row in rows if "ratio" in row),
        "lowest_ratio": ratios[slowest],
        "lowest_ratio_model": slowest,
    }


def provenance() -> dict[str, str]:
    """What the numbers depend on."""
    import platform
    from importlib.metadata import version

    packages = ("torch", "torchvision", "timm", "torch-pruning")
    return {
        "python": platform.python_version(),
        "machine": platform.processor(),
        **{name: version(name) for name in packages},
    }


if __name__ == "__main__":
    main()
