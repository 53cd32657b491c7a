"""Reconstruction error of the next layer: ThiNet and regression beside L1 and chance, on the same layers and the same data.

    python benchmarks/reconstruction.py                     VGG-11, a quarter as wide, trained here on scikit-learn's digits
    python benchmarks/reconstruction.py --root FOLDER       the same on the CIFAR-10 of that folder (data.name = "cifar10-jpeg")
    python benchmarks/reconstruction.py --peak              memory and seconds for VGG-16 of full width on 512 images of 32x32

For each layer by itself, channels of its input are removed (30, 50 and 70 %), everything before it is whole, and the error of its
output is taken on images that neither the training nor the methods have seen, over all places and outputs:

    error = sum (y - y')^2 / sum (y - mean of y)^2        so 0 is the dense layer and 1 is as bad as a constant

Columns: what each method gives as it is published (thinet and regression with new weights, l1 and random with the weights as they
were; random is the mean of five draws); then the choice alone, without new weights; then l1's and random's channels with the same
least squares as regression, which tells how much of its lead is due to the choice.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from regrow.channels.groups import Group, channel_groups, keep_masks
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.reconstruction import largest, reconstruct
from regrow.pruning.regression import fit_group, group_moments, regression
from regrow.pruning.thinet import thinet

FRACTIONS = (0.3, 0.5, 0.7)
DRAWS = 5
COLUMNS = ("thinet", "regression", "l1", "random", "thinet choice", "regression choice", "l1 fitted", "random fitted")


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="Folder of the CIFAR-10 images; digits without it.")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=1000, help="Examples that the methods look at.")
    parser.add_argument("--peak", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result = peak() if asked.peak else compare(asked.root, asked.epochs, asked.images)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")


def compare(root: Path | None, epochs: int, images: int) -> dict[str, Any]:
    """Train, then one table."""
    (train_images, train_labels), (test_images, test_labels) = cifar(root) if root else digits()
    network = trained(train_images, train_labels, epochs)
    with torch.no_grad():
        accuracy = float((network(test_images).argmax(dim=1) == test_labels).float().mean())
    print(
        f"VGG-11, width 0.25, {'CIFAR-10' if root else 'digits'}: {accuracy:.1%} of {len(test_labels)} held-out images right"
    )
    batches = in_batches(train_images[:images], train_labels[:images])
    rows = []
    for fraction in FRACTIONS:
        layers = [
            one_layer(network, index, fraction, batches, test_images) for index in range(len(channel_groups(network)))
        ]
        rows += layers
        print(f"\n{fraction:.0%} removed" + "".join(f"{name:>19}" for name in COLUMNS))
        for row in layers:
            print(row["reader"].rpartition(".")[2].ljust(11) + "".join(f"{row[name]:>19.4f}" for name in COLUMNS))
        print("mean".ljust(11) + "".join(f"{statistics.mean(row[name] for row in layers):>19.4f}" for name in COLUMNS))
    wins = {
        f"{name} below {other}": f"{sum(row[name] < row[other] for row in rows)} of {len(rows)}"
        for name in ("thinet", "regression")
        for other in ("l1", "random")
    }
    print("\n" + json.dumps(wins, indent=1))
    return {"accuracy": accuracy, "rows": rows, "wins": wins}


def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """1,297 images to train on, 500 to measure on."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1)
    return split((images - images.mean()) / images.std(), torch.tensor(bunch.target), 500)


