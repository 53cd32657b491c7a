"""Scenes: images with boxes, whatever format they were read from, and the rules that hold for all of them. Imports no torch.

Boxes are (left, top, right, bottom) in pixels, from the outer edge of the first pixel to the outer edge of the last, so a box around
the whole of a 64 x 48 image is (0, 0, 64, 48). Classes are counted from 1, in the order of their sorted names; 0 is the background.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regrow.errors import DataError, did_you_mean
from regrow.files import digest

Box = tuple[float, float, float, float]

SLACK: Final = 1.0
"""Pixels by which a box may stick out of its image: published annotations are rounded. It is cut off; more is a mistake."""

PLAIN_NAME: Final = re.compile(r"[^/\\\x00]+(/[^/\\\x00]+)*")


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of an image, as an annotation names it."""

    name: str
    """Its class."""

    box: Box
    ignored: bool = False
    """Difficult (VOC) or a crowd (COCO): not trained on, and neither finding nor missing it counts."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One image and its objects."""

    image: Path
    name: str
    """The image's path below its folder, without its ending: the same in every format."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    labels: tuple[int, ...]
    """Class of each box, from 1."""

    ignored: tuple[bool, ...]
    """Which boxes do not count."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One image and its objects before classes have numbers."""

    image: Path
    name: str
    width: int
    height: int
    things: tuple[Thing, ...]


@dataclass(frozen=True, kw_only=True)
class BoxData:
    """A detection data set: what is trained on, and what is tested on once. Nothing is chosen, so nothing is held out for choosing."""

    classes: tuple[str, ...]
    train: tuple[Scene, ...]
    test: tuple[Scene, ...]
    notes: tuple[str, ...] = ()
    """What was left out or cut, in words."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all boxes, classes, image names and sizes, of the files in bytes too; not of every pixel."""
        parts = [[_identity(scene) for scene in part] for part in (self.train, self.test)]
        return digest({"classes": self.classes, "parts": parts})


def _identity(scene: Scene) -> list[object]:
    size = scene.image.stat().st_size
    return [scene.name, scene.width, scene.height, size, scene.boxes, scene.labels, scene.ignored]


def box_data(train: Sequence[Raw], test: Sequence[Raw], names: Iterable[str], notes: Sequence[str]) -> BoxData:
    """The data set of two parts; `names` are all classes. Raises `DataError` where the parts do not make one."""
    classes = tuple(sorted(set(names)))
    _check_parts(train, test)
    _check_objects(train, "training")
    _check_objects(test, "test")
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    parts = [tuple(_numbered(one, numbers) for one in part) for part in (train, test)]
    return BoxData(classes=classes, train=parts[0], test=parts[1], notes=tuple(notes))


def _check_parts(train: Sequence[Raw], test: Sequence[Raw]) -> None:
    for part, scenes in (("training", train), ("test", test)):
        twice = [name for name, count in Counter(one.image for one in scenes).items() if count > 1]
        if twice:
            raise DataError(
                f"{twice[0]} is listed twice among the {part} images, so it would count twice. List it once."
            )
    both = {one.image.resolve() for one in train} & {one.image.resolve() for one in test}
    if both:
        raise DataError(
            f"{min(both)} is a training image and a test image ({len(both)} such images): the test would be no test. "
            "Take them out of one of the two lists."
        )


def _check_objects(scenes: Sequence[Raw], part: str) -> None:
    if not scenes:
        raise DataError(f"there are no {part} images. List at least one.")
    if not any(not thing.ignored for one in scenes for thing in one.things):
        raise DataError(
            f"none of the {len(scenes)} {part} images has an object that counts (first: {scenes[0].image}), so there is nothing to "
            "find. Images without objects may stand among others; check that the annotations belong to these images."
        )


def _numbered(one: Raw, numbers: dict[str, int]) -> Scene:
    labels = tuple(numbers[thing.name] for thing in one.things)
    boxes, ignored = tuple(thing.box for thing in one.things), tuple(thing.ignored for thing in one.things)
    return Scene(one.image, one.name, one.width, one.height, boxes, labels, ignored)


def checked_box(box: Box, width: int, height: int, where: Callable[[], str]) -> Box | None:
    """The box within its image; None for one without area, which published files hold now and then.

    Raises `DataError`, naming `where`, for a box that is turned round or sticks out by more than `SLACK`.
    """
    left, top, right, bottom = box
    if not (left <= right and top <= bottom):  # also where one is no number
        raise DataError(
            f"{where()} has the box {_shown(box)}, whose right or bottom edge lies before its left or top edge. "
            "Give left <= right and top <= bottom, in pixels."
        )
    if min(left, top) < -SLACK or right > width + SLACK or bottom > height + SLACK:
        raise DataError(
            f"{where()} has the box {_shown(box)} (left, top, right, bottom), which lies outside the image of {width} x {height} pixels. "
            "Cut it to the image, or correct the image's size."
        )
    inside = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    return inside if inside[0] < inside[2] and inside[1] < inside[3] else None


def _shown(box: Box) -> str:
    return f"({', '.join(f'{edge:g}' for edge in box)})"


def path_inside(folder: Path, name: str, where: str) -> Path:
    """A file that `where` names, inside its folder. Raises `DataError` where it leaves the folder, or is not there."""
    if not PLAIN_NAME.fullmatch(name) or ".." in name.split("/"):
        raise DataError(f"{where} names {name!r}; a path inside {folder} is expected, with forward slashes.")
    path = folder / name
    if not path.is_file():
        raise DataError(f"{where} names {name!r}, and there is no file {path}. Add it, or take the image out.")
    return path


def check_known(name: str, names: Sequence[str], where: Callable[[], str]) -> None:
    """Refuse a class that is not among the known ones: `DataError`."""
    if name not in names:
        raise DataError(
            f"{where()} is of the class {name!r}, which the training images do not have. {did_you_mean(name, names)}"
        )
