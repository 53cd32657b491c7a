"""How long scoring and selection take, and how much memory: torchvision's ResNet-50, one thread.

    python benchmarks/scoring.py                          all criteria, a table; --json FILE writes the numbers too
    python benchmarks/scoring.py --criteria l1 taylor --batches 4 16

Half of the channels of every traced group go. What is timed is the way from a network and its groups to the indices that stay: scores of
all groups, and the choice by rank. Tracing comes before the clock starts. Criteria that look at no example have a target of 2 seconds.

Criteria that look at examples are run with several numbers of batches, each in a process of its own, whose peak of resident memory
above that of the network, torch and one forward pass is shown: it must not grow with the number of batches. Examples are noise, made anew
for each batch, so that no list of them is held.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = 2.0
"""Seconds, for criteria that look at no example."""

RUNS = 3


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50", help="A network of torchvision.")
    parser.add_argument("--criteria", nargs="*", default=[])
    parser.add_argument("--batches", nargs="*", type=int, default=[4, 16])
    parser.add_argument("--size", type=int, default=4, help="Examples of a batch.")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked, asked.one[0], int(asked.one[1]))))
        return
    rows = [row for name in asked.criteria or names() for row in measured(asked, name)]
    show(rows)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def names() -> list[str]:
    """Every criterion, those that look at no example first."""
    from regrow.pruning.methods import METHODS

    return sorted((name for name, row in METHODS.items() if row.kind == "criterion"), key=needs_examples)


def needs_examples(name: str) -> bool:
    """Whether a criterion looks at examples."""
    from regrow.pruning.methods import METHODS

    return METHODS[name].needs_data


def measured(asked: argparse.Namespace, name: str) -> Iterator[dict[str, Any]]:
    """One row for each number of batches, each from a process of its own, on one thread."""
    for batches in asked.batches if needs_examples(name) else [0]:
        options = ["--model", asked.model, "--size", str(asked.size), "--side", str(asked.side)]
        done = subprocess.run(
            [sys.executable, __file__, *options, "--one", name, str(batches)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        row = json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr.strip().splitlines()[-1]}
        yield {"criterion": name, "batches": batches, "examples": batches * asked.size, **row}
        print(".", end="", file=sys.stderr, flush=True)


def measure(asked: argparse.Namespace, name: str, batches: int) -> dict[str, Any]:
    """Seconds, and megabytes at the peak above what stood before."""
    import torch
    import torchvision

    from regrow.channels.trace import trace
    from regrow.pruning.scores import score_groups
    from regrow.pruning.selection import keep_highest

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = torchvision.models.get_model(asked.model, weights=None).eval()
    example = torch.zeros(1, 3, asked.side, asked.side)
    groups = trace(network, example).groups
    numbers = torch.Generator()

    def read() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        numbers.manual_seed(0)
        for _ in range(batches):
            images = torch.randn(asked.size, 3, asked.side, asked.side, generator=numbers)
            yield images, torch.randint(0, 1000, (asked.size,), generator=numbers)

    with torch.no_grad():
        network(torch.zeros(asked.size, 3, asked.side, asked.side))
    before, seconds = peak(), []
    for _ in range(1 if batches else RUNS):
        start = time.perf_counter()
        scores = score_groups(network, groups, name, batches=read if batches else None, example=example)
        kept = [keep_highest(scores[group.name], group.channels // 2) for group in groups]
        seconds.append(time.perf_counter() - start)
    return {
        "seconds": statistics.median(seconds),
        "extra_megabytes": peak() - before,
        "weights_megabytes": sum(one.numel() * one.element_size() for one in network.parameters()) / 1e6,
        "kept": int(sum(int(one.sum()) for one in kept)),
        "load": os.getloadavg()[0],
    }


def peak() -> float:
    """Megabytes that the process has held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def show(rows: list[dict[str, Any]]) -> None:
    """A table for people."""
    print(f"\n{'criterion':<16}{'batches':>8}{'examples':>9}{'seconds':>9}{'extra MB':>10}")
    for row in rows:
        if "failed" in row:
            print(f"{row['criterion']:<16}{row['batches']:>8}  {row['failed']}")
            continue
        late = " over 2 s" if not row["batches"] and row["seconds"] > TARGET else ""
        counts = f"{row['batches']:>8}{row['examples']:>9}" if row["batches"] else f"{'-':>8}{'-':>9}"
        print(f"{row['criterion']:<16}{counts}{row['seconds']:>9.2f}{row['extra_megabytes']:>10.0f}{late}")


if __name__ == "__main__":
    main()