def cifar(root: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """5,000 images to train on and 1,000 to measure on, both of the training set."""
    from regrow.data.datasets import facts
    from regrow.data.parquet import parquet
    from regrow.data.settings import DataSettings

    settings = DataSettings(name="cifar10-jpeg", root=root)
    part = parquet(settings, facts(settings)).train
    images = (
        torch.cat([torch.from_numpy(chunk) for chunk in itertools.islice(part.chunks(), 6)]).permute(0, 3, 1, 2).float()
    )
    labels = torch.from_numpy(part.labels[: len(images)])
    return split((images - images.mean()) / images.std(), labels, 1000)


def split(images: Tensor, labels: Tensor, held_out: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(images, labels) twice, after a shuffle that is always the same."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = images[order], labels[order]
    return (images[held_out:], labels[held_out:]), (images[:held_out], labels[:held_out])


def in_batches(images: Tensor, labels: Tensor) -> Callable[[], list[tuple[Tensor, Tensor]]]:
    """Batches of 100, the same ones every time."""
    return lambda: list(zip(images.split(100), labels.split(100), strict=True))


def trained(images: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    """VGG-11, a quarter as wide, trained by SGD with momentum."""
    shape = (images.shape[1], images.shape[2], images.shape[3])
    network = build(dense_spec(NetworkSettings(name="vgg11", width=0.25), classes=10, shape=shape), 0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(100):
            optimizer.zero_grad()
            cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
        rates.step()
    return network.eval()


def one_layer(network: nn.Module, index: int, fraction: float, batches: Any, images: Tensor) -> dict[str, Any]:
    """One row: the channels of one group are removed, all others stay."""
    groups = channel_groups(network)
    group, widths = groups[index], [one.channels for one in groups]
    widths[index] = max(1, round(group.channels * (1 - fraction)))
    reader = next(part.tensor for part in group.slices if part.axis == 1).removesuffix(".weight")

    def error(kept: Sequence[int], weights: dict[str, Tensor]) -> float:
        return output_error(network, group, reader, kept, weights, images)

    row: dict[str, Any] = {
        "group": group.name,
        "reader": reader,
        "fraction": fraction,
        "channels": group.channels,
        "kept": widths[index],
    }
    for method in (thinet, regression):
        found = method(network, groups, widths, batches, torch.Generator().manual_seed(0))
        row[method.__name__] = error(found.kept[group.name], found.weights)
        row[f"{method.__name__} choice"] = error(found.kept[group.name], {})
    chosen = {
        "l1": [largest(group, widths[index], network.state_dict())],
        "random": draws(group.channels, widths[index]),
    }
    for name, choices in chosen.items():
        row[name] = statistics.mean(error(kept, {}) for kept in choices)
        row[f"{name} fitted"] = statistics.mean(
            error(kept, fitted(network, groups, widths, batches, kept)) for kept in choices
        )
    return row


def draws(channels: int, width: int) -> list[tuple[int, ...]]:
    """Channels drawn by chance, five times."""
    generator = torch.Generator().manual_seed(1)
    return [tuple(sorted(torch.randperm(channels, generator=generator)[:width].tolist())) for _ in range(DRAWS)]


def fitted(network: nn.Module, groups: Any, widths: Any, batches: Any, kept: Sequence[int]) -> dict[str, Tensor]:
    """New weights by least squares for channels that somebody else chose."""

    def rebuild(work: Any, group: Group, width: int, readers: Any) -> Any:  # noqa: ARG001
        return fit_group(work, group, kept, readers, group_moments(work, readers))

    return reconstruct("fit", rebuild, network, groups, widths, batches, torch.Generator().manual_seed(0)).weights


def output_error(
    network: nn.Module, group: Group, reader: str, kept: Sequence[int], weights: dict[str, Tensor], images: Tensor
) -> float:
    """Of the reader's output, against the dense network's; nothing of the methods' own arithmetic is used here."""
    changed = copy.deepcopy(network)
    changed.load_state_dict(weights, strict=False)
    name = f"{reader}.weight"
    gone = (~keep_masks([group], {group.name: kept}, network.state_dict())[name][1]).nonzero().flatten()
    changed.get_parameter(name).detach().index_fill_(1, gone, 0)
    wanted, found = output_of(network, reader, images), output_of(changed, reader, images)
    mean = wanted.mean(dim=[axis for axis in range(wanted.ndim) if axis != 1], keepdim=True)
    return float((wanted - found).square().sum() / (wanted - mean).square().sum())


def output_of(network: nn.Module, layer: str, images: Tensor) -> Tensor:
    """What a layer computes."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: object, output: Tensor) -> None:  # noqa: ARG001
        seen.append(output.clone())

    handle = network.get_submodule(layer).register_forward_hook(keep)
    with torch.no_grad():
        network(images)
    handle.remove()
    return seen[0]


def peak() -> dict[str, Any]:
    """Peak memory of this process and seconds, both methods, half of every group; weights are random."""
    network = build(dense_spec(NetworkSettings(name="vgg16"), classes=10, shape=(3, 32, 32)), 0)
    images, labels = torch.randn(512, 3, 32, 32), torch.zeros(512, dtype=torch.int64)
    groups = channel_groups(network)
    result: dict[str, Any] = {}
    for method in (thinet, regression):
        with torch.no_grad():
            network.eval()(images[:100])
        before, started = peak_mib(), time.perf_counter()
        widths = [group.channels // 2 for group in groups]
        method(network, groups, widths, in_batches(images, labels), torch.Generator().manual_seed(0))
        result[method.__name__] = {
            "seconds": time.perf_counter() - started,
            "peak_mib_before": before,
            "peak_mib": peak_mib(),
        }
        print(method.__name__, json.dumps(result[method.__name__]))
    return result


def peak_mib() -> int:
    """The most memory that this process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
