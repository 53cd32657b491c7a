"""What masks cost: seconds to choose them, and a training step with and without them held.

    python benchmarks/masks.py

ResNet-50 of torchvision with fresh weights, 23.5 million of them maskable, magnitude scores, one thread; the median of five runs. Beside
it torch.nn.utils.prune.global_unstructured, which chooses the same weights and puts the mask on. A step is one of a VGG-11 of a quarter
of the usual width on 128 images of 32x32, SGD with momentum as training builds it.
"""

from __future__ import annotations

import copy
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import prune

from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.gradual import magnitudes
from regrow.pruning.holding import Holding
from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.mask_draws import random_masks, shuffled
from regrow.pruning.mask_files import read_masks, write_masks
from regrow.pruning.nominal import nominal_macs
from regrow.pruning.sparsity import maskable

RUNS = 5


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    choosing()
    print()
    holding()
    print(f"\npeak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def choosing() -> None:
    """Seconds of everything that is done once."""
    network = torchvision.models.resnet50(weights=None)
    names = maskable(network)
    scores = magnitudes(network, names)
    inner = {name: score for name, score in scores.items() if score.shape[1] % 4 == 0}
    masks = keep_weights(scores, fraction=0.8)
    path = Path(tempfile.mkdtemp()) / "masks.safetensors"
    print(f"ResNet-50, {sum(score.numel() for score in scores.values()):,} weights in {len(names)} tensors")
    for what, work in {
        "magnitudes": lambda: magnitudes(network, names),
        "80 %, global": lambda: keep_weights(scores, fraction=0.8),
        "80 %, each layer": lambda: keep_weights(scores, fraction=0.8, scope="layer"),
        "a second round": lambda: keep_weights(scores, fraction=0.9, previous=masks),
        "2:4": lambda: keep_weights(inner, pattern="2:4"),
        "shuffled": lambda: shuffled(masks, 0),
        "random": lambda: random_masks(masks, 0),
        "nominal MACs": lambda: nominal_macs(network, masks, (3, 224, 224)),
        "write": lambda: write_masks(path, masks),
        "read": lambda: read_masks(path),
    }.items():
        print(f"{what:18} {median(work):6.2f} s")
    print(f"{'peer, 80 % global':18} {statistics.median(peer(network) for _ in range(RUNS)):6.2f} s")
    print(f"{'file':18} {path.stat().st_size / 1e6:6.2f} MB")


def peer(network: nn.Module) -> float:
    """Seconds of torch.nn.utils.prune.global_unstructured on a copy of the same network."""
    copied, names = copy.deepcopy(network), maskable(network)
    layers = [(copied.get_submodule(name.rpartition(".")[0]), "weight") for name in names]
    started = time.perf_counter()
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=0.8)
    return time.perf_counter() - started


def holding() -> None:
    """Milliseconds of a training step, turn by turn with and without masks."""
    network = build(dense_spec(NetworkSettings(name="vgg11", width=0.25), classes=10, shape=(3, 32, 32)), 0)
    held = Holding(keep_weights(magnitudes(network, maskable(network)), fraction=0.8))
    held.attach(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    images, labels_B = torch.randn(128, 3, 32, 32), torch.randint(0, 10, (128,))

    def step(masked: bool) -> float:
        started = time.perf_counter()
        cross_entropy(network(images), labels_B).backward()
        if masked:
            held.before_step(0.01)
        optimizer.step()
        if masked:
            held.after_step(0.01)
        optimizer.zero_grad()
        return time.perf_counter() - started

    turns = [(step(False), step(True)) for _ in range(30)][5:]
    free, masked = (1000 * statistics.median(times) for times in zip(*turns, strict=True))
    print(f"training step: {free:.1f} ms, with masks held {masked:.1f} ms")


def median(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
