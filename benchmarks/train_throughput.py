"""Images per second of regrow's training loop against the usual one, and what the loop adds to a bare training step.

    python benchmarks/train_throughput.py --data FOLDER      FOLDER holds cifar10-jpeg: train.parquet and test.parquet

The usual loop: images decoded once and held in memory, torchvision's crop, flip, to-tensor and normalise in DataLoader workers,
fp32, NCHW, PyTorch's default SGD, one `loss.item()` a step. Ours: `regrow.training.loop.train` in the arithmetic that its own
timed trial chooses. Both train the same network on the same images in batches of the same size, and both get the same cores,
workers included. They take turns, so what else the machine does meets both; a turn is one epoch over `--examples` images, and
the first turn of each is not counted. Ratios of one run are what counts: images per second depend on the machine and its load.

The overhead is measured on one thread, within one training of many epochs: after every epoch of the loop comes one of forward,
backward and step over batches that lie ready, in the same arithmetic and with the same fused optimiser, and the two are compared.
The price of a checkpoint, written every 30 s at most, is measured apart and added.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from regrow.data.examples import Examples, open_training
from regrow.data.prepare import prepare
from regrow.data.settings import DataSettings
from regrow.data.stream import Stream
from regrow.networks.build import build
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import NETWORKS
from regrow.training.checkpoint import Checkpoints, Progress
from regrow.training.compute import Compute
from regrow.training.learner import Learner, open_fabric
from regrow.training.loop import CHECKPOINT_SECONDS, train
from regrow.training.machine import apply
from regrow.training.recipe import Recipe
from regrow.training.trial import choose

Turn = Callable[[], object]
"""Trains for one turn."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network on one data set, and the machine's share that it gets."""

    spec: NetworkSpec
    folder: Path
    augment: str
    batch: int
    examples: int
    epochs: int
    threads: int
    workers: int
    device: str
    compute: Compute | None = None

    @property
    def recipe(self) -> Recipe:
        """One turn at a rate that keeps every loss finite."""
        return Recipe(
            epochs=self.epochs,
            schedule="constant",
            peak_lr=1e-3,
            final_lr=1e-3,
            schedule_epochs=self.epochs,
            batch=self.batch,
        )

    @property
    def images(self) -> int:
        """Images of one turn."""
        return self.examples * self.epochs

    def read(self, device: str) -> Examples:
        """The first training examples."""
        found, _ = open_training(self.folder, device)
        assert isinstance(found, Examples)
        return Examples(found.images[: self.examples], found.labels[: self.examples], found.mean, found.std)


def our_turn(case: Case, on_epoch: Callable[[dict[str, Any]], None] = lambda _: None) -> Turn:
    """The loop of this package, all of it: stream, metrics, progress, checkpoints when they are due."""
    assert case.compute is not None
    compute = case.compute
    apply(compute)
    stream = Stream(case.read(compute.device), case.batch, 0, case.augment, compute.channels_last)  # type: ignore[arg-type]
    network = build(case.spec, 0, "benchmark")

    def turn() -> None:
        with tempfile.TemporaryDirectory() as folder:
            train(
                network,
                stream=stream,
                first_epoch=0,
                validation=None,
                recipe=case.recipe,
                compute=compute,
                folder=Path(folder),
                on_epoch=on_epoch,
                on_tick=lambda *_: None,
            )

    return turn


