"""The transfer: every trained network of a study becomes a detector, is trained alike, and tested once at the end.

Nothing is chosen: no epoch, no learning rate, no arm. So there is no validation split, and the test images are seen once for each detector,
after its last epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from regrow.config.study import Study
from regrow.detection.batches import training_batches
from regrow.detection.coco import read_coco
from regrow.detection.comparison import arm_means, paired_differences
from regrow.detection.detector import build_detector, trunk_of
from regrow.detection.later import check_pruning, prune_later, refresh_norms
from regrow.detection.loop import train_detector
from regrow.detection.precision import METRICS, measure_detector, require_metrics
from regrow.detection.rows import Row, Rows, row_key
from regrow.detection.scenes import BoxData
from regrow.detection.settings import PRUNE_AFTER, DetectionSettings
from regrow.detection.sources import DENSE, Source, study_sources
from regrow.detection.voc import read_voc
from regrow.errors import ConfigError, DivergenceError, Fault
from regrow.files import canonical_json, pretty_json, write_atomic
from regrow.networks.cost import cost_of
from regrow.study.machine import commit, machine, versions
from regrow.study.results import KEYS
from regrow.study.store import Store
from regrow.training.checkpoint import load_weights, save_weights
from regrow.training.compute import Compute
from regrow.training.machine import apply

FORMAT: Final = 1
FILE: Final = "detection.json"

CODE: Final = 1
"""Version of the code that determines a row. Raise it when a change could change a result's bits."""

LIBRARIES: Final = ("torch", "torchvision", "torchmetrics", "pycocotools")

PAPER: Final = {"fine-tune": "Prune-C", PRUNE_AFTER: "Prune-D", "scratch-e": "Scratch-E", "scratch-b": "Scratch-B"}
"""What Liu et al. 2019, arXiv:1810.05270, call these arms."""

READERS: Final = {"voc": read_voc, "coco": read_coco}

_MEASURED: Final = (
    *METRICS,
    "backbone_macs",
    "backbone_params",
    "levels",
    "train_loss",
    "train_seconds",
    "test_seconds",
    "message",
)
"""What a row holds of a detector that could be trained; None where it could not."""

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One detector to be trained."""

    source: Source
    arm: str
    key: str
    """Name of its row."""

    before: str = ""
    """Name of the dense detector that it is pruned from; empty for all that are not."""

    columns: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where its row stands: comparison, arm and seed."""
        return canonical_json({**self.columns, "arm": self.arm, "seed": self.source.run.seed})

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.source.run.comparison.label}, {self.arm}, seed {self.source.run.seed}"


def run_transfer(
    study: Study,
    out: Path,
    settings: DetectionSettings,
    *,
    arms: Sequence[str] | None = None,
    prune_after: bool = False,
    command: str = "",
    tell: Tell = lambda _: None,
) -> dict[str, Any]:
    """Train and test what is missing, and write `out/<study>/detection/detection.json`; its content.

    Args:
        study: a study that has been run with the same `out`.
        out: folder of everything that runs make.
        settings: data and recipe.
        arms: which of the study's arms, `dense` among them; by default all.
        prune_after: also prune dense detectors after their training, and train them once more.
        command: the command line, for provenance.
        tell: called with a line of progress after each epoch.

    Raises `ConfigError` where the study is not finished or the data are not there, `DataError` where they are not what they should be,
    `PruningError` where a network gives no maps or cannot be pruned after the transfer.
    """
    require_metrics()
    if not settings.root.is_dir():
        hint = "Give the folder of a data set in VOC or COCO format."
        raise ConfigError(faults=[Fault(where="--root", key="", rule=f"there is no folder {settings.root}", hint=hint)])
    sources = study_sources(study, Store(out / "store"), arms)
    later = study_sources(study, Store(out / "store"), [DENSE]).found if prune_after else ()
    for source in later:
        check_pruning(source.pruning)
    data = READERS[settings.format](settings.root)
    jobs = _jobs(sources.found, later, settings, data)
    folder = out / study.name / "detection"
    bench = _Bench(settings, data, Rows(folder / "rows"), {job.before for job in jobs}, tell)
    apply(Compute(device=settings.device, threads=settings.threads))
    rows = [bench.row(job) for job in jobs]
    bench.tidy()
    content = _content(study, settings, data, rows, [*sources.problems, *bench.problems(rows)])
    content["provenance"] = _provenance(settings, command)
    write_atomic(folder / FILE, pretty_json(content))
    return content


def _jobs(sources: Sequence[Source], later: Sequence[Source], settings: DetectionSettings, data: BoxData) -> list[Job]:
    """Every comparison's detectors; the dense network's stands once. Pruned ones come right after what they are pruned from.

    Two comparisons may share a network (the same widths from scratch): it has one key, and is trained once.
    """
    known = {"recipe": settings.recipe, "data": data.fingerprint, "code": CODE}
    known["libraries"] = {name: version(name) for name in LIBRARIES}
    jobs: list[Job] = []

    def key(source: Source, **more: Any) -> str:
        images = source.images
        seen = {"mean": images.mean, "std": images.std, "channels": images.channels}
        return row_key({**known, "backbone": source.run.train.key, "seed": source.run.seed, "images": seen, **more})

    for source in sources:
        job = Job(source=source, arm=source.run.arm, key=key(source), columns=source.columns)
        jobs += [job] if job.place not in {other.place for other in jobs} else []
    for source in later:
        pruning = check_pruning(source.pruning)
        whole = source.run.comparison.columns
        more = key(source, pruning=pruning.key)
        jobs.append(Job(source=source, arm=PRUNE_AFTER, key=more, before=key(source), columns=whole))
    return sorted(jobs, key=lambda job: (job.source.run.seed, job.arm != DENSE, job.arm != PRUNE_AFTER))


