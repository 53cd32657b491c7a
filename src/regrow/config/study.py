"""What a study file may say: the settings of the folders, composed. Imports no torch.

    seeds, arms, contrast, margin              the experiment
    [data]  [network]  [prune]                 what is pruned; each one table, or an array of tables ([[data]]) for a family
    [dense]                                    a trained dense network that the person already has
    [train]  [retrain]  [compute]              how it is trained
    [[variant]]  [[between]]                   other recipes; contrasts between comparisons
    analyses, published                        what else is measured; which published table stands beside

A `Study` is frozen and complete: every default is filled in, a number of seeds has become the seeds themselves, and every
rule that spans several tables (`regrow.config.rules`) holds. `regrow.config.load.load_study` reads one from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from regrow.config.families import Between, Variant
from regrow.config.rules import enforce
from regrow.data.settings import DataSettings
from regrow.files import canonical_json, digest
from regrow.networks.settings import DenseSettings, NetworkSettings
from regrow.networks.sources import is_program
from regrow.pruning.guide import read_guide
from regrow.pruning.settings import PruneSettings
from regrow.retraining.settings import RetrainSettings
from regrow.settings import Settings
from regrow.training.settings import ComputeSettings, TrainSettings

FIRST_TUNING_SEED: Final = 10_000
"""Seeds from here on choose learning rates; a report never uses them, so a study's own seeds lie below."""

DEFAULT_ARMS: Final = ("fine-tune", "lr-rewind", "retrain", "scratch-e", "scratch-b")

OPTIONAL: Final = ("variant", "between", "analyses", "published")
"""Left out of a study's settings where empty, so that studies without them keep the identity that they had before."""

TITLES: Final = frozenset({"name", "title", "description"})
"""Fields that name a study and change nothing in it."""

Seed = Annotated[int, Field(ge=0, lt=FIRST_TUNING_SEED)]


def expand_seeds(seeds: Any) -> Any:
    """A number of seeds n as the seeds 0 ... n-1; anything else, a wrong number included, as it is.

    >>> expand_seeds(3), expand_seeds([5, 7])
    ([0, 1, 2], [5, 7])
    """
    if isinstance(seeds, int) and not isinstance(seeds, bool) and 1 <= seeds <= FIRST_TUNING_SEED:
        return list(range(seeds))
    return seeds


def as_list(tables: Any) -> Any:
    """One table as a list that holds it; a list as it is.

    >>> as_list({"name": "vgg11"})
    [{'name': 'vgg11'}]
    """
    return [tables] if isinstance(tables, Mapping | Settings) else tables


