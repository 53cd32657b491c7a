"""How much of a MAC cut becomes speed: four networks pruned to half of their MACs, timed before any training.

    python benchmarks/realised_speed.py                       all four, in eager mode and in ONNX Runtime
    python benchmarks/realised_speed.py --network resnet50 --backend eager --channels-last
    python benchmarks/realised_speed.py --batch 8 --threads 4 --json speed.json

Every group of channels loses the same fraction, the one that brings the MACs nearest to half with widths that are multiples of
`--round-to`. Dense and small networks take turns in one process; what counts are the ratios. The sentences below the table are those
of `regrow.latency` itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

import regrow
from regrow.evaluation.answer import Latency, Row
from regrow.pruning.report import cost_with
from regrow.study.machine import commit, machine, versions

NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "resnet50": torchvision.models.resnet50,
    "vgg16_bn": torchvision.models.vgg16_bn,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "vit_b_16": torchvision.models.vit_b_16,
}

GOAL = 0.5
"""Share of the MACs that is left."""

STEPS = 7
"""Halvings of the interval in which the fraction is looked for."""


def fraction_for(network: nn.Module, images: Tensor, round_to: int) -> float:
    """The uniform fraction, in hundredths or finer, that brings the MACs nearest to the goal."""
    dense = macs(network, images)
    low, high = 0.0, 0.8
    found: dict[float, float] = {}
    for _ in range(STEPS):
        middle = round((low + high) / 2, 3)
        small, _ = regrow.prune(network, images, fraction=middle, round_to=round_to, criterion="random", verify=False)
        found[middle] = macs(small, images) / dense
        low, high = (middle, high) if found[middle] > GOAL else (low, middle)
    return min(found, key=lambda fraction: abs(found[fraction] - GOAL))


def macs(network: nn.Module, images: Tensor) -> int:
    """Multiply-accumulates of one forward pass."""
    counted = cost_with(network, images)
    assert counted is not None
    return counted.macs


def measured(name: str, options: argparse.Namespace) -> Latency:
    """The dense network against the one with half of its MACs."""
    torch.manual_seed(0)
    network = NETWORKS[name]()
    images = torch.randn(options.batch, 3, options.size, options.size)
    return regrow.latency(
        network,
        images,
        fractions=(fraction_for(network, images, options.round_to),),
        round_to=options.round_to,
        roundings=(),
        backends=options.backend,
        threads=options.threads,
        channels_last=options.channels_last,
        seconds=options.seconds,
    )


def line(name: str, row: Row) -> str:
    """One line of a Markdown table."""
    low, high = row.speed_up_quartiles
    return (
        f"| {name} | {row.backend} | {row.fraction:.3g} | {row.mac_cut:.2f} | {row.speed_up:.2f} | {low:.2f} to {high:.2f} | "
        f"{row.efficiency:.2f} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", action="append", choices=NETWORKS, help="repeatable; all four unless given")
    parser.add_argument("--backend", action="append", help="eager, onnxruntime or compiled; repeatable")
    parser.add_argument("--round-to", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=224, help="pixels; vit_b_16 takes 224 only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0, help="about how long to measure each network")
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    options = parser.parse_args()
    answers: dict[str, Latency] = {}
    print("| network | backend | removed | MAC cut | speed-up | middle half of rounds | speed-up / MAC cut |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in options.network or NETWORKS:
        answers[name] = measured(name, options)
        for row in answers[name].rows:
            if row.fraction:
                print(line(name, row), flush=True)
    for name, answer in answers.items():
        print(f"\n{name}: {answer}")
    if options.json:
        place: dict[str, Any] = {**machine(), "versions": versions(), "commit": commit()}
        value = {"provenance": place, "networks": {name: answer.to_json() for name, answer in answers.items()}}
        options.json.write_text(json.dumps(value, indent=1))


if __name__ == "__main__":
    main()
