"""Every method on every kind of network: does it work, how long does pruning take, what is left?

    python -m benchmarks.methods --out methods.jsonl                      one JSON line a cell, continued where it stopped
    python -m benchmarks.methods --out methods.jsonl --page docs/results/methods.md

Half of the channels (or blocks, or weights) go, on freshly drawn weights; methods that look at examples get random images, and methods
that train take two steps of SGD. So the numbers say that a method can be applied and what that costs, never how good it is. One
thread; seconds are of choosing, carving and, for networks from elsewhere, comparing the small network with the silenced dense one.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from regrow.channels.blocks import residual_blocks
from regrow.channels.carve import carve
from regrow.channels.groups import channel_groups
from regrow.channels.trace import trace
from regrow.channels.verify import verify
from regrow.errors import RegrowError
from regrow.networks.build import build
from regrow.networks.cost import cost_of
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec
from regrow.pruning.decide import Amount, Subject, decide_channels
from regrow.pruning.gradual import Gradual
from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.mask_schedule import Cubic
from regrow.pruning.methods import METHODS, Method, Removed
from regrow.pruning.nominal import nominal_macs
from regrow.pruning.prune import architecture_of
from regrow.pruning.scores import score_weights
from regrow.pruning.sparsifiers import sparsifier
from regrow.pruning.sparsity import apply_masks, maskable
from regrow.training.interventions import Intervention

FRACTION = 0.5
STEPS = 2


@dataclass(frozen=True)
class Network:
    """One column of the table."""

    title: str
    spec: NetworkSpec | None
    make: Callable[[], nn.Module]
    shape: tuple[int, int, int]
    examples: int
    """Random images that a method may look at."""


def _zoo(name: str, title: str) -> Network:
    spec = dense_spec(NetworkSettings(name=name), classes=10, shape=(3, 32, 32))
    return Network(title, spec, lambda: build(spec, 0, "benchmark"), (3, 32, 32), 64)


def _torchvision(name: str, title: str) -> Network:
    def make() -> nn.Module:
        import torchvision

        torch.manual_seed(0)
        network: nn.Module = torchvision.models.get_model(name, weights=None)
        return network

    return Network(title, None, make, (3, 224, 224), 4)


NETWORKS = {
    "vgg16": _zoo("vgg16", "VGG-16"),
    "resnet56": _zoo("resnet56", "ResNet-56"),
    "preresnet164": _zoo("preresnet164", "PreResNet-164"),
    "densenet40": _zoo("densenet40", "DenseNet-40"),
    "resnet50": _torchvision("resnet50", "ResNet-50 (torchvision)"),
    "vit_b_16": _torchvision("vit_b_16", "ViT-B/16 (torchvision)"),
    "mobilenet_v3_large": _torchvision("mobilenet_v3_large", "MobileNetV3-L (torchvision)"),
}


def cell(method: str, removes: Removed, network: Network) -> dict[str, Any]:
    """Prune one network by one method. A reason stands where it cannot be applied."""
    dense = network.make().eval()
    before = cost_of(dense, network.shape)
    try:
        subject = _subject(network, dense)
        hand = _trained(METHODS[method], method, removes, subject, network)
        clock = time.perf_counter()
        macs, params = (_masked if removes == "weights" else _carved)(method, removes, subject, network, hand)
    except RegrowError as error:
        return {"works": False, "reason": str(error)}
    seconds = time.perf_counter() - clock
    return {
        "works": True,
        "prune_seconds": seconds,
        "dense_macs": before.macs,
        "dense_params": before.params,
        "macs": macs,
        "params": params,
    }


def _subject(network: Network, dense: nn.Module) -> Subject:
    example = torch.randn(2, *network.shape, generator=torch.Generator().manual_seed(0))
    if network.spec is not None:
        return Subject(network=dense, groups=channel_groups(dense), example=example)
    tracing = trace(dense, example)
    return Subject(network=dense, groups=tracing.groups, links=tracing.links, example=example, tracing=tracing)


def _batches(network: Network) -> Callable[[], Iterable[tuple[Tensor, Tensor]]]:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        numbers = torch.Generator().manual_seed(1)
        batch = min(8, network.examples)
        for _ in range(network.examples // batch):
            yield (
                torch.randn(batch, *network.shape, generator=numbers),
                torch.randint(0, 10, (batch,), generator=numbers),
            )

    return batches


def _trained(row: Method, method: str, removes: Removed, subject: Subject, network: Network) -> Intervention | None:
    """Two steps of a method's own training."""
    if not row.while_training:
        return None
    hand = _intervention(method, removes, subject)
    hand.attach(subject.network.train())
    parameters = [*subject.network.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)
    for images, labels in list(_batches(network)())[:STEPS]:
        cross_entropy(subject.network(images), labels).backward()
        hand.before_step(1e-3)
        optimizer.step()
        hand.after_step(1e-3)
        optimizer.zero_grad()
        for parameter in hand.owned():
            parameter.grad = None
    hand.after_epoch(1, 1)
    hand.finish()
    subject.network.eval()
    return hand