class Study(Settings):
    """A whole study. A study must name `data`, `network` and `prune.method`; all else has a default.

    Raises pydantic's ValidationError for a value that its own field refuses, ConfigError (or ProtocolError) with every
    fault for values that do not go together. Files go through `load_study`, which reports both kinds at once.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    """Short name: of the folder that the report goes to. By default the study file's name."""

    title: str = ""
    """One line: what the study asks. Shown by `regrow list studies` and above the report."""

    description: str = ""
    """Anything a reader of the report should know."""

    seeds: Annotated[tuple[Seed, ...], BeforeValidator(expand_seeds)] = (0, 1, 2, 3, 4)
    """How many seeds (8 stands for 0 ... 7), or the seeds themselves. Seed k gives every arm the same dense network and stream."""

    arms: tuple[str, ...] = DEFAULT_ARMS
    """Rows of `regrow list arms`."""

    contrast: tuple[str, str] = ("retrain", "scratch-b")
    """The primary contrast, declared before the study runs: the two arms whose difference gets a verdict, first minus second."""

    margin: Annotated[float, Field(gt=0, lt=100)] = 1.0
    """Percentage points of test accuracy within which two arms count as equivalent."""

    data: Annotated[tuple[DataSettings, ...], BeforeValidator(as_list)]
    """Which examples: one table, or an array of tables."""

    network: Annotated[tuple[NetworkSettings, ...], BeforeValidator(as_list)]
    """Which dense network: one table, or an array of tables."""

    prune: Annotated[tuple[PruneSettings, ...], BeforeValidator(as_list)]
    """What to remove: one table, or an array of tables."""

    dense: DenseSettings = DenseSettings()
    """A trained dense network that stands in for the dense stage."""

    train: TrainSettings = TrainSettings()
    """The dense network's recipe, which every arm inherits."""

    retrain: RetrainSettings = RetrainSettings()
    """Lengths, learning rates and budget convention of the arms."""

    compute: ComputeSettings = ComputeSettings()
    """Device, threads, precision, memory layout."""

    variant: Annotated[tuple[Variant, ...], BeforeValidator(as_list)] = ()
    """Recipes: every comparison is made once for each. Without any, [train] and [retrain] are the one recipe."""

    between: Annotated[tuple[Between, ...], BeforeValidator(as_list)] = ()
    """Contrasts between arms of different comparisons, declared before the study runs; each gets a verdict."""

    analyses: tuple[str, ...] = ()
    """Rows of `regrow list analyses`: what is measured of the trained networks besides their accuracy."""

    published: str = ""
    """A row of `regrow list published`: the table whose numbers stand beside the study's own."""

    _file: str = PrivateAttr(default="")
    _folder: Path | None = PrivateAttr(default=None)
    _trusted: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _rules(self) -> Study:
        enforce(self)
        return self

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds themselves."""
        return self.seeds

    @property
    def datasets(self) -> tuple[DataSettings, ...]:
        """Every data set of the family."""
        return self.data

    @property
    def networks(self) -> tuple[NetworkSettings, ...]:
        """Every dense network of the family."""
        return self.network

    @property
    def prunings(self) -> tuple[PruneSettings, ...]:
        """Every way of pruning in the family."""
        return self.prune

    def varied(self) -> dict[str, Study]:
        """The study once for each of its recipes, by the variant's name; by the empty name where it has no variants.

        Raises pydantic's ValidationError where a variant says what [train] or [retrain] cannot say.
        """
        return {one.name: self._with(one) for one in self.variant} or {"": self}

    def _with(self, variant: Variant) -> Study:
        train = TrainSettings.model_validate_json(canonical_json(self.train.model_dump(mode="json") | variant.train))
        given = self.retrain.model_dump(mode="json") | variant.retrain
        retrain = RetrainSettings.model_validate_json(canonical_json(given))
        return self.model_copy(update={"train": train, "retrain": retrain, "variant": ()})

    @property
    def file(self) -> str:
        """Name (without folder) of the file that the study came from; empty for one that was made in Python."""
        return self._file

    @property
    def folder(self) -> Path:
        """The folder of the study's file; the current one for a study that was made in Python."""
        return self._folder or Path.cwd()

    @property
    def trusted(self) -> bool:
        """Whether code that the study names (a function of the person's own, a saved program) may run."""
        return self._trusted

    def from_file(self, file: str, folder: Path | None = None) -> Study:
        """The same study, remembering its file's name, and its folder where it is given."""
        copy = self.model_copy()
        copy._file, copy._folder = file, folder or self._folder
        return copy

    def trusting(self) -> Study:
        """The same study, its code trusted. No part of the study's identity."""
        copy = self.model_copy()
        copy._trusted = True
        return copy

    def settings(self) -> dict[str, Any]:
        """All settings as JSON-able values, defaults included. Paths are cut down to their last part: folders are no result."""
        settings = self.model_dump(mode="json")
        settings = {key: value for key, value in settings.items() if value or key not in OPTIONAL}
        for key, path in self.paths().items():
            holder, field = _holder(settings, key)
            holder[field] = path.name
        return settings

    def paths(self) -> dict[tuple[str | int, ...], Path]:
        """Every path that the study gives, in full, by the keys that lead to it."""
        found: dict[tuple[str | int, ...], Path | None] = {("dense", "checkpoint"): self.dense.checkpoint}
        found |= {("data", i, "root"): data.root for i, data in enumerate(self.data)}
        found |= {("prune", i, "guide"): prune.guide for i, prune in enumerate(self.prune)}
        found |= {("network", i, "name"): Path(one.name) for i, one in enumerate(self.network) if is_program(one.name)}
        return {key: path for key, path in found.items() if path is not None}

    @property
    def id(self) -> str:
        """12 hexadecimal digits of a hash over all that can change a result: not the titles, not the number of workers.

        A guide counts by its content, wherever its file lies and whatever it is called.
        """
        settings = {key: value for key, value in self.settings().items() if key not in TITLES}
        del settings["compute"]["workers"]
        for key, path in self.paths().items():
            if key[-1] == "guide":
                holder, field = _holder(settings, key)
                holder[field] = read_guide(self.folder / path).digest
        return digest(settings)[:12]


def _holder(settings: Any, key: tuple[str | int, ...]) -> tuple[Any, str | int]:
    for step in key[:-1]:
        settings = settings[step]
    return settings, key[-1]