class _Bench:
    """What all jobs share."""

    def __init__(self, settings: DetectionSettings, data: BoxData, rows: Rows, needed: set[str], tell: Tell) -> None:
        self.settings, self.data, self.rows, self.tell = settings, data, rows, tell
        self.needed = needed
        """Dense detectors that others are pruned from."""

    def row(self, job: Job) -> Row:
        """The row of a job, trained and tested now unless it was before."""
        found = self.rows.read(job.key)
        if found is None:
            found = self._made(job)
            self.rows.write(job.key, found)
        return {**job.columns, "arm": job.arm, "paper": PAPER.get(job.arm), **found}

    def tidy(self) -> None:
        """Remove the weights that were kept for others."""
        for key in self.needed - {""}:
            self.rows.weights(key).unlink(missing_ok=True)

    def problems(self, rows: Sequence[Row]) -> list[str]:
        """What went wrong, in words."""
        return [f"{row['arm']}, seed {row['seed']}: {row['message']}" for row in rows if row["diverged"]]

    def _made(self, job: Job) -> Row:
        source, run = job.source, job.source.run
        outcome: Row = dict.fromkeys(_MEASURED) | {"diverged": False}
        try:
            outcome |= self._trained(job)
        except DivergenceError as error:
            outcome |= {"diverged": True, "message": str(error)}
        return {
            "seed": run.seed,
            "epochs": self.settings.epochs * (2 if job.before else 1),
            "lr": self.settings.peak_lr,
            "test_accuracy": None if job.before else source.test_accuracy,
            "stage": run.train.key,
            "key": job.key,
            **outcome,
        }

    def _trained(self, job: Job) -> Row:
        """Everything that is measured of one detector."""
        clock = time.perf_counter()
        source, side = job.source, self.settings.image_size
        detector = self._before(job) if job.before else self._fresh(source)
        trunk = trunk_of(detector)
        cost = cost_of(trunk, (source.images.channels, side, side))
        loss = self._train(detector, job, self.settings.epochs if job.before else 0)
        spent = time.perf_counter() - clock
        if job.key in self.needed:
            save_weights(detector, self.rows.weights(job.key))
        return {
            "backbone_macs": cost.macs,
            "backbone_params": trunk.params,
            "levels": [{"module": one.module, "stride": one.stride, "channels": one.channels} for one in trunk.levels],
            "train_loss": loss,
            "train_seconds": spent,
            **measure_detector(detector, self.data.test, source.images.channels),
        }

    def _fresh(self, source: Source) -> nn.Module:
        """A detector that was not trained yet."""
        return build_detector(source.network(), source.images, len(self.data.classes), self.settings, source.run.seed)

    def _before(self, job: Job) -> nn.Module:
        """The dense detector, trained and pruned: from the weights that were kept, or by training it again."""
        detector, weights = self._fresh(job.source), self.rows.weights(job.before)
        if weights.is_file():
            load_weights(detector, weights)
        else:
            self._train(detector, job, 0)
            save_weights(detector, weights)
        seed, channels = job.source.run.seed, job.source.images.channels
        after = prune_later(detector, job.source, len(self.data.classes), self.settings, seed)
        batch, first_epoch = max(2, self.settings.batch), self.settings.epochs
        refresh_norms(after, training_batches(self.data.train, batch, seed, first_epoch, channels, torch.device("cpu")))
        return after

    def _train(self, detector: nn.Module, job: Job, first_epoch: int) -> float:
        def told(epoch: int, loss: float) -> None:
            self.tell(f"{job.label}: epoch {first_epoch + epoch}, loss {loss:.3f}")

        return train_detector(
            detector,
            self.data.train,
            self.settings,
            seed=job.source.run.seed,
            image_channels=job.source.images.channels,
            first_epoch=first_epoch,
            on_epoch=told,
        )


def _content(
    study: Study, settings: DetectionSettings, data: BoxData, rows: Sequence[Row], problems: Sequence[str]
) -> dict[str, Any]:
    ordered = sorted(rows, key=lambda row: ([str(row[key]) for key in KEYS], row["arm"], row["seed"]))
    return {
        "format": FORMAT,
        "regrow": versions()["regrow"],
        "study": {"name": study.name, "title": study.title, "id": study.id},
        "settings": settings.recipe | {"format": settings.format},
        "data": {
            "classes": list(data.classes),
            "train": len(data.train),
            "test": len(data.test),
            "train_objects": _objects(data.train),
            "test_objects": _objects(data.test),
            "fingerprint": data.fingerprint,
            "notes": list(data.notes),
        },
        "rows": ordered,
        "arms": arm_means(ordered),
        "pairs": paired_differences(ordered),
        "problems": sorted(problems),
    }


def _objects(scenes: Sequence[Any]) -> int:
    """Objects that count."""
    return sum(not ignored for scene in scenes for ignored in scene.ignored)


def _provenance(settings: DetectionSettings, command: str) -> dict[str, Any]:
    """Where, when and how; the only part, besides seconds, that may differ between two runs."""
    return {
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "versions": versions() | {name: version(name) for name in LIBRARIES},
        "root": str(settings.root),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