def _intervention(method: str, removes: Removed, subject: Subject) -> Intervention:
    if method == "gradual":
        return Gradual(Cubic(final=FRACTION, begin=0, every=1, times=1))
    settings: dict[str, Any] = {"widths": [max(1, group.channels // 2) for group in subject.groups]}
    if removes == "blocks":
        settings["of"] = "blocks"
    blocks = residual_blocks(subject.network, subject.example) if removes == "blocks" else ()
    return sparsifier(method, settings, subject.network, subject.groups, blocks)


def _carved(
    method: str, removes: Removed, subject: Subject, network: Network, hand: Intervention | None
) -> tuple[int, int]:
    row = METHODS[method]
    automatic = removes == "blocks" or (row.kind == "sparsifier" and row.scope == "global")
    widths = None if automatic else tuple(_half(group.channels, group.role) for group in subject.groups)
    amount = Amount(
        widths=widths,
        remove=removes,
        of=removes,
        fraction=FRACTION,
        scope="global" if automatic else "group",
        floor=0.1,
    )
    found = decide_channels(
        subject,
        method,
        amount,
        scales=hand.scales() if hand is not None else None,
        batches=_batches(network) if row.needs_data else None,
    )
    architecture = architecture_of(subject, network.spec, found)
    small = carve(subject.network, architecture)
    if subject.tracing is not None and not found.removed:
        verify(subject.network, small, architecture, subject.tracing, subject.example)
    left = cost_of(small, network.shape)
    return left.macs, left.params


def _half(channels: int, role: str) -> int:
    return channels if role == "heads" else max(1, channels // 2)


def _masked(
    method: str, removes: Removed, subject: Subject, network: Network, hand: Intervention | None
) -> tuple[int, int]:
    del removes
    if isinstance(hand, Gradual):
        masks = hand.masks
    else:
        row = METHODS[method]
        names = maskable(subject.network)
        batches = _batches(network) if row.needs_data else None
        scores = score_weights(subject.network, names, method, batches=batches, example=subject.example)
        masks = keep_weights(scores, fraction=FRACTION, scope="layer" if row.scope == "group" else "global")
    apply_masks(subject.network, masks)
    gone = sum(int((~mask).sum()) for mask in masks.values())
    params = sum(parameter.numel() for parameter in subject.network.parameters())
    return nominal_macs(subject.network, masks, network.shape), params - gone


def scored() -> dict[str, Method]:
    """Methods that choose by what a network is; designs do not, and `position` stands for a defect."""
    return {name: row for name, row in METHODS.items() if row.kind != "design" and name != "position"}


def cells() -> Iterator[tuple[str, Removed, str]]:
    """Every method with everything that it can remove, on every network."""
    for method, row in scored().items():
        for removes in row.removes:
            for network in NETWORKS:
                yield method, removes, network


def measure(out: Path) -> None:
    """Fill in what is missing, a line a cell."""
    done = {(row["method"], row["removes"], row["network"]) for row in _rows(out)}
    for method, removes, name in cells():
        if (method, removes, name) in done:
            continue
        row = {"method": method, "removes": removes, "network": name, **cell(method, removes, NETWORKS[name])}
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row)[:200], flush=True)


def _rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def page(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown, and the reasons below it."""
    found = {(row["method"], row["removes"], row["network"]): row for row in rows}
    lines = [
        "# Every method on every kind of network",
        "",
        "Half of the channels, blocks or weights go. A cell gives the seconds that pruning takes, and the share of the dense",
        "network's MACs and of its parameters that is left; for masks the *nominal* shares, since a masked network executes",
        "all of it. A letter stands for the reason where a method cannot be applied. Weights are freshly drawn, images are",
        "random (64 of 32 px, 4 of 224 px), methods that train take at most two steps: this says what can be applied and what",
        "it costs, not how good it is. One thread of a shared machine; seconds are for orders of magnitude.",
        "",
        f"`python -m benchmarks.methods`, torch {torch.__version__}, {platform.machine()}.",
        "",
        "| method | removes | " + " | ".join(network.title for network in NETWORKS.values()) + " |",
        "| --- | --- |" + " --- |" * len(NETWORKS),
    ]
    reasons: dict[str, str] = {}
    for method, row in scored().items():
        for removes in row.removes:
            cells_ = [_cell(found.get((method, removes, name)), reasons) for name in NETWORKS]
            lines.append(f"| `{method}` | {removes} | " + " | ".join(cells_) + " |")
    lines += ["", *(f"- **{letter}**: {reason}" for reason, letter in reasons.items()), ""]
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None, reasons: dict[str, str]) -> str:
    if row is None:
        return "not run"
    if not row["works"]:
        return f"**{reasons.setdefault(row['reason'], chr(ord('a') + len(reasons)))}**"
    macs, params = row["macs"] / row["dense_macs"], row["params"] / row["dense_params"]
    seconds = row["prune_seconds"]
    return f"{seconds:.{0 if seconds >= 10 else 2}f} s, {100 * macs:.0f} %, {100 * params:.0f} %"


def main() -> None:
    """Measure, or write the page of what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.page is None:
        measure(arguments.out)
    else:
        arguments.page.write_text(page(_rows(arguments.out)))


if __name__ == "__main__":
    main()
