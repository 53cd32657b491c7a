"""Packaged studies: study files that come with regrow and are known by name. Imports no torch.

A file that re-asks a question of the paper begins with the line `# experiment: Table 1 (CIFAR-10)`. What the studies cost stands in
`studies/costs.json`, which `python -m benchmarks.study_costs` writes: trainings and training FLOPs (6 for each MAC and example) of
the whole study as planned, before learning-rate grids grow, and CPU seconds of one run of its quick profile.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from regrow.errors import UnknownNameError

COSTS: Final = "costs.json"

_MARK: Final = "# experiment: "
_UNITS: Final = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Packaged:
    """One packaged study."""

    title: str
    """What it asks."""

    file: str
    """Its file's name."""

    experiment: str = ""
    """Which item of the paper it re-asks; empty where it re-asks none."""

    trainings: int | None = None
    """Of the whole study; None where nobody has counted them."""

    training_flops: float | None = None
    """Of all these trainings together."""

    quick_seconds: float | None = None
    """CPU seconds of its quick profile, all processes together; on n free cores about an nth of it passes. Four cores of a server."""

    @property
    def summary(self) -> str:
        """Its title and what it costs."""
        trainings = "training" if self.trainings == 1 else "trainings"
        cost = f"{self.trainings:,} {trainings}, {_flops(self.training_flops or 0)}" if self.trainings else ""
        quick = f"quick {self.quick_seconds:.0f} CPU s" if self.quick_seconds else ""
        said = "; ".join(filter(None, (self.experiment, cost, quick)))
        return f"{self.title} ({said})" if said else self.title


def _flops(flops: float) -> str:
    """Two digits and a unit.

    >>> _flops(3.14e18), _flops(2.5e14)
    ('3.1 EFLOP', '250 TFLOP')
    """
    size, unit = next(((size, unit) for size, unit in _UNITS if flops >= size), _UNITS[-1])
    return f"{float(f'{flops / size:.2g}'):,g} {unit}"


class PackagedStudies(Mapping[str, Packaged]):
    """Name to packaged study; each is read from the package when first asked for, and an unknown name raises `UnknownNameError`."""

    def __getitem__(self, name: str) -> Packaged:
        if name not in _files():
            raise UnknownNameError("packaged study", name, _files())
        return _read(name)

    def __contains__(self, name: object) -> bool:
        return name in _files()

    def __iter__(self) -> Iterator[str]:
        return iter(_files())

    def __len__(self) -> int:
        return len(_files())


@cache
def _files() -> dict[str, str]:
    """File by name, in the order of names."""
    files = (file.name for file in _folder().iterdir() if file.name.endswith(".toml"))
    return dict(sorted((file.removesuffix(".toml"), file) for file in files))


@cache
def _costs() -> dict[str, dict[str, Any]]:
    return dict(json.loads(text(COSTS)))


@cache
def _read(name: str) -> Packaged:
    file = _files()[name]
    content = text(file)
    first = content.partition("\n")[0]
    experiment = first.removeprefix(_MARK) if first.startswith(_MARK) else ""
    title = tomllib.loads(content)["title"]
    return Packaged(title=title, file=file, experiment=experiment, **_costs().get(name, {}))


def text(file: str) -> str:
    """The content of one packaged file."""
    return _folder().joinpath(file).read_text(encoding="utf-8")


def companion(name: str) -> str:
    """The path of a file that a packaged study names: of that name in the current folder, or else the one in the package.

    So that a result of one's own (a guide) takes the place of the one that comes with regrow.
    """
    inside = _folder().joinpath(name)
    return name if Path(name).exists() or not inside.is_file() else str(inside)


def _folder() -> Traversable:
    return resources.files("regrow").joinpath("studies")


STUDIES: Final = PackagedStudies()