class Pictures(Dataset[tuple[Tensor, int]]):
    """Decoded images with transforms, as torchvision's CIFAR10 has them."""

    def __init__(self, examples: Examples) -> None:
        self._pixels = examples.images.permute(0, 2, 3, 1).contiguous().numpy()
        self._labels = examples.labels.tolist()
        self._transform = v2.Compose(
            [
                v2.RandomCrop(32, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(examples.mean, examples.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


def usual_turn(case: Case) -> Turn:
    """A DataLoader with torchvision transforms, fp32, NCHW."""
    torch.set_num_threads(case.threads)
    loader = DataLoader(
        Pictures(case.read("cpu")),
        batch_size=case.batch,
        shuffle=True,
        num_workers=case.workers,
        persistent_workers=case.workers > 0,
        pin_memory=case.device == "cuda",
    )
    network = build(case.spec, 0, "benchmark").to(case.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def turn() -> float:
        total = 0.0
        network.train()
        for images, labels in loader:
            optimizer.zero_grad()
            outputs = network(images.to(case.device, non_blocking=True))
            loss = cross_entropy(outputs, labels.to(case.device, non_blocking=True))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
        return total

    return turn


def bare_turn(case: Case) -> Turn:
    """Forward, backward and step on batches that lie ready: what no loop can avoid."""
    assert case.compute is not None
    compute = case.compute
    apply(compute)
    stream = Stream(case.read(compute.device), case.batch, 0, case.augment, compute.channels_last)  # type: ignore[arg-type]
    batches = list(stream.epoch(0))
    layout = torch.channels_last if compute.channels_last else torch.contiguous_format
    network: nn.Module = build(case.spec, 0, "benchmark").to(compute.device, memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True)

    def turn() -> None:
        network.train()
        for images, labels in batches:
            optimizer.zero_grad()
            with torch.autocast(compute.device, torch.bfloat16, enabled=compute.precision == "bf16"):
                outputs = network(images)
            cross_entropy(outputs.float(), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return turn


SIDES = {"ours": our_turn, "usual": usual_turn}


def side(name: str, case: Case, cores: list[int], pipe: Connection) -> None:
    """A process that takes a turn whenever it is told to, and answers with the seconds it took."""
    os.sched_setaffinity(0, cores)
    turn = SIDES[name](case)
    while pipe.recv():
        pipe.send(timed(turn, case))


def timed(turn: Turn, case: Case) -> float:
    """Seconds of one turn."""
    started = time.perf_counter()
    turn()
    if case.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def in_turns(names: list[str], case: Case, cores: list[int], rounds: int) -> dict[str, list[float]]:
    """Seconds of every counted turn of each side, each in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for name in names:
        pipes[name], theirs = spawn.Pipe()
        processes.append(spawn.Process(target=side, args=(name, case, cores, theirs)))
        processes[-1].start()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            seconds[name].append(pipe.recv())
            if number == 0:
                seconds[name].clear()
    for pipe in pipes.values():
        pipe.send(False)
    for process in processes:
        process.join()
    return seconds


def checkpoint_share(case: Case, compute: Compute) -> float:
    """Seconds of one checkpoint as a share of the least time between two."""
    learner = Learner(build(case.spec, 0, "benchmark"), case.recipe, compute, open_fabric(compute))
    images = torch.zeros(16, *case.spec.shape, device=compute.device)
    learner.learn([(images, torch.zeros(16, dtype=torch.int64, device=compute.device))], [1e-3])
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), "benchmark", every_seconds=0.0)
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            checkpoints.save_if_due(learner.network, learner.optimizer, Progress(history=[{}] * 100))
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) / CHECKPOINT_SECONDS


def instruction_set() -> str:
    """What PyTorch uses of this processor, and whether it has tiles for bf16."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split("flags", 1)[-1].split("\n", 1)[0].split() if info.exists() else []
    found = [name for name in ("avx512_bf16", "amx_tile", "amx_bf16") if name in flags]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *found])


def throughput(case: Case, cores: list[int], rounds: int) -> dict[str, Any]:
    """Images per second of both loops."""
    assert case.compute is not None
    seconds = in_turns(["usual", "ours"], case, cores, rounds)
    usual, ours = (case.images / statistics.median(seconds[name]) for name in ("usual", "ours"))
    pairs = [u / o for u, o in zip(seconds["usual"], seconds["ours"], strict=True)]
    return {
        "network": case.spec.name,
        "compute": case.compute.to_json(),
        "usual_images_per_second": usual,
        "ours_images_per_second": ours,
        "ratio": ours / usual,
        "ratio_of_every_round": pairs,
    }


def overhead(case: Case) -> dict[str, Any]:
    """What the loop adds to a bare step, as a share of it: the median over pairs of epochs."""
    assert case.compute is not None
    bare_epoch = bare_turn(case)
    timed(bare_epoch, case)
    bare: list[float] = []
    marks = [time.perf_counter()]

    def after_epoch(_: dict[str, Any]) -> None:
        marks.append(time.perf_counter())
        bare.append(timed(bare_epoch, case))
        marks.append(time.perf_counter())

    our_turn(case, after_epoch)()
    ours = [end - begin for begin, end in zip(marks[::2], marks[1::2], strict=False)]
    loop = statistics.median(o / b - 1 for o, b in zip(ours[1:], bare[1:], strict=True))
    checkpoints = checkpoint_share(case, case.compute)
    return {
        "network": f"{case.spec.name} at width {case.spec.width:g}",
        "compute": case.compute.to_json(),
        "bare_step_seconds": statistics.median(bare) / -(-case.examples // case.batch),
        "loop": loop,
        "checkpoints": checkpoints,
        "overhead": loop + checkpoints,
    }


def network_spec(name: str, width: float, shape: tuple[int, int, int]) -> NetworkSpec:
    """The dense network of a row."""
    widths = tuple(group.channels for group in NETWORKS[name].groups(width))
    return NetworkSpec(name=name, width=width, widths=widths, classes=10, shape=shape)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Throughput of the training loop.")
    parser.add_argument("--data", type=Path, required=True, help="folder of cifar10-jpeg: train.parquet, test.parquet")
    parser.add_argument("--networks", nargs="*", default=["resnet20", "vgg16"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--examples", type=int, default=1280, help="images of one turn")
    parser.add_argument("--rounds", type=int, default=5, help="counted turns of each side")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="cores that each side may use")
    parser.add_argument("--threads", type=int, help="threads of PyTorch, both sides; by default one a core")
    parser.add_argument(
        "--workers", type=int, default=2, help="DataLoader workers of the usual loop, on the same cores"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--part", choices=["all", "throughput", "overhead"], default="all")
    return parser.parse_args()


def cases_of(given: argparse.Namespace, folder: Path) -> Iterator[Case]:
    """The networks on cifar10-jpeg, their arithmetic left to the trial."""
    settings = DataSettings(name="cifar10-jpeg", root=given.data)
    prepare(settings, folder)
    for name in given.networks:
        yield Case(
            spec=network_spec(name, 1.0, (3, 32, 32)),
            folder=folder,
            augment="crop-flip",
            batch=given.batch,
            examples=given.examples,
            epochs=1,
            threads=given.threads or given.cores,
            workers=given.workers,
            device=given.device,
        )


def digits_case(folder: Path, device: str) -> Case:
    """The smallest step that anybody would train: a VGG-11 of an eighth of the usual width on images of 8 x 8 pixels."""
    prepare(DataSettings(name="digits"), folder)
    return Case(
        spec=network_spec("vgg11", 0.125, (1, 8, 8)),
        folder=folder,
        augment="crop",
        batch=64,
        examples=1024,
        epochs=100,
        threads=1,
        workers=0,
        device=device,
    )


def resolved(case: Case) -> Case:
    """With the arithmetic that the trial of a study with default settings chooses."""
    wish = {
        "device": case.device,
        "threads": case.threads,
        "precision": "auto",
        "channels_last": "auto",
        "compile": False,
    }
    return replace(case, compute=choose(case.spec, case.recipe, wish=wish, total_steps=1).compute)


def main() -> None:
    """Measure and print JSON."""
    given = arguments()
    cores = sorted(os.sched_getaffinity(0))[: given.cores]
    os.sched_setaffinity(0, cores)
    found: dict[str, Any] = {"instruction_set": instruction_set(), "cores": len(cores), "torch": torch.__version__}
    with tempfile.TemporaryDirectory() as cifar, tempfile.TemporaryDirectory() as digits:
        cases = list(cases_of(given, Path(cifar)))
        if given.part != "overhead":
            found["throughput"] = [throughput(resolved(case), cores, given.rounds) for case in cases]
        if given.part != "throughput":
            few = [replace(case, threads=1, examples=4 * given.batch, epochs=2 * given.rounds) for case in cases]
            single = [digits_case(Path(digits), given.device), *few]
            found["overhead"] = [overhead(resolved(case)) for case in single]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
