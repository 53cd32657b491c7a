"""Checks: an opened data set must be what the table, or the study, said it is."""

from __future__ import annotations

from regrow.data.datasets import DATASETS, Facts
from regrow.data.settings import DataSettings
from regrow.data.source import Labels, Source
from regrow.errors import DataError


def check(source: Source, settings: DataSettings, known: Facts) -> None:
    """Raises `DataError` at the first thing that is not as declared: labels, classes, number of examples, test set."""
    _check_labels(source.train.labels, known, "training")
    _check_classes(source.train.labels, settings, known)
    _check_examples(len(source.train.labels), settings, known)
    _check_test(source, settings, known)


def _check_labels(labels_N: Labels, known: Facts, part: str) -> None:
    if not len(labels_N):
        raise DataError(f"{known.label}: the {part} files hold no examples. See data.root.")
    low, high = int(labels_N.min()), int(labels_N.max())
    if low < 0 or high >= known.classes:
        raise DataError(
            f"{known.label}: with {known.classes} classes, labels run from 0 to {known.classes - 1}; the {part} labels run "
            f"from {low} to {high}. Set data.classes = {high + 1}, or mend the labels."
        )


def _way_out(settings: DataSettings) -> str:
    """What to do where the files of a data set hold other numbers than its row says."""
    layout = DATASETS[settings.name].layout
    return (
        f'Complete the files, or declare what they hold with data.name = "{layout}".'
        if layout
        else "Complete the files."
    )


def _check_classes(labels_N: Labels, settings: DataSettings, known: Facts) -> None:
    missing = sorted(set(range(known.classes)) - set(labels_N.tolist()))
    if missing:
        some = ", ".join(str(label) for label in missing[:5]) + (", ..." if len(missing) > 5 else "")
        declared = "Set data.classes to the number that occurs, numbered from 0, or complete the files."
        way_out = declared if DATASETS[settings.name].is_format else _way_out(settings)
        raise DataError(
            f"{known.label}: of {known.classes} classes, {len(missing)} have no training example: {some}. {way_out}"
        )


def _check_examples(found: int, settings: DataSettings, known: Facts) -> None:
    own = DATASETS[settings.name].examples
    declared = own or settings.examples
    if found != declared:
        way_out = _way_out(settings) if own else f"Set data.examples = {found}, or complete the files."
        raise DataError(
            f"{known.label}: the training files should hold {declared} examples; they hold {found}. {way_out}"
        )


def _check_test(source: Source, settings: DataSettings, known: Facts) -> None:
    if source.test is None:
        if known.test is None:
            raise DataError(
                f"{known.label} has no test set of its own. Hold one out: data.test = 0.2, or a number of examples."
            )
        return
    found, own = len(source.test.labels), DATASETS[settings.name].test_examples
    if settings.test is not None:
        raise DataError(f"{known.label} has its own {found} test examples. Remove data.test.")
    _check_labels(source.test.labels, known, "test")
    if own is not None and found != own:
        raise DataError(
            f"{known.label}: the test files should hold {own} examples; they hold {found}. {_way_out(settings)}"
        )
