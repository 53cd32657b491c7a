"""Where metrics go besides the history: a file of JSON lines always, TensorBoard, Weights & Biases and MLflow on request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lightning_fabric.loggers.logger import Logger

from regrow.errors import MissingExtraError, UnknownNameError
from regrow.files import canonical_json

METRICS_FILE: Final = "metrics.jsonl"


class MetricsFile:
    """One JSON object a line, one line an epoch. Begins with the rows that a resumed training already has."""

    def __init__(self, path: Path, history: Iterable[Mapping[str, Any]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Begun anew: the interrupted process may have told more epochs than its checkpoint kept, or half a line.
        self._file = path.open("w", encoding="utf-8")
        for row in history:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one epoch; readers see it at once."""
        self._file.write(_line(row))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_tracker(tracker: str, folder: Path, label: str) -> Logger:
    """The Fabric logger of that name for one training, called `label`; what is kept locally goes below `folder`.

    W&B and MLflow obey their own environment variables, such as WANDB_MODE and MLFLOW_TRACKING_URI. Raises `MissingExtraError`
    where the tracker's package is not installed, `UnknownNameError` for another name.
    """
    if tracker not in TRACKERS:
        raise UnknownNameError("tracker", tracker, TRACKERS)
    try:
        return TRACKERS[tracker](folder, label)
    except ImportError:
        raise MissingExtraError(f"train.loggers = [{tracker!r}]", tracker) from None


def _tensorboard(folder: Path, label: str) -> Logger:
    del label  # a run is its folder
    # Fabric's logger would miss its writer only when the first metric comes.
    import torch.utils.tensorboard  # noqa: F401
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    return TensorBoardLogger(root_dir=folder, name="tensorboard", version="")


def _wandb(folder: Path, label: str) -> Logger:
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    class OneRun(WandbLogger):  # type: ignore[misc]
        """Ends its run: one process does many trainings, and an open run would swallow the next one's metrics."""

        def finalize(self, status: str) -> None:
            super().finalize(status)
            wandb.finish(exit_code=0 if status == "success" else 1)

    folder.mkdir(parents=True, exist_ok=True)
    return OneRun(name=label, save_dir=folder, project="regrow")


def _mlflow(folder: Path, label: str) -> Logger:
    import mlflow  # noqa: F401
    from pytorch_lightning.loggers import MLFlowLogger

    # Without a tracking server, MLflow 3 writes to a folder only if it is told that this is meant.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return MLFlowLogger(experiment_name="regrow", run_name=label, save_dir=str(folder / "mlruns"))  # type: ignore[no-any-return]


TRACKERS: Final[Mapping[str, Callable[[Path, str], Logger]]] = MappingProxyType(
    {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
)


def _line(row: Mapping[str, Any]) -> str:
    return canonical_json(row) + "\n"
