"""Where metrics go besides the history: a file of JSON lines always, TensorBoard, Weights & Biases and MLflow on request."""

from __future__ import annotations

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


def open_tracker(name: str, folder: Path) -> Logger:
    """The Fabric logger of that name, writing below `folder`; the folder's name is the run's.

    Raises `MissingExtraError` where the tracker's package is not installed, `UnknownNameError` for another name.
    """
    if name not in TRACKERS:
        raise UnknownNameError("tracker", name, TRACKERS)
    try:
        return TRACKERS[name](folder)
    except ImportError:
        raise MissingExtraError(f"train.loggers = [{name!r}]", name) from None


def _tensorboard(folder: Path) -> Logger:
    # Fabric's logger would miss its writer only when the first metric comes.
    import torch.utils.tensorboard  # noqa: F401
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    return TensorBoardLogger(root_dir=folder, name="tensorboard", version="")


def _wandb(folder: Path) -> Logger:
    import wandb  # noqa: F401
    from pytorch_lightning.loggers import WandbLogger

    return WandbLogger(name=folder.name, save_dir=folder, project="regrow")  # type: ignore[no-any-return]


def _mlflow(folder: Path) -> Logger:
    import mlflow  # noqa: F401
    from pytorch_lightning.loggers import MLFlowLogger

    return MLFlowLogger(experiment_name="regrow", run_name=folder.name, save_dir=str(folder / "mlruns"))  # type: ignore[no-any-return]


TRACKERS: Final[Mapping[str, Callable[[Path], Logger]]] = MappingProxyType(
    {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
)


def _line(row: Mapping[str, Any]) -> str:
    return canonical_json(row) + "\n"
